/* SPDX-License-Identifier: MIT */
/* Which section is expanded when: producers before consumers. Used by plan.c only. */
#ifndef CORE_PLAN_ORDER_H
#define CORE_PLAN_ORDER_H

#include "plan/join.h"

/** Expand all sections of the graph into the plan's stages, in order. A cycle goes to diags. Returns 0 or PFC_ENOMEM. */
int order_expand(struct section_graph *graph, struct plan *plan, struct pfc_error *err);

#endif
