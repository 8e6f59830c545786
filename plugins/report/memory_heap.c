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

/* What the stacks of one function come to. */
struct site {
	double live, live_half, allocated, allocated_half, allocations, temporary,
		peak; /* _half: of the 95 % interval */
	uint32_t function, module, stacks;
};

/* A figure of a column of reals. */
double memory_real(const struct cols *cols, uint32_t column, uint64_t row)
{
	const struct pfc_column_view *view = &cols->views[column];

	return cols_has(cols, column) && view->type == PFC_F64 && row < view->row_count
		       ? ((const double *)view->data)[row]
		       : 0;
}

/* "?" where it is not known, which is not nothing. */
const char *memory_estimate(char *to, double value)
{
	if (!isfinite(value)) {
		return "?";
	}
	return units_weight(to, value > 0 && value < 1e18 ? (uint64_t)value : 0, "bytes");
}

const char *memory_name(const struct memory_report *report, uint32_t string)
{
	const char *name =
		string < report->string_count ? names_text(&report->names, report->strings[string]) : "";

	return *name ? name : "[unknown]";
}

/* The last part of a path; the kernel's "[heap]" and "libc.so.6" as they are. */
static const char *module_name(const struct memory_report *report, uint32_t string)
{
	const char *name = memory_name(report, string), *slash = strrchr(name, '/');

	return slash && slash[1] ? slash + 1 : name;
}

static int by_function(const void *a, const void *b)
{
	const struct site *x = a, *y = b;

	return x->function != y->function ? (x->function > y->function) - (x->function < y->function)
					  : (x->module > y->module) - (x->module < y->module);
}

/* Stacks of one function become one row: sums, with the root of the squares of their errors. */
static size_t merge(struct site *sites, size_t count)
{
	size_t kept = 0;

	qsort(sites, count, sizeof(*sites), by_function);
	for (size_t i = 0; i < count; i++) {
		struct site *to = &sites[kept ? kept - 1 : 0];

		if (kept == 0 || by_function(to, &sites[i]) != 0) {
			sites[kept++] = sites[i];
			continue;
		}
		to->live += sites[i].live;
		to->live_half = hypot(to->live_half, sites[i].live_half);
		to->allocated += sites[i].allocated;
		to->allocated_half = hypot(to->allocated_half, sites[i].allocated_half);
		to->allocations += sites[i].allocations;
		to->temporary += sites[i].temporary;
		to->peak += sites[i].peak;
		to->stacks++;
	}
	return kept;
}

/* Of an interval; NAN where it has no upper end. */
static double half_of(double high, double middle)
{
	return high < middle ? 0 : high - middle;
}

static size_t read_sites(const struct memory_report *report, struct site **ret)
{
	static const char *const names[] = { "live",           "live_high",   "allocated",
					     "allocated_high", "allocations", "temporary",
					     "peak",           "function",    "module" };
	struct cols cols;
	size_t count = 0;

	*ret = NULL;
	if (cols_begin(&cols, report->reader, "heap_sites", names, COUNT_OF(names)) != PFC_OK ||
	    cols.table.row_count == 0 || cols.table.row_count > SITES_MAX) {
		return 0;
	}
	*ret = calloc(cols.table.row_count, sizeof(**ret));
	while (*ret && cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows && count < cols.table.row_count; i++) {
			struct site *site = &(*ret)[count++];

			*site = (struct site){ .live = memory_real(&cols, 0, i),
					       .allocated = memory_real(&cols, 2, i),
					       .allocations = memory_real(&cols, 4, i),
					       .temporary = memory_real(&cols, 5, i),
					       .peak = memory_real(&cols, 6, i),
					       .function = cols_id(&cols, 7, i),
					       .module = cols_id(&cols, 8, i),
					       .stacks = 1 };
			site->live_half = half_of(memory_real(&cols, 1, i), site->live);
			site->allocated_half = half_of(memory_real(&cols, 3, i), site->allocated);
		}
	}
	return merge(*ret, count);
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
	static const struct grid_column columns[] = { { "in use", 10, true },  { "+- 95 %", 10, true },
						      { "at peak", 10, true }, { "allocated", 10, true },
						      { "stacks", 6, true },   { "function", 28, false },
						      { "module", 14, false } };
	const char *unseen = memory_fact_text(report, "heap_in_use_unseen");
	char text[5][UNITS_ROOM];

	grid_heading(to, "Heap in use at the end, by function that allocated it");
	if (*unseen) {
		memory_add_wrapped(to, "  not seen  ", unseen);
		return;
	}
	if (count == 0 || sites[0].live <= 0) {
		text_add(to, "Nothing.\n");
		return;
	}
	grid_head(to, columns, COUNT_OF(columns));
	for (size_t i = 0; i < count && i < report->rows && sites[i].live > 0; i++) {
		const char *cells[] = { memory_estimate(text[0], sites[i].live),
					sites[i].live_half > 0 ? memory_estimate(text[1], sites[i].live_half)
							       : "exact",
					memory_estimate(text[2], sites[i].peak),
					memory_estimate(text[3], sites[i].allocated),
					units_count(text[4], sites[i].stacks),
					memory_name(report, sites[i].function),
					module_name(report, sites[i].module) };

		grid_row(to, columns, COUNT_OF(columns), cells);
	}
}

