/* SPDX-License-Identifier: MIT */
/* The heap by size, by lifetime and by thread. */
#include "memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cols.h"
#include "lib/grid.h"
#include "lib/units.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* A histogram by powers of two: row i holds [2^(i-1), 2^i). */
#define CLASSES 64

struct bar {
	double count, bytes, variance, other;
};

static unsigned class_of(uint64_t high)
{
	unsigned class = 0;

	while (class < CLASSES - 1 && 1ULL << class < high) {
		class ++;
	}
	return class;
}

/* The rows of all threads and processes, added up. Columns: upper bound, count, bytes, the other figure, bytes' upper end. */
static bool read_bars(const struct memory_report *report, const char *table, const char *const names[5],
		      struct bar bars[CLASSES])
{
	struct cols cols;

	memset(bars, 0, CLASSES * sizeof(*bars));
	if (cols_begin(&cols, report->reader, table, names, 5) != PFC_OK || cols.table.row_count == 0) {
		return false;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			struct bar *bar = &bars[class_of((uint64_t)cols_int(&cols, 0, i, 0))];
			double half =
				cols_has(&cols, 4) ? memory_real(&cols, 4, i) - memory_real(&cols, 2, i) : 0;

			bar->count += memory_real(&cols, 1, i);
			bar->bytes += memory_real(&cols, 2, i);
			bar->other += memory_real(&cols, 3, i);
			bar->variance += half * half; /* threads are sampled independently */
		}
	}
	return true;
}

/* "+- 3 %", of 95 %; nothing where every call was seen. */
static const char *error_of(char to[UNITS_ROOM], const struct bar *bar)
{
	snprintf(to, UNITS_ROOM, "%s", "");
	if (bar->variance > 0 && bar->bytes > 0) {
		snprintf(to, UNITS_ROOM, "+-%.0f %%", 100 * sqrt(bar->variance) / bar->bytes);
	}
	return to;
}

static const char *bar_of(char *to, double part, double most)
{
	unsigned width = most > 0 && part > 0 ? (unsigned)(18 * part / most + 0.5) : 0;

	snprintf(to, UNITS_ROOM, "%.*s", (int)width, "##################");
	return to;
}

/* Rows of `step` classes each. */
static void add_bars(const char *const heads[3], const char *unit, struct bar *bars, unsigned step,
		     struct text *to)
{
	const struct grid_column columns[] = { { "from", 10, true },   { "below", 10, true },
					       { heads[0], 12, true }, { "bytes", 10, true },
					       { "95 %", 8, true },    { heads[1], 15, true },
					       { heads[2], 18, false } };
	char text[7][UNITS_ROOM];
	double most = 0;

	grid_head(to, columns, COUNT_OF(columns));
	for (unsigned i = 0; i < CLASSES; i++) {
		struct bar *first = &bars[i - i % step];

		if (i % step != 0) {
			first->count += bars[i].count;
			first->bytes += bars[i].bytes;
			first->other += bars[i].other;
			first->variance += bars[i].variance;
		}
		most = fmax(most, first->bytes);
	}
	for (unsigned i = 0; i < CLASSES; i += step) {
		const char *cells[] = {
			units_weight(text[0], i ? 1ULL << (i - 1) : 0, unit),
			units_weight(text[1], 1ULL << (i + step - 1 < CLASSES ? i + step - 1 : CLASSES - 1),
				     unit),
			units_count(text[2], (uint64_t)fmax(0, bars[i].count)),
			memory_estimate(text[3], bars[i].bytes),
			error_of(text[4], &bars[i]),
			strcmp(unit, "ns") == 0 ? units_count(text[5], (uint64_t)fmax(0, bars[i].other))
						: memory_estimate(text[5], bars[i].other),
			bar_of(text[6], bars[i].bytes, most)
		};

		if (bars[i].count > 0 || bars[i].other > 0) {
			grid_row(to, columns, COUNT_OF(columns), cells);
		}
	}
}

static void add_sizes(const struct memory_report *report, struct text *to)
{
	static const char *const names[] = { "size_high", "allocations", "allocated", "live",
					     "allocated_high" };
	static const char *const heads[] = { "allocations", "in use", "allocated" };
	struct bar bars[CLASSES];

	if (read_bars(report, "heap_sizes", names, bars)) {
		grid_heading(to, "Heap by size of the allocation");
		add_bars(heads, "bytes", bars, 1, to);
	}
}

static void add_lifetimes(const struct memory_report *report, struct text *to)
{
	static const char *const names[] = { "age_high", "freed", "freed_bytes", "censored", "freed_high" };
	static const char *const heads[] = { "freed", "in use, so old", "freed" };
	struct bar bars[CLASSES];

	if (read_bars(report, "heap_lifetimes", names, bars)) {
		grid_heading(to, "Heap by lifetime");
		add_bars(heads, "ns", bars, 3, to);
	}
}

struct thread {
	int32_t pid, tid;
	double allocated, half, allocations, live;
};

static int by_allocated(const void *a, const void *b)
{
	double x = ((const struct thread *)a)->allocated, y = ((const struct thread *)b)->allocated;

	return (x < y) - (x > y);
}

static void add_threads(const struct memory_report *report, struct text *to)
{
	static const char *const names[] = { "pid",         "tid", "allocated", "allocated_high",
					     "allocations", "live" };
	static const struct grid_column columns[] = { { "pid", 8, true },        { "thread", 8, true },
						      { "allocated", 11, true }, { "+- 95 %", 11, true },
						      { "calls", 13, true },     { "in use", 11, true } };
	struct thread *threads;
	struct cols cols;
	size_t count = 0;

	if (cols_begin(&cols, report->reader, "heap_threads", names, COUNT_OF(names)) != PFC_OK ||
	    cols.table.row_count < 2 || cols.table.row_count > (1u << 20) ||
	    !(threads = calloc(cols.table.row_count, sizeof(*threads)))) {
		return; /* a single thread is all there is to see */
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows && count < cols.table.row_count; i++) {
			struct thread *thread = &threads[count++];

			*thread = (struct thread){
				(int32_t)cols_int(&cols, 0, i, 0), (int32_t)cols_int(&cols, 1, i, 0),
				memory_real(&cols, 2, i),          memory_real(&cols, 3, i),
				memory_real(&cols, 4, i),          memory_real(&cols, 5, i)
			};
			thread->half = fmax(0, thread->half - thread->allocated);
		}
	}
	qsort(threads, count, sizeof(*threads), by_allocated);
	grid_heading(to, "Heap by thread that allocated");
	grid_head(to, columns, COUNT_OF(columns));
	for (size_t i = 0; i < count && i < report->rows; i++) {
		char text[6][UNITS_ROOM];
		const char *cells[] = { text[0],
					text[1],
					memory_estimate(text[2], threads[i].allocated),
					threads[i].half > 0 ? memory_estimate(text[3], threads[i].half)
							    : "exact",
					units_count(text[4], (uint64_t)fmax(0, threads[i].allocations)),
					memory_estimate(text[5], threads[i].live) };

		snprintf(text[0], UNITS_ROOM, "%d", (int)threads[i].pid);
		snprintf(text[1], UNITS_ROOM, "%d", (int)threads[i].tid);
		grid_row(to, columns, COUNT_OF(columns), cells);
	}
	free(threads);
}

void memory_add_histograms(const struct memory_report *report, struct text *to)
{
	add_sizes(report, to);
	add_lifetimes(report, to);
	add_threads(report, to);
}
