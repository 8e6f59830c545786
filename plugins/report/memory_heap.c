/* SPDX-License-Identifier: MIT */
/* The allocator's view, from the heap tables, and how far it explains what the kernel saw. */
#include "memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cols.h"
#include "lib/grid.h"
#include "lib/units.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define SITES_MAX   (1u << 20)

struct site {
	double live, live_low, live_high, allocated, allocations, temporary, peak;
	uint32_t function, module;
};

/* A figure of a column of reals. */
static double real_of(const struct cols *cols, uint32_t column, uint64_t row)
{
	const struct pfc_column_view *view = &cols->views[column];

	return cols_has(cols, column) && view->type == PFC_F64 && row < view->row_count
		       ? ((const double *)view->data)[row]
		       : 0;
}

static const char *estimate(char *to, double value)
{
	return units_weight(to, value > 0 && value < 1e18 ? (uint64_t)value : 0, "bytes");
}

static const char *name_of(const struct memory_report *report, uint32_t string)
{
	const char *name =
		string < report->string_count ? names_text(&report->names, report->strings[string]) : "";

	return *name ? name : "[unknown]";
}

static size_t read_sites(const struct memory_report *report, struct site **ret)
{
	static const char *const names[] = { "live",        "live_low",  "live_high", "allocated",
					     "allocations", "temporary", "function",  "module" };
	struct cols cols;
	size_t count = 0;

	*ret = NULL;
	if (cols_begin(&cols, report->reader, "heap_sites", names, 8) != PFC_OK ||
	    cols.table.row_count == 0 || cols.table.row_count > SITES_MAX) {
		return 0;
	}
	*ret = calloc(cols.table.row_count, sizeof(**ret));
	while (*ret && cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows && count < cols.table.row_count; i++) {
			(*ret)[count++] = (struct site){ .live = real_of(&cols, 0, i),
							 .live_low = real_of(&cols, 1, i),
							 .live_high = real_of(&cols, 2, i),
							 .allocated = real_of(&cols, 3, i),
							 .allocations = real_of(&cols, 4, i),
							 .temporary = real_of(&cols, 5, i),
							 .function = cols_id(&cols, 6, i),
							 .module = cols_id(&cols, 7, i) };
		}
	}
	return count;
}

static int by_live(const void *a, const void *b)
{
	double x = ((const struct site *)a)->live, y = ((const struct site *)b)->live;

	return (x < y) - (x > y);
}

static int by_allocated(const void *a, const void *b)
{
	double x = ((const struct site *)a)->allocated, y = ((const struct site *)b)->allocated;

	return (x < y) - (x > y);
}

static void add_in_use(const struct memory_report *report, const struct site *sites, size_t count,
		       struct text *to)
{
	static const struct grid_column columns[] = { { "in use", 10, true },    { "from", 10, true },
						      { "to (95 %)", 10, true }, { "allocated", 10, true },
						      { "function", 36, false }, { "module", 16, false } };
	char text[4][UNITS_ROOM];

	grid_heading(to, "Heap in use at the end, by function that allocated it");
	grid_head(to, columns, COUNT_OF(columns));
	for (size_t i = 0; i < count && i < report->rows && sites[i].live > 0; i++) {
		const char *cells[] = {
			estimate(text[0], sites[i].live),      estimate(text[1], sites[i].live_low),
			estimate(text[2], sites[i].live_high), estimate(text[3], sites[i].allocated),
			name_of(report, sites[i].function),    name_of(report, sites[i].module)
		};

		grid_row(to, columns, COUNT_OF(columns), cells);
	}
}

static void add_churn(const struct memory_report *report, const struct site *sites, size_t count,
		      struct text *to)
{
	static const struct grid_column columns[] = { { "allocated", 11, true },  { "calls", 13, true },
						      { "freed soon", 11, true }, { "in use", 11, true },
						      { "function", 33, false },  { "module", 15, false } };
	char text[4][UNITS_ROOM];

	grid_heading(to, "Heap churn: allocated in the window, by function");
	grid_head(to, columns, COUNT_OF(columns));
	for (size_t i = 0; i < count && i < report->rows && sites[i].allocated > 0; i++) {
		const char *cells[] = {
			estimate(text[0], sites[i].allocated),
			units_count(text[1], sites[i].allocations > 0 ? (uint64_t)sites[i].allocations : 0),
			estimate(text[2], sites[i].temporary),
			estimate(text[3], sites[i].live),
			name_of(report, sites[i].function),
			name_of(report, sites[i].module)
		};

		grid_row(to, columns, COUNT_OF(columns), cells);
	}
}

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
			double half = cols_has(&cols, 4) ? real_of(&cols, 4, i) - real_of(&cols, 2, i) : 0;

			bar->count += real_of(&cols, 1, i);
			bar->bytes += real_of(&cols, 2, i);
			bar->other += real_of(&cols, 3, i);
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

static void add_bars(const char *const heads[3], const char *unit, const struct bar *bars, struct text *to)
{
	const struct grid_column columns[] = { { "from", 10, true },   { "below", 10, true },
					       { heads[0], 12, true }, { "bytes", 10, true },
					       { "95 %", 8, true },    { heads[1], 15, true },
					       { heads[2], 18, false } };
	char text[7][UNITS_ROOM];
	double most = 0;

	grid_head(to, columns, COUNT_OF(columns));
	for (unsigned i = 0; i < CLASSES; i++) {
		most = fmax(most, bars[i].bytes);
	}
	for (unsigned i = 0; i < CLASSES; i++) {
		const char *cells[] = { units_weight(text[0], i ? 1ULL << (i - 1) : 0, unit),
					units_weight(text[1], 1ULL << i, unit),
					units_count(text[2], (uint64_t)fmax(0, bars[i].count)),
					estimate(text[3], bars[i].bytes),
					error_of(text[4], &bars[i]),
					strcmp(unit, "ns") == 0
						? units_count(text[5], (uint64_t)fmax(0, bars[i].other))
						: estimate(text[5], bars[i].other),
					bar_of(text[6], bars[i].bytes, most) };

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
		add_bars(heads, "bytes", bars, to);
	}
}

