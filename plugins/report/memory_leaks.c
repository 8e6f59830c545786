/* SPDX-License-Identifier: MIT */
/* The leak verdicts: what leaks first, then by how fast it grew, each with the reason of its verdict. */
#include "memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cols.h"
#include "lib/grid.h"
#include "lib/units.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define LEAK        1
#define LEAKS_MAX   (1u << 20)
#define OTHERS_MAX  10 /* rows of what is no leak */

struct leak {
	int64_t verdict;
	double confidence, rate, low, high;
	uint32_t function, why;
};

static int by_verdict(const void *a, const void *b)
{
	const struct leak *x = a, *y = b;

	if ((x->verdict == LEAK) != (y->verdict == LEAK)) {
		return x->verdict == LEAK ? -1 : 1;
	}
	return (x->rate < y->rate) - (x->rate > y->rate);
}

static int by_name(const void *a, const void *b)
{
	const struct leak *x = a, *y = b;

	if (x->function != y->function) {
		return (x->function > y->function) - (x->function < y->function);
	}
	return x->verdict != y->verdict ? (x->verdict > y->verdict) - (x->verdict < y->verdict)
					: (x->why > y->why) - (x->why < y->why);
}

/* Stacks of one function with the same verdict for the same reason become one row; what leaks stays by stack. */
static size_t merge(struct leak *leaks, size_t count)
{
	size_t kept = 0;

	qsort(leaks, count, sizeof(*leaks), by_name);
	for (size_t i = 0; i < count; i++) {
		struct leak *to = kept ? &leaks[kept - 1] : NULL;
		double below, above;

		if (!to || to->verdict == LEAK || by_name(to, &leaks[i]) != 0) {
			leaks[kept++] = leaks[i];
			continue;
		}
		below = hypot(to->rate - to->low, leaks[i].rate - leaks[i].low);
		above = hypot(to->high - to->rate, leaks[i].high - leaks[i].rate);
		to->rate += leaks[i].rate;
		to->low = fmax(0, to->rate - below);
		to->high = to->rate + above;
	}
	return kept;
}

static size_t read_leaks(const struct memory_report *report, struct leak **ret)
{
	static const char *const names[] = { "verdict",   "confidence", "rate", "rate_low",
					     "rate_high", "function",   "why" };
	struct cols cols;
	size_t count = 0;

	*ret = NULL;
	if (cols_begin(&cols, report->reader, "leaks", names, COUNT_OF(names)) != PFC_OK ||
	    cols.table.row_count == 0 || cols.table.row_count > LEAKS_MAX) {
		return 0;
	}
	*ret = calloc(cols.table.row_count, sizeof(**ret));
	while (*ret && cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows && count < cols.table.row_count; i++) {
			(*ret)[count++] = (struct leak){ cols_int(&cols, 0, i, 0), memory_real(&cols, 1, i),
							 memory_real(&cols, 2, i), memory_real(&cols, 3, i),
							 memory_real(&cols, 4, i), cols_id(&cols, 5, i),
							 cols_id(&cols, 6, i) };
		}
	}
	count = *ret ? merge(*ret, count) : 0;
	if (*ret) {
		qsort(*ret, count, sizeof(**ret), by_verdict);
	}
	return count;
}

void memory_add_leaks(const struct memory_report *report, struct text *to)
{
	static const char *const words[] = { "no leak", "LEAKS", "too short to tell", "grew and stopped",
					     "grew, old ones leave" };
	static const struct grid_column columns[] = { { "verdict", 20, false },  { "sure %", 6, true },
						      { "a second", 10, true },  { "from", 10, true },
						      { "to (95 %)", 10, true }, { "function", 34, false } };
	char text[4][UNITS_ROOM];
	struct leak *leaks;
	size_t count = read_leaks(report, &leaks), shown = 0, rows = 0;

	grid_heading(to, "Leaks: what of the window stays, by stack");
	if (count == 0) {
		text_add(to, "Nothing that came in the window stayed for a quarter of it.\n");
	} else {
		grid_head(to, columns, COUNT_OF(columns));
	}
	for (size_t i = 0; i < count && i < report->rows && (leaks[i].verdict == LEAK || shown < OTHERS_MAX);
	     i++) {
		const struct leak *leak = &leaks[i];
		const char *why = memory_name(report, leak->why);
		const char *cells[] = {
			words[leak->verdict >= 0 && leak->verdict < (int64_t)COUNT_OF(words) ? leak->verdict
											     : 2],
			leak->verdict == LEAK ? text[0] : "-",
			memory_estimate(text[1], leak->rate),
			memory_estimate(text[2], leak->low),
			memory_estimate(text[3], leak->high),
			memory_name(report, leak->function)
		};

		snprintf(text[0], UNITS_ROOM, "%.1f", leak->confidence);
		grid_row(to, columns, COUNT_OF(columns), cells);
		shown += leak->verdict != LEAK;
		rows++;
		if (i == 0 || leak->verdict == LEAK || leak->why != leaks[i - 1].why) {
			memory_add_wrapped(to, "    ", why);
		}
	}
	if (count > rows) {
		text_format(to, "(%zu more)\n", count - rows);
	}
	free(leaks);
}
