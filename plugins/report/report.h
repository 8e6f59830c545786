/* SPDX-License-Identifier: MIT */
/* The texts that this plugin writes, from a profile that was read. Lines are at most 100 columns, but for symbols. */
#ifndef PLUGINS_REPORT_REPORT_H
#define PLUGINS_REPORT_REPORT_H

#include <stdint.h>

#include "lib/health.h"
#include "lib/profile.h"
#include "lib/rank.h"
#include "lib/text.h"

struct report {
	struct profile *profile;
	struct health health;
	struct rank functions;
	const char *run_id;
	uint32_t rows;
	double tree_min_pct;
	uint32_t tree_depth;
};

/** Title and completeness block; `what` names the document. */
void report_head(const struct report *report, const char *what, struct text *to);

/** Append the tables of perf_report but the call tree. Sorts report->functions. Returns 0 or PFC_ENOMEM. */
int report_tables(struct report *report, struct text *to);

/** Append the call tree. Returns 0 or PFC_ENOMEM. */
int report_tree(const struct report *report, struct text *to);

/** Append the list of symbols. Sorts report->functions. */
void report_symbols(struct report *report, struct text *to);

#endif
