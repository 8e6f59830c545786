/* SPDX-License-Identifier: MIT */
/* config.effective.ini: every value as it was used, with its origin; it runs the same again. */
#ifndef CORE_RUN_EFFECTIVE_H
#define CORE_RUN_EFFECTIVE_H

#include "plan/plan.h"
#include "run/rundir.h"

int effective_write(const struct rundir *dir, const struct config *config, const struct plan *plan,
		    struct pfc_error *err);

#endif
