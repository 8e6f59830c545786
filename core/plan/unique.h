/* SPDX-License-Identifier: MIT */
/* File names of a plan's outputs. Used by plan.c only. */
#ifndef CORE_PLAN_UNIQUE_H
#define CORE_PLAN_UNIQUE_H

#include "plan/plan.h"

/** Give each output a file of its own: of those that want the same name, or one of the run's own, the later are renamed. */
int unique_paths(struct plan *plan, struct pfc_error *err);

#endif
