/* SPDX-License-Identifier: MIT */
/* The texts that this plugin writes, from a profile that was read. Lines are at most 100 columns, but for symbols. */
#ifndef PLUGINS_REPORT_REPORT_H
#define PLUGINS_REPORT_REPORT_H

#include <stdint.h>

#include <profcore/artifact.h>

#include "lib/health.h"
#include "lib/profile.h"
#include "lib/rank.h"
#include "lib/text.h"

struct report {
	struct profile *profile;
	struct health health;
	const struct pfc_reader *reader; /* of the stacks */
	const struct pfc_reader *counters; /* NULL: none, or another's */
	uint64_t window_ns;
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

/** A count that took turns, as if it had been counted all the time; NAN when it never was. */
double report_scaled(uint64_t value, uint64_t enabled_ns, uint64_t running_ns);

/** Append the table of counters. Returns 0 or PFC_ENOMEM. */
int report_counters(const struct pfc_reader *reader, uint64_t window_ns, struct text *to);

/** Append the call tree. Returns 0 or PFC_ENOMEM. */
int report_tree(const struct report *report, struct text *to);

/** Append the list of symbols. Sorts report->functions. */
void report_symbols(struct report *report, struct text *to);

#endif
