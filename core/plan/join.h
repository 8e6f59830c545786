/* SPDX-License-Identifier: MIT */
/* Joining ports: which artifacts go into which input. Used by plan.c only. */
#ifndef CORE_PLAN_JOIN_H
#define CORE_PLAN_JOIN_H

#include "plan/plan.h"

/** A section before it is expanded into stages. */
struct section_node {
	const struct config_section *section;
	const struct manifest *manifest;
	struct option_set options;
	bool abort_on_failure;
	bool is_ordered;
	struct plan_stage **stages; /* what it became */
	size_t stage_count;
};

struct section_graph {
	struct section_node *nodes;
	size_t count;
	const struct plan_stored *stored;
	struct registry *registry;
	const struct plan_mode *mode;
	struct diag_list *diags;
};

/** Whether an output (type, signal) may go into an input. */
bool join_matches(const struct manifest_port *input, const char *type, const char *signal);

/** Whether section `to` takes something from section `from`, by its explicit inputs or by type. */
bool join_depends(const struct section_graph *graph, const struct section_node *to, const struct section_node *from);

/**
 * Collect the artifacts for one input of a section whose producers are expanded already. Faults go to diags.
 * The caller frees *ret_edges.
 */
int join_collect(const struct section_graph *graph, const struct section_node *node, const struct manifest_port *port,
		 struct plan_edge **ret_edges, size_t *ret_count, struct pfc_error *err);

/** Check that each `input.NAME` key names an input, and what it names exists. Faults go to diags. */
void join_check_keys(const struct section_graph *graph, const struct section_node *node);

#endif
