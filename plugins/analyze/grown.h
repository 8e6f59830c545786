/* SPDX-License-Identifier: MIT */
/* What memory artifacts say: growth and who is behind it, memory that comes and goes, kills and limits, leaks. */
#ifndef PLUGINS_ANALYZE_GROWN_H
#define PLUGINS_ANALYZE_GROWN_H

#include "analysis.h"

/**
 * Add findings on each artifact of the input `memory`. *ret_any: whether one of them has a sample.
 *
 * Returns: 0 or PFC_ENOMEM.
 */
int grown_judge(struct analysis *analysis, const struct pfc_host *host, bool *ret_any);

#endif
