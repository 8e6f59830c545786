/* SPDX-License-Identifier: MIT */
/* Programs by name: where PATH has them, and what else may have been meant. */
#ifndef CORE_TARGET_PROGRAM_H
#define CORE_TARGET_PROGRAM_H

#include "base/error.h"

/**
 * The file that `name` stands for: itself when it holds a slash (below `directory`, which may be NULL, when relative), else
 * the first executable of that name on PATH.
 * Memory:  the caller frees *ret.
 * Returns: 0; PFC_ETARGET with the nearest name in the hint; PFC_ENOMEM.
 */
int program_find(const char *name, const char *directory, char **ret, struct pfc_error *err);

/** Set the hint that goes with "no such program". */
void program_hint(const char *name, struct pfc_error *err);

#endif
