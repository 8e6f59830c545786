/* SPDX-License-Identifier: MIT */
/*
 * The plan: a config's sections as stages, joined by typed ports into a graph without cycles. Nothing of a plugin runs
 * here: all is decided from manifests. Every fault goes to diags with the place in the config and the candidates.
 */
#ifndef CORE_PLAN_PLAN_H
#define CORE_PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#include "config/config.h"
#include "config/options.h"
#include "config/registry.h"

struct plan_stage;

/** An artifact that a stored run holds, offered to the stages of this one. */
struct plan_stored {
	char *run;      /* as the config or the command line names it */
	char *folder;   /* of another run than the one replayed; else NULL */
	char *producer; /* stage name there */
	char *port;
	char *type;
	char *signal;
	char *path;     /* file, relative to the run folder */
	bool partial;
	struct plan_stored *next;
};

/** One output of a stage. */
struct plan_output {
	const struct manifest_port *port; /* borrowed */
	struct plan_stage *stage;
	char *signal; /* the port's own, else that of the artifact joined to the `each` input; "" for none */
	char *path;   /* relative to the run folder: "artifacts/perf-cpu.stacks.pcol", "flamegraph.cpu.svg" */
	char *link;   /* template of the link beside the run folders, {run} still in it; "" for none */
};

/** One artifact joined to an input: of a stage of this run, or of a stored run. */
struct plan_edge {
	const struct plan_output *output;  /* or NULL */
	const struct plan_stored *stored;  /* or NULL */
};

struct plan_input {
	const struct manifest_port *port;
	struct plan_edge *edges;
	size_t edge_count;
};

/** One stage: one use of a plugin. */
struct plan_stage {
	char *name;    /* unique: "flamegraph", or "flamegraph[perf-cpu.stacks]" when the plugin runs once for each artifact */
	char *section; /* name of its config section */
	const struct manifest *manifest; /* borrowed from the registry */
	struct option_set options;
	bool abort_on_failure;
	struct plan_input *inputs;
	size_t input_count;
	struct plan_output *outputs;
	size_t output_count;
	struct origin origin;
	size_t index; /* place in plan->stages */
};

struct plan {
	struct plan_stage **stages; /* producers before consumers */
	size_t stage_count;
	struct option_set run;    /* [run] */
	struct option_set target; /* [target] */
	bool has_target;          /* [target] names one */
	struct plan_stored *stored;
};

/** How a plan differs from a plain run. */
struct plan_mode {
	/* replay: drivers and collectors are left out, their artifacts come from here. [moved] into the plan. */
	bool is_replay;
	struct plan_stored *stored;
	const char *only; /* only this section or stage, and what it needs; NULL for all */
};

/**
 * Make the plan. Returns 0 even when diags has errors (then *ret_plan may be NULL); fails only for lack of memory.
 * registry must outlive the plan, and so must config.
 */
int plan_build(const struct config *config, struct registry *registry, const struct plan_mode *mode,
	       struct diag_list *diags, struct plan **ret, struct pfc_error *err);

bool plan_is_measuring(const struct plan_stage *stage); /* driver or collector */

/** Print as text for people, or as Graphviz. */
void plan_print(const struct plan *plan, FILE *to);
void plan_print_dot(const struct plan *plan, FILE *to);
json_t *plan_to_json(const struct plan *plan);

void plan_destroy(struct plan *plan);
void plan_stored_destroy(struct plan_stored *list);

#endif
