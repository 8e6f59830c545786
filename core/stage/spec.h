/* SPDX-License-Identifier: MIT */
/*
 * What the core tells a stage process at its start: a JSON text in a memfd, read once. Descriptors in it are inherited.
 * The run's core writes it (run/spawn.c) and the stage's host reads it.
 */
#ifndef CORE_STAGE_SPEC_H
#define CORE_STAGE_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <profcore/host.h>

#include "base/error.h"

struct spec_option {
	const char *name;
	struct pfc_value value;
	const char **items;
};

struct spec_output {
	const char *port;
	const char *type;
	const char *signal;
	int fd;
};

struct spec_input {
	const char *port;
	const char *producer;
	const char *producer_port;
	const char *type;
	const char *signal;
	bool partial;
	int fd;
};

/** Columns that an input port needs, "samples.time". */
struct spec_need {
	const char *port;
	const char *column;
};

struct spec {
	json_t *json; /* owns all texts below */
	const char *stage;
	const char *plugin_path;
	const char *plugin_dir;
	const char *run_id;
	const char *run_name;
	uint32_t kind;       /* enum plugin_kind */
	uint32_t privileges; /* enum plugin_privilege */
	uint64_t duration_ns;
	uint64_t t0_ns; /* transforms and reporters: the window that was; 0 for stages that come before it */
	uint64_t t1_ns;
	int stop_fd;
	int target_fd;        /* target stream for the plugin, -1 without target */
	int target_stacks_fd; /* target stream for the stack service, -1 */
	int cache_fd;         /* folder of cached names for the stack service, -1 */
	bool has_target;
	bool target_is_launched;
	bool target_held;
	const char *target_kind;
	const char *target_name;
	const char *target_cgroup;
	struct spec_option *options;
	size_t option_count;
	struct spec_output *outputs;
	size_t output_count;
	struct spec_input *inputs;
	size_t input_count;
	struct spec_need *needs;
	size_t need_count;
	const char **metrics;
	size_t metric_count;
};

/** Read the spec from a descriptor. */
int spec_read(int fd, struct spec *ret, struct pfc_error *err);

void spec_finish(struct spec *spec);

#endif
