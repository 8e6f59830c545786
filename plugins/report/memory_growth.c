/* SPDX-License-Identifier: MIT */
/*
 * Growth by function. The stacks say who touched memory first; the table `faults` of the memory artifact says of each sample whether
 * that memory was still there at the end. Both come from the same stage, and a sample is known by its time and thread.
 */
#include "memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cols.h"
#include "lib/grid.h"
#include "lib/rank.h"
#include "lib/units.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

struct growth {
	struct profile *profile;
	uint64_t *kept; /* by stack, like profile->stack_weight */
	uint64_t *kept_samples;
	uint64_t kept_sum, kept_count;
	double scale; /* to what the events counted exactly */
};

static uint64_t key_of(int64_t time_ns, int64_t tid)
{
	return pairmap_mix((uint64_t)time_ns) ^ (uint64_t)tid;
}

/* The samples that are there at the end. */
static int read_kept(const struct memory_report *report, struct pairmap *ret)
{
	static const char *const names[] = { "time", "tid", "kept" };
	struct cols cols;

	if (cols_begin(&cols, report->reader, "faults", names, 3) != PFC_OK) {
		return PFC_OK;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			if (cols_int(&cols, 2, i, 0) == 1 &&
			    !pairmap_at(ret, key_of(cols_int(&cols, 0, i, 0), cols_int(&cols, 1, i, 0)), 1,
					NULL)) {
				return PFC_ENOMEM;
			}
		}
	}
	return PFC_OK;
}

static int sum_kept(const struct pfc_reader *stacks, struct pairmap *kept, struct growth *growth)
{
	static const char *const names[] = { "time", "tid", "stack", "weight" };
	struct cols cols;

	if (cols_begin(&cols, stacks, "samples", names, 4) != PFC_OK) {
		return PFC_OK;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			uint32_t stack = cols_id(&cols, 2, i);
			uint32_t *is_kept = pairmap_at(
				kept, key_of(cols_int(&cols, 0, i, 0), cols_int(&cols, 1, i, 0)), 0, NULL);
			int64_t weight = cols_int(&cols, 3, i, 0);

			if (!is_kept) {
				return PFC_ENOMEM;
			}
			if (*is_kept && stack < growth->profile->stack_count && weight > 0) {
				growth->kept[stack] += (uint64_t)weight;
				growth->kept_samples[stack]++;
				growth->kept_sum += (uint64_t)weight;
				growth->kept_count++;
			}
		}
	}
	return PFC_OK;
}

/* Rank with what was kept in the place of what came in. */
static int rank_kept(struct growth *growth, struct rank *ret)
{
	struct profile *profile = growth->profile;
	uint64_t *weight = profile->stack_weight, *samples = profile->stack_samples, whole = profile->weight;
	int status;

	profile->stack_weight = growth->kept;
	profile->stack_samples = growth->kept_samples;
	profile->weight = growth->kept_sum;
	status = rank_functions(profile, ret);
	profile->stack_weight = weight;
	profile->stack_samples = samples;
	profile->weight = whole;
	return status;
}

/* Half of the 95 % interval of a share, in points, from so many samples. */
static double error_points(uint64_t part, uint64_t whole, uint64_t samples)
{
	double share = whole ? (double)part / (double)whole : 0;

	return samples ? 196.0 * sqrt(share * (1 - share) / (double)samples) + 100.0 / (double)samples : 100;
}

