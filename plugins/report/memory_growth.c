/* SPDX-License-Identifier: MIT */
/* Growth by function, from the stage's page-fault stacks and what was still there at the end (lib/growth.h). */
#include "memory.h"

#include <stdio.h>
#include <string.h>

#include "lib/grid.h"
#include "lib/growth.h"
#include "lib/units.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static void add_ranked(const struct memory_report *report, const struct growth *growth, struct rank *rank,
		       uint64_t (*scaled)(const struct growth *, uint64_t), uint64_t whole, uint64_t samples,
		       struct text *to)
{
	static const struct grid_column columns[] = { { "share %", 7, true }, { "+- 95 %", 7, true },
						      { "bytes", 11, true },  { "with callees", 12, true },
						      { "samples", 8, true }, { "function", 29, false },
						      { "module", 14, false } };
	uint32_t shown = rank->count < report->rows ? rank->count : report->rows;
	char text[5][UNITS_ROOM];

	rank_sort(rank, RANK_LED);
	grid_head(to, columns, COUNT_OF(columns));
	for (uint32_t i = 0; i < shown && (i == 0 || rank->rows[i].led); i++) {
		const struct rank_row *row = &rank->rows[i];
		const char *cells[] = { text[0],
					text[1],
					units_weight(text[2], scaled(growth, row->led), "bytes"),
					units_weight(text[3], scaled(growth, row->total), "bytes"),
					units_count(text[4], row->total_samples),
					profile_function_name(growth->profile, row->id),
					profile_function_module(growth->profile, row->id) };

		snprintf(text[0], UNITS_ROOM, "%.1f", units_pct(row->led, whole));
		snprintf(text[1], UNITS_ROOM, "%.1f", growth_error_points(row->led, whole, samples));
		grid_row(to, columns, COUNT_OF(columns), cells);
	}
}

static int add_tables(const struct memory_report *report, struct growth *growth, struct text *to)
{
	const struct profile *profile = growth->profile;
	struct rank kept = { 0 }, all = { 0 };
	char text[UNITS_ROOM];
	int status = growth_rank(growth, &kept);

	status = status ? status : rank_functions(profile, &all);
	if (status == PFC_OK) {
		grid_heading(to, "Growth by function: anonymous memory that came in the window and was there "
				 "at its end");
		if (growth->kept_count) {
			units_weight(text, growth_kept_scaled(growth, growth->kept_sum), "bytes");
			text_format(to,
				    "%s in all, with what libraries and the kernel did for the function.\n",
				    text);
			if (growth->is_kept_bound) {
				text_add(to, "The same pages came in many times: the sum is bounded by what "
					     "is there at the end.\n");
			}
			text_add(to, "\n");
			add_ranked(report, growth, &kept, growth_kept_scaled, growth->kept_sum,
				   growth->kept_count, to);
		} else {
			text_add(to, "None: what came in was gone at the end, or its process was.\n");
		}
		grid_heading(to, "Faults by function: anonymous memory that came in, kept or not");
		text_format(to, "%s in all.\n\n",
			    units_weight(text, growth_scaled(growth, profile->weight), "bytes"));
		add_ranked(report, growth, &all, growth_scaled, profile->weight, profile->samples, to);
	}
	rank_finish(&kept);
	rank_finish(&all);
	return status;
}

/* The page-fault stacks of the same stage. */
static const struct pfc_reader *find_stacks(const struct memory_report *report)
{
	const struct pfc_host *host = report->host;
	uint32_t count = host->input_count(host->ctx, "faults");

	for (uint32_t i = 0; i < count; i++) {
		struct pfc_artifact about = { .struct_size = sizeof(about) };
		const struct pfc_reader *reader;

		if (host->input(host->ctx, "faults", i, &reader) == PFC_OK &&
		    reader->describe(reader->ctx, &about) == PFC_OK &&
		    strcmp(about.producer, report->producer) == 0) {
			return reader;
		}
	}
	return NULL;
}

int memory_add_growth(const struct memory_report *report, struct text *to)
{
	const struct pfc_reader *stacks = find_stacks(report);
	struct growth growth = { 0 };
	int status;

	if (!stacks) {
		grid_heading(to, "Growth by function");
		text_add(to, "Not to be had: there are no page-fault stacks; see above why.\n");
		return PFC_OK;
	}
	status = growth_read(report->reader, stacks, report->host->now(report->host->ctx), &growth);
	if (status == PFC_OK && growth.profile->samples) {
		status = add_tables(report, &growth, to);
	}
	growth_finish(&growth);
	return status == PFC_ENOENT ? PFC_OK : status;
}
