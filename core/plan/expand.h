/* SPDX-License-Identifier: MIT */
/* From a section of the config to the stages that it stands for. Used within plan/ only. */
#ifndef CORE_PLAN_EXPAND_H
#define CORE_PLAN_EXPAND_H

#include "plan/join.h"

/** Keys of a stage's section that are not the plugin's own; NULL-terminated. */
extern const char *const plan_reserved_keys[];

/**
 * Make the stages of a section whose producers are expanded already: one, or one for each artifact that its `each` inputs
 * take. Faults of the config go to the graph's diags. Returns 0 or PFC_ENOMEM.
 */
int expand_section(struct section_graph *graph, struct section_node *node, struct plan *plan, struct pfc_error *err);

/** Free a stage; NULL is fine. */
void expand_destroy(struct plan_stage *stage);

#endif