static void add_churn(const struct memory_report *report, const struct site *sites, size_t count,
		      struct text *to)
{
	static const struct grid_column columns[] = { { "allocated", 10, true }, { "+- 95 %", 10, true },
						      { "calls", 11, true },     { "freed soon", 10, true },
						      { "in use", 10, true },    { "function", 25, false },
						      { "module", 12, false } };
	char text[5][UNITS_ROOM];

	grid_heading(to, "Heap churn: allocated in the window, by function");
	grid_head(to, columns, COUNT_OF(columns));
	for (size_t i = 0; i < count && i < report->rows && sites[i].allocated > 0; i++) {
		const char *cells[] = {
			memory_estimate(text[0], sites[i].allocated),
			sites[i].allocated_half > 0 ? memory_estimate(text[1], sites[i].allocated_half)
						    : "exact",
			units_count(text[2], sites[i].allocations > 0 ? (uint64_t)sites[i].allocations : 0),
			memory_estimate(text[3], sites[i].temporary),
			memory_estimate(text[4], sites[i].live),
			memory_name(report, sites[i].function),
			module_name(report, sites[i].module)
		};

		grid_row(to, columns, COUNT_OF(columns), cells);
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
	memory_add_histograms(report, to);
	memory_add_leaks(report, to);
}

/* What the allocator holds beyond what was asked for: by rounding, and by pages of its own that no live object is in. */
static void add_allocator(const struct memory_report *report, struct text *to)
{
	double round = memory_fact(report, "heap_rounding_pct"),
	       half = memory_fact(report, "heap_rounding_half_pct");
	double held = memory_fact(report, "heap_held_bytes"),
	       error = memory_fact(report, "heap_held_half_bytes");
	char a[UNITS_ROOM], b[UNITS_ROOM];

	if (isfinite(round)) {
		text_format(
			to,
			"  rounding         live objects have %.1f %% (+- %.1f) more than was asked for\n",
			round, isfinite(half) ? half : 0);
	}
	if (isfinite(held)) {
		char line[300];

		snprintf(line, sizeof(line),
			 "%s%s (+- %s) of the anonymous memory at its peak: free space and tables of the "
			 "allocator, thread "
			 "stacks, mappings of the program's own",
			 held < 0 ? "-" : "", memory_estimate(a, fabs(held)),
			 memory_estimate(b, isfinite(error) ? error : 0));
		memory_add_wrapped(to, "  in no object     ", line);
	}
}

/* What the allocator knows of, beside what the kernel counts. */
static void add_heap_coverage(const struct memory_report *report, struct text *to)
{
	double pct = memory_fact(report, "heap_coverage_pct");
	const char *by = memory_fact_text(report, "heap_by"),
		   *allocator = memory_fact_text(report, "heap_allocator");
	const char *unseen = memory_fact_text(report, "heap_unseen");
	const char *part = memory_fact_text(report, "heap_in_use_unseen");
	char text[UNITS_ROOM];

	if (*by && !*unseen && !isfinite(pct)) {
		text_format(to, "  heap             seen by %s, allocator %s\n", by,
			    *allocator ? allocator : "?");
		memory_add_wrapped(to, "  explained        ",
				   *part ? part
					 : "too little memory came into use to say how much of it was seen");
		return;
	}
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
	add_allocator(report, to);
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
