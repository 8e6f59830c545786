/* SPDX-License-Identifier: MIT */
/*
 * A plugin's manifest: the INI text embedded in its .so, read with libelf, never by running it. docs/plugin-guide.md
 * describes the keys. The .so may be hostile: every size is bounded.
 */
#ifndef CORE_CONFIG_MANIFEST_H
#define CORE_CONFIG_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <profcore/host.h>

#include "base/error.h"

/** Limits of a manifest: far above what a plugin needs, so that a hostile one costs little. */
#define MANIFEST_TEXT_MAX    (64 * 1024)
#define MANIFEST_PORTS_MAX   64
#define MANIFEST_OPTIONS_MAX 256
#define MANIFEST_METRICS_MAX 64

enum plugin_kind { PLUGIN_DRIVER = 1, PLUGIN_COLLECTOR, PLUGIN_TRANSFORM, PLUGIN_REPORTER };

enum port_multiplicity { PORT_ONE = 1, PORT_OPTIONAL, PORT_MANY, PORT_EACH };

/** Privileges, as bits. */
enum plugin_privilege {
	PRIVILEGE_PERF = 1,
	PRIVILEGE_BPF = 2,
	PRIVILEGE_PTRACE = 4,
	PRIVILEGE_TARGET_FILES = 8,
	PRIVILEGE_NETWORK = 16,
	PRIVILEGE_UPROBE = 32,
};

/** [input NAME] or [output NAME]. */
struct manifest_port {
	char *name;
	char *type;    /* "profcore.stacks/1" or a media type */
	char *summary;
	bool is_output;
	enum port_multiplicity multiplicity; /* inputs */
	bool optional; /* inputs: none at all is fine (implied by PORT_OPTIONAL; `optional = yes` beside many or each);
			  outputs: may stay empty when the stage says why (the fact `absent`) */
	char **needs;  /* inputs: columns needed, "samples.time"; NULL-terminated, never NULL */
	char *signal;  /* outputs: what it shows ("cpu"); inputs: only this signal; "" for none */
	char *file;    /* outputs that are documents: file name, "flamegraph.{signal}.svg" */
	char *link;    /* likewise: link beside the run folders, "flamegraph_{run}_{signal}.svg"; "" for none */
	char *when;    /* outputs: only there when the stage's artifact came by this `each` input; "" for always */
};

/** [option NAME]. Limits are in the unit of the value (ns, bytes). */
struct manifest_option {
	char *name;
	enum pfc_value_type type;
	char *default_text;
	char *unit;
	char *help;
	char **values; /* enum: allowed words; NULL-terminated, never NULL */
	bool has_min, has_max;
	double min, max;
};

/** [metric NAME]: shown live. */
struct manifest_metric {
	char *name;
	char *unit;   /* "count", "ns", "bytes", "req/s" */
	char *label;  /* word to show before or after: "samples" */
};

struct manifest {
	char *path; /* of the .so */
	char *id;
	char *version;
	char *summary;
	enum plugin_kind kind;
	uint32_t privileges; /* enum plugin_privilege */
	bool perturbs;
	char *perturbs_when; /* "OPTION = VALUE": it perturbs with this value only; "" without */
	struct manifest_port *ports;
	size_t port_count;
	struct manifest_option *options;
	size_t option_count;
	struct manifest_metric *metrics;
	size_t metric_count;
	char *text; /* the manifest as embedded */
};

/** Parse a manifest's text. `path` is named in errors ("x.so:12: unknown key ..."). All faults come in one error. */
int manifest_parse(const char *text, size_t bytes, const char *path, struct manifest **ret, struct pfc_error *err);

/** Read the manifest out of a .so. Says in one line what is wrong: not ELF, truncated, other machine, no manifest, ... */
int manifest_read(const char *path, struct manifest **ret, struct pfc_error *err);

/** Likewise from a descriptor; `path` is only for messages. */
int manifest_read_fd(int fd, const char *path, struct manifest **ret, struct pfc_error *err);

void manifest_destroy(struct manifest *manifest);

/**
 * The two sides of perturbs_when: the option of this plugin, and the value, which lies in the manifest. Returns NULL without one.
 */
const struct manifest_option *manifest_perturbs_option(const struct manifest *manifest, const char **ret_value);

const struct manifest_port *manifest_port(const struct manifest *manifest, const char *name, bool is_output);
const struct manifest_option *manifest_option(const struct manifest *manifest, const char *name);

const char *manifest_kind_name(enum plugin_kind kind);
const char *manifest_multiplicity_name(enum port_multiplicity multiplicity);
/** "perf, target-files" or "none"; to is returned. */
char *manifest_privilege_names(uint32_t privileges, char *to, size_t to_bytes);

/** id, version, kind, summary, path, privileges, perturbs; with inputs, outputs, options and metrics besides. */
json_t *manifest_json_head(const struct manifest *manifest);
json_t *manifest_json(const struct manifest *manifest);

#endif
