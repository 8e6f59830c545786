/* SPDX-License-Identifier: MIT */
/* Bounding the disk that a series takes: its oldest runs go. Nothing else does. */
#ifndef CORE_RUN_PRUNE_H
#define CORE_RUN_PRUNE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/**
 * Remove runs of series of that name from a folder of runs, but for the newest `keep`. A run made by hand under the same name
 * stays, and so does whatever has no manifest of ours. The caller makes sure that no such run is under way.
 *
 * Returns: how many were removed; what could not be is told in *err (status 0: nothing).
 */
size_t prune_runs(const char *output, const char *name, uint64_t keep, struct pfc_error *err);

#endif