static void add_lifetimes(const struct memory_report *report, struct text *to)
{
	static const char *const names[] = { "age_high", "freed", "freed_bytes", "censored", "freed_high" };
	static const char *const heads[] = { "freed", "in use, so old", "freed" };
	struct bar bars[CLASSES];

	if (read_bars(report, "heap_lifetimes", names, bars)) {
		grid_heading(to, "Heap by lifetime");
		add_bars(heads, "ns", bars, to);
	}
}

static void add_leaks(const struct memory_report *report, struct text *to)
{
	static const char *const names[] = { "verdict",   "confidence", "rate",   "rate_low",
					     "rate_high", "function",   "module", "why" };
	static const char *const words[] = { "no leak", "leaks", "too short to tell", "grew and stopped",
					     "grew, old ones leave" };
	static const struct grid_column columns[] = { { "verdict", 20, false },  { "sure %", 6, true },
						      { "a second", 10, true },  { "from", 10, true },
						      { "to (95 %)", 10, true }, { "function", 36, false } };
	char text[4][UNITS_ROOM];
	struct cols cols;
	size_t shown = 0;

	grid_heading(to, "Leaks: growth of what is in use, by function");
	if (cols_begin(&cols, report->reader, "leaks", names, 8) != PFC_OK || cols.table.row_count == 0) {
		text_add(to, "No stack was judged.\n");
		return;
	}
	grid_head(to, columns, COUNT_OF(columns));
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			int64_t verdict = cols_int(&cols, 0, i, 0);
			const char *cells[] = {
				words[verdict >= 0 && verdict < (int64_t)COUNT_OF(words) ? verdict : 2],
				text[0],
				estimate(text[1], real_of(&cols, 2, i)),
				estimate(text[2], real_of(&cols, 3, i)),
				estimate(text[3], real_of(&cols, 4, i)),
				name_of(report, cols_id(&cols, 5, i))
			};

			snprintf(text[0], UNITS_ROOM, "%.1f", real_of(&cols, 1, i));
			if (shown++ < report->rows) {
				grid_row(to, columns, COUNT_OF(columns), cells);
			}
		}
	}
	if (shown > report->rows) {
		text_format(to, "(%zu more)\n", shown - report->rows);
	}
}

void memory_add_heap(const struct memory_report *report, struct text *to)
{
	struct site *sites;
	size_t count = read_sites(report, &sites);

	if (count == 0) {
		free(sites);
		return;
	}
	qsort(sites, count, sizeof(*sites), by_live);
	add_in_use(report, sites, count, to);
	qsort(sites, count, sizeof(*sites), by_allocated);
	add_churn(report, sites, count, to);
	free(sites);
	add_sizes(report, to);
	add_lifetimes(report, to);
	add_leaks(report, to);
}

/* What the allocator knows of, beside what the kernel counts. */
static void add_heap_coverage(const struct memory_report *report, struct text *to)
{
	double pct = memory_fact(report, "heap_coverage_pct");
	const char *by = memory_fact_text(report, "heap_by"),
		   *allocator = memory_fact_text(report, "heap_allocator");
	const char *unseen = memory_fact_text(report, "heap_unseen");
	char text[UNITS_ROOM];

	if (!isfinite(pct)) {
		text_format(
			to,
			"  heap             not seen%s%s: nothing below the page is known of any allocator\n",
			*unseen ? ": " : "", unseen);
		return;
	}
	text_format(to, "  heap             seen by %s, allocator %s\n", *by ? by : "?",
		    *allocator ? allocator : "?");
	text_format(to,
		    "  explained        %s %% of the anonymous memory was in use by objects that were seen\n",
		    units_pct_text(text, pct));
	if (pct < 50) {
		text_add(to, "  !! Most of it was not: an allocator that was not seen (an arena over mmap, "
			     "one linked in), or\n"
			     "     fragmentation. Growth by function, above, holds for any allocator.\n");
	}
}

void memory_add_coverage(const struct memory_report *report, struct text *to)
{
	double seen = memory_fact(report, "faults.seen_pct"), ended = memory_fact(report, "ended_unread");
	double faults =
		memory_fact(report, "faults.counted"); /* NAN: they were not looked at, as said above */
	char text[UNITS_ROOM];

	grid_heading(to, "Coverage");
	add_heap_coverage(report, to);
	if (faults == 0) {
		text_add(to, "  page faults      none in the window\n");
	} else if (faults > 0 && isfinite(seen)) {
		text_format(to,
			    "  page faults      %s in the window; the samples stand for %.1f %% of them\n",
			    units_count(text, (uint64_t)faults), seen);
		if (seen < 90 || seen > 110) {
			text_add(to, "  !! Threads or processes were too short-lived to be sampled in "
				     "proportion.\n");
		}
	}
	if (ended > 0) {
		text_format(to, "  short-lived      %s processes ended before their memory could be read\n",
			    units_count(text, (uint64_t)ended));
	}
	text_format(to,
		    "  cost             %.0f us of profcore's CPU for each of %.0f ticks; PSS read %.0f "
		    "times, at most %.0f us\n",
		    fmax(0, memory_fact(report, "tick_cost_us")), fmax(0, memory_fact(report, "ticks")),
		    fmax(0, memory_fact(report, "pss_reads")),
		    fmax(0, memory_fact(report, "pss_cost_max_us")));
}
