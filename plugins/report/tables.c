/* SPDX-License-Identifier: MIT */
/* The tables of perf_report: by function, thread, module and source line. */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "lib/grid.h"
#include "lib/units.h"

#define PLACE_COLUMNS   30 /* of a file name, before its line number */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void add_left_out(struct text *to, uint32_t count, uint32_t shown)
{
	char text[UNITS_ROOM];

	if (count > shown) {
		text_format(to, "(%s more)\n", units_count(text, count - shown));
	}
}

static uint32_t shown_of(const struct report *report, uint32_t count)
{
	return count < report->rows ? count : report->rows;
}

static const char *pct_of(const struct report *report, char *to, uint64_t weight)
{
	snprintf(to, UNITS_ROOM, "%.2f", units_pct(weight, report->profile->weight));
	return to;
}

static void add_functions(const struct report *report, struct text *to)
{
	static const struct grid_column columns[] = { { "self %", 6, true },
						      { "total %", 7, true },
						      { "samples", 9, true },
						      { "function", 50, false },
						      { "module", 20, false } };
	const struct profile *profile = report->profile;
	uint32_t i, shown = shown_of(report, report->functions.count);
	char self[UNITS_ROOM], total[UNITS_ROOM], samples[UNITS_ROOM];

	grid_head(to, columns, COUNT_OF(columns));
	for (i = 0; i < shown; i++) {
		const struct rank_row *row = &report->functions.rows[i];
		const char *cells[] = { pct_of(report, self, row->self), pct_of(report, total, row->total),
					units_count(samples, row->self_samples),
					profile_function_name(profile, row->id),
					profile_function_module(profile, row->id) };

		grid_row(to, columns, COUNT_OF(columns), cells);
	}
	add_left_out(to, report->functions.count, shown);
}

static int heavier_thread(const void *a, const void *b)
{
	const struct profile_thread *left = a, *right = b;

	if (left->weight != right->weight) {
		return left->weight > right->weight ? -1 : 1;
	}
	return left->tid < right->tid ? -1 : left->tid > right->tid;
}

static int add_threads(const struct report *report, struct text *to)
{
	static const struct grid_column columns[] = { { "%", 6, true },       { "samples", 9, true },
						      { "weight", 12, true }, { "pid", 8, true },
						      { "tid", 8, true },     { "thread", 47, false } };
	const struct profile *profile = report->profile;
	struct profile_thread *threads = calloc(profile->thread_count + 1, sizeof(*threads));
	uint32_t i, shown = shown_of(report, profile->thread_count);
	char pct[UNITS_ROOM], samples[UNITS_ROOM], weight[UNITS_ROOM], pid[UNITS_ROOM], tid[UNITS_ROOM];

	if (!threads) {
		return PFC_ENOMEM;
	}
	for (i = 0; i < profile->thread_count; i++) {
		threads[i] = profile->threads[i];
	}
	qsort(threads, profile->thread_count, sizeof(*threads), heavier_thread);
	grid_heading(to, "Threads");
	grid_head(to, columns, COUNT_OF(columns));
	for (i = 0; i < shown; i++) {
		const char *cells[] = { pct_of(report, pct, threads[i].weight),
					units_count(samples, threads[i].samples),
					units_weight(weight, threads[i].weight, profile->unit),
					pid,
					tid,
					names_text(&profile->names, threads[i].name) };

		snprintf(pid, sizeof(pid), "%d", threads[i].pid);
		snprintf(tid, sizeof(tid), "%d", threads[i].tid);
		grid_row(to, columns, COUNT_OF(columns), cells);
	}
	add_left_out(to, profile->thread_count, shown);
	free(threads);
	return PFC_OK;
}

static int add_modules(const struct report *report, struct text *to)
{
	static const struct grid_column columns[] = { { "self %", 6, true },
						      { "total %", 7, true },
						      { "samples", 9, true },
						      { "kind", 8, false },
						      { "module", 62, false } };
	const struct profile *profile = report->profile;
	struct rank modules = { 0 };
	char self[UNITS_ROOM], total[UNITS_ROOM], samples[UNITS_ROOM];
	uint32_t i, shown;
	int status = rank_modules(profile, &modules);

	if (status != PFC_OK) {
		return status;
	}
	rank_sort(&modules, RANK_SELF);
	shown = shown_of(report, modules.count);
	grid_heading(to, "Modules");
	grid_head(to, columns, COUNT_OF(columns));
	for (i = 0; i < shown; i++) {
		const struct rank_row *row = &modules.rows[i];
		const struct profile_module *module = &profile->modules[row->id];
		const char *path = names_text(&profile->names, module->path);
		const char *cells[] = { pct_of(report, self, row->self), pct_of(report, total, row->total),
					units_count(samples, row->self_samples),
					profile_kind_word(module->kind), *path ? path : "[unknown]" };

		grid_row(to, columns, COUNT_OF(columns), cells);
	}
	add_left_out(to, modules.count, shown);
	rank_finish(&modules);
	return PFC_OK;
}

/* "work/sort.c:29": the end of a path tells more than its beginning, so whole folders go until it fits. */
static void add_place(struct text *to, const char *file, uint32_t line)
{
	const char *slash;

	while (text_columns(file) > PLACE_COLUMNS && (slash = strchr(file + 1, '/')) != NULL) {
		file = slash + 1;
	}
	text_format(to, "%s:%u", file, line);
}

static int add_lines(const struct report *report, struct text *to)
{
	static const struct grid_column columns[] = { { "self %", 6, true },
						      { "samples", 9, true },
						      { "function", 40, false },
						      { "line", 39, false } };
	const struct profile *profile = report->profile;
	struct rank_line *lines;
	struct text place = { 0 };
	char self[UNITS_ROOM], samples[UNITS_ROOM];
	uint32_t i, count, shown;
	int status = rank_lines(profile, &lines, &count);

	if (status != PFC_OK) {
		return status;
	}
	grid_heading(to, "Source lines");
	shown = shown_of(report, count);
	if (count == 0) {
		text_add(to, "None is known: the target has no line information, or it was not read.\n");
	} else {
		grid_head(to, columns, COUNT_OF(columns));
	}
	for (i = 0; i < shown; i++) {
		add_place(&place, names_text(&profile->names, lines[i].file), lines[i].line);
		const char *cells[] = { pct_of(report, self, lines[i].self),
					units_count(samples, lines[i].self_samples),
					profile_function_name(profile, lines[i].function), text_str(&place) };

		grid_row(to, columns, COUNT_OF(columns), cells);
		to->failed |= place.failed;
		text_finish(&place);
	}
	add_left_out(to, count, shown);
	free(lines);
	return PFC_OK;
}

int report_tables(struct report *report, struct text *to)
{
	int status;

	rank_sort(&report->functions, RANK_SELF);
	grid_heading(to, "Functions by self: time in the function itself");
	add_functions(report, to);
	rank_sort(&report->functions, RANK_TOTAL);
	grid_heading(to, "Functions by total: with all that they call; recursion counts once");
	add_functions(report, to);
	status = add_threads(report, to);
	if (status == PFC_OK) {
		status = add_modules(report, to);
	}
	return status == PFC_OK ? add_lines(report, to) : status;
}
