/* SPDX-License-Identifier: MIT */
/* perf_symbols: every function that was seen, one a line, names uncut: for people and for grep, awk and sort. */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/grid.h"
#include "lib/units.h"

void report_symbols(struct report *report, struct text *to)
{
	static const struct grid_column columns[] = { { "self %", 6, true },   { "total %", 7, true },
						      { "self", 9, true },     { "total", 9, true },
						      { "address", 18, true }, { "kind", 7, false },
						      { "module", 24, false }, { "symbol", 0, false } };
	const struct profile *profile = report->profile;
	char self_pct[UNITS_ROOM], total_pct[UNITS_ROOM], self[UNITS_ROOM], total[UNITS_ROOM],
		address[UNITS_ROOM];
	uint32_t i;

	grid_heading(
		to, "Symbols: self and total in samples; the address with most of the function's own weight");
	grid_head(to, columns, sizeof(columns) / sizeof(columns[0]));
	rank_sort(&report->functions, RANK_SELF);
	for (i = 0; i < report->functions.count; i++) {
		const struct rank_row *row = &report->functions.rows[i];
		const char *module = profile_function_module(profile, row->id);
		const char *cells[] = { self_pct,
					total_pct,
					self,
					total,
					address,
					profile_kind_word(profile->functions[row->id].kind),
					*module ? module : "-",
					profile_function_name(profile, row->id) };

		snprintf(self_pct, sizeof(self_pct), "%.2f", units_pct(row->self, profile->weight));
		snprintf(total_pct, sizeof(total_pct), "%.2f", units_pct(row->total, profile->weight));
		snprintf(self, sizeof(self), "%" PRIu64, row->self_samples);
		snprintf(total, sizeof(total), "%" PRIu64, row->total_samples);
		snprintf(address, sizeof(address), row->address_weight ? "0x%" PRIx64 : "-", row->address);
		grid_row(to, columns, sizeof(columns) / sizeof(columns[0]), cells);
	}
}
