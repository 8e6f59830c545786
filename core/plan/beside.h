/* SPDX-License-Identifier: MIT */
/*
 * Stored runs that were under way at the same time, on the same machine since the same boot, with the same target: started
 * side by side by hand, they are looked at as one.
 */
#ifndef CORE_PLAN_BESIDE_H
#define CORE_PLAN_BESIDE_H

#include <stdint.h>

#include "plan/plan.h"

struct beside {
	char *id;
	char *folder;
	uint64_t t0_ns; /* its window */
	uint64_t t1_ns;
	bool has_target; /* false: a driver by itself, which named none */
	struct beside *next;
};

/**
 * The runs in the folder `output` beside the one in `folder`, newest first: their windows have at least half of the shorter one
 * in common. A run whose config names no target (load by URL alone) counts as being about the same.
 * Returns: 0, and an empty list when there are none; what stored_manifest says of the run itself; PFC_ENOMEM.
 */
int beside_find(const char *output, const char *folder, struct beside **ret, struct pfc_error *err);

/** Add what they measured to a list of stored artifacts, of each kind (type and signal) only where it has none. */
int beside_add(const struct beside *list, struct plan_stored **stored, struct pfc_error *err);

/** Narrow a window of a stored manifest to what all have in common. */
void beside_narrow(const struct beside *list, json_t *manifest);

void beside_destroy(struct beside *list);

#endif
