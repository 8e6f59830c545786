/* SPDX-License-Identifier: MIT */
/* What `profcore targets` lists: targets_look.c looks, targets_show.c prints. */
#ifndef CORE_CMD_TARGETS_H
#define CORE_CMD_TARGETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target/container.h"
#include "target/procfs.h"
#include "target/survey.h"

struct process {
	int32_t pid;
	char name[PROCFS_COMM_BYTES];
	uint64_t start_ticks;
	uint64_t cpu_ticks;
	uint64_t rss_bytes;
	double cpu_pct; /* of one CPU */
	char container_id[CGROUP_ID_BYTES];
	bool is_alive; /* at the second look, too */
	struct survey survey;
};

struct listing {
	struct process *processes;
	size_t count;
	struct engine_answer engine;
	struct pfc_error engine_err;
	bool has_engine;
	const char *order; /* one of orders */
};

/** All processes, as they were at two looks half a second apart, sorted; the busiest ones' files looked at. Returns 0 or -1. */
int targets_look(struct listing *listing);

/** The larger one first. */
int targets_compare(double left, double right);

void targets_print(const struct listing *listing, size_t max);
/** Returns 0; 1: it could not be written. */
int targets_print_json(const struct listing *listing);

#endif