static void add_ranked(const struct memory_report *report, const struct growth *growth, struct rank *rank,
		       uint64_t whole, uint64_t samples, struct text *to)
{
	static const struct grid_column columns[] = { { "share %", 7, true }, { "+- 95 %", 7, true },
						      { "bytes", 11, true },  { "with callees", 12, true },
						      { "samples", 8, true }, { "function", 33, false },
						      { "module", 14, false } };
	uint32_t shown = rank->count < report->rows ? rank->count : report->rows, i;
	char text[5][UNITS_ROOM];

	rank_sort(rank, RANK_LED);
	grid_head(to, columns, COUNT_OF(columns));
	for (i = 0; i < shown && (i == 0 || rank->rows[i].led); i++) {
		const struct rank_row *row = &rank->rows[i];
		const char *cells[] = {
			text[0],
			text[1],
			units_weight(text[2], (uint64_t)((double)row->led * growth->scale), "bytes"),
			units_weight(text[3], (uint64_t)((double)row->total * growth->scale), "bytes"),
			units_count(text[4], row->total_samples),
			profile_function_name(growth->profile, row->id),
			profile_function_module(growth->profile, row->id)
		};

		snprintf(text[0], UNITS_ROOM, "%.1f", units_pct(row->led, whole));
		snprintf(text[1], UNITS_ROOM, "%.1f", error_points(row->led, whole, samples));
		grid_row(to, columns, COUNT_OF(columns), cells);
	}
}

static int add_tables(const struct memory_report *report, struct growth *growth, struct text *to)
{
	struct rank kept = { 0 }, all = { 0 };
	char text[UNITS_ROOM];
	int status = rank_kept(growth, &kept);

	status = status ? status : rank_functions(growth->profile, &all);
	if (status == PFC_OK) {
		grid_heading(to, "Growth by function: anonymous memory that came in the window and was there "
				 "at its end");
		if (growth->kept_count) {
			text_format(to,
				    "%s in all. Of the function of the program, or of a library that calls "
				    "none, with what it calls.\n\n",
				    units_weight(text, (uint64_t)((double)growth->kept_sum * growth->scale),
						 "bytes"));
			add_ranked(report, growth, &kept, growth->kept_sum, growth->kept_count, to);
		} else {
			text_add(to, "None: what came in was gone at the end, or its process was.\n");
		}
		grid_heading(to, "Faults by function: anonymous memory that came in, kept or not");
		text_format(to, "%s in all.\n\n",
			    units_weight(text, (uint64_t)((double)growth->profile->weight * growth->scale),
					 "bytes"));
		add_ranked(report, growth, &all, growth->profile->weight, growth->profile->samples, to);
	}
	rank_finish(&kept);
	rank_finish(&all);
	return status;
}

static int add_growth(const struct memory_report *report, const struct pfc_reader *stacks,
		      struct growth *growth, struct text *to)
{
	struct pairmap kept = { 0 };
	double seen = memory_fact(report, "faults.seen_pct");
	int status = read_kept(report, &kept);

	/* Far off, the samples miss a part that nobody knows: then they stand for themselves. */
	growth->scale = seen > 50 && seen < 150 ? 100 / seen : 1;
	growth->kept = calloc(growth->profile->stack_count + 1u, sizeof(*growth->kept));
	growth->kept_samples = calloc(growth->profile->stack_count + 1u, sizeof(*growth->kept_samples));
	if (!growth->kept || !growth->kept_samples) {
		status = PFC_ENOMEM;
	}
	status = status ? status : sum_kept(stacks, &kept, growth);
	status = status ? status : add_tables(report, growth, to);
	pairmap_finish(&kept);
	free(growth->kept);
	free(growth->kept_samples);
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
	struct profile_options options = { .seed = report->host->now(report->host->ctx) };
	const struct pfc_reader *stacks = find_stacks(report);
	struct growth growth = { 0 };
	int status;

	if (!stacks) {
		grid_heading(to, "Growth by function");
		text_add(to, "Not to be had: there are no page-fault stacks; see above why.\n");
		return PFC_OK;
	}
	status = profile_read(stacks, &options, &growth.profile);
	if (status == PFC_OK) {
		status = growth.profile->samples ? add_growth(report, stacks, &growth, to) : PFC_OK;
		profile_destroy(growth.profile);
	}
	return status == PFC_ENOENT ? PFC_OK : status;
}
