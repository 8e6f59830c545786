/* SPDX-License-Identifier: MIT */
/* The first sections of the memory report: what was looked at, the whole in figures, the timeline, processes, mappings. */
#include "memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/grid.h"
#include "lib/units.h"

#define COLUMNS      100
#define PLOT_COLUMNS 84
#define PLOT_ROWS    12
#define COUNT_OF(a)  (sizeof(a) / sizeof((a)[0]))

static const char *bytes(char *to, uint64_t value)
{
	return units_weight(to, value, "bytes");
}

static const char *change(char *to, uint64_t before, uint64_t after)
{
	char text[UNITS_ROOM - 1];

	units_weight(text, after > before ? after - before : before - after, "bytes");
	snprintf(to, UNITS_ROOM, "%s%s", after > before ? "+" : after < before ? "-" : "", text);
	return to;
}

void memory_add_wrapped(struct text *to, const char *mark, const char *words)
{
	size_t indent = text_columns(mark), used = indent;

	text_add(to, mark);
	while (*words) {
		size_t length = strcspn(words, " ");
		struct pfc_string word = { words, length };

		if (used > indent && used + 1 + length > COLUMNS) {
			text_add(to, "\n");
			text_char(to, ' ', indent);
			used = indent;
		} else if (used > indent) {
			text_add(to, " ");
			used++;
		}
		text_clean(to, word, 200);
		used += length;
		words += length;
		words += strspn(words, " ");
	}
	text_add(to, "\n");
}

static void add_plan(const struct memory_report *report, struct text *to)
{
	char key[16];

	grid_heading(to, "What was looked at");
	for (unsigned i = 1; i < 100; i++) {
		const char *line;

		snprintf(key, sizeof(key), "plan.%02u", i);
		line = memory_fact_text(report, key);
		if (!*line) {
			break;
		}
		if (strncmp(line, "sees ", 5) == 0) {
			memory_add_wrapped(to, "  seen      ", line + 5);
		} else {
			memory_add_wrapped(to, "  not seen  ",
					   strncmp(line, "lacks ", 6) == 0 ? line + 6 : line);
		}
	}
}

static void add_group(const struct memory_report *report, struct text *to)
{
	const struct memory_group *group = &report->group;
	char a[UNITS_ROOM], b[UNITS_ROOM], c[UNITS_ROOM];

	if (group->rows == 0) {
		text_add(to, "  control group    not to be had\n");
		return;
	}
	text_format(to, "  control group    %s, at most %s in the window, limit %s%s\n",
		    bytes(a, (uint64_t)(group->last_current > 0 ? group->last_current : 0)),
		    bytes(b, (uint64_t)(group->peak_current > 0 ? group->peak_current : 0)),
		    group->limit < 0 ? "none" : bytes(c, (uint64_t)group->limit),
		    strcmp(memory_fact_text(report, "group.whose"), "shared") == 0 ? "; shared with others"
										   : "");
	if (group->limit_events > 0 || group->high_events > 0) {
		text_format(to, "  !! its limit was hit %lld times in the window\n",
			    (long long)(group->limit_events > 0 ? group->limit_events : group->high_events));
	}
	if (group->pressure_ns >= 0) {
		text_format(to, "  memory pressure  some task waited for memory for %s\n",
			    units_weight(a, (uint64_t)group->pressure_ns, "ns"));
	} else {
		text_add(to, "  memory pressure  not to be had\n");
	}
}

void memory_add_head(const struct memory_report *report, struct text *to)
{
	const struct memory_point *first = memory_first(report), *last = memory_last(report);
	uint64_t peak = 0, peak_ns = 0;
	char a[UNITS_ROOM], b[UNITS_ROOM], c[UNITS_ROOM];

	for (size_t i = 0; i < report->point_count; i++) {
		if (report->points[i].rss > peak) {
			peak = report->points[i].rss;
			peak_ns = report->points[i].time_ns - report->points[0].time_ns;
		}
	}
	text_format(to, "Memory of %s.%s, run %s\n\n", report->producer, report->port, report->run_id);
	if (report->oom_kills) {
		text_format(to,
			    "  !! The kernel killed in the target's control group for lack of memory, %llu "
			    "times.\n",
			    (unsigned long long)report->oom_kills);
	}
	if (report->cut || report->partial) {
		text_add(to, "  !! The artifact is incomplete: figures may be too low.\n");
	}
	text_format(to, "  RSS              %s to %s (%s), at most %s at %.1f s\n", bytes(a, first->rss),
		    bytes(b, last->rss), change(c, first->rss, last->rss),
		    units_weight((char[UNITS_ROOM]){ 0 }, peak, "bytes"), (double)peak_ns / 1e9);
	text_format(to, "  anonymous        %s to %s (%s)\n", bytes(a, first->anon), bytes(b, last->anon),
		    change(c, first->anon, last->anon));
	text_format(to, "  of files         %s to %s (%s)\n", bytes(a, first->file), bytes(b, last->file),
		    change(c, first->file, last->file));
	text_format(to, "  shared, swap     %s, %s\n", bytes(a, last->shmem), bytes(b, last->swap));
	if (memory_fact(report, "sampler_bytes") > 0 && report->process_count > 1) {
		text_format(to,
			    "  of which         at most %s are of the heap's sampler, not of the program\n",
			    bytes(a, (uint64_t)memory_fact(report, "sampler_bytes")));
	}
	text_format(to, "  page faults      %s minor, %s major\n", units_count(a, last->minor - first->minor),
		    units_count(b, last->major - first->major));
	add_group(report, to);
	add_plan(report, to);
}

/* ---- the timeline ---- */

struct plot {
	uint64_t rss[PLOT_COLUMNS], anon[PLOT_COLUMNS];
	uint64_t top;
	double seconds;
};

/* The highest point of each column; a column without one repeats the one before. */
static void fill(const struct memory_report *report, struct plot *plot)
{
	uint64_t begin = report->points[0].time_ns, end = report->points[report->point_count - 1].time_ns;
	uint64_t span = end > begin ? end - begin : 1;
	bool is_set[PLOT_COLUMNS] = { false };

	memset(plot, 0, sizeof(*plot));
	plot->seconds = (double)span / 1e9;
	for (size_t i = 0; i < report->point_count; i++) {
		const struct memory_point *point = &report->points[i];
		uint64_t at =
			point->time_ns < begin ? 0 : (point->time_ns - begin) * (PLOT_COLUMNS - 1) / span;

		at = at < PLOT_COLUMNS ? at : PLOT_COLUMNS - 1;
		if (!is_set[at] || point->rss > plot->rss[at]) {
			plot->rss[at] = point->rss;
			plot->anon[at] = point->anon;
		}
		is_set[at] = true;
		plot->top = point->rss > plot->top ? point->rss : plot->top;
	}
	for (size_t c = 1; c < PLOT_COLUMNS; c++) {
		plot->rss[c] = is_set[c] ? plot->rss[c] : plot->rss[c - 1];
		plot->anon[c] = is_set[c] ? plot->anon[c] : plot->anon[c - 1];
	}
}

/* Full where the anonymous part reaches, shaded where RSS does, an eighth-high block at its edge. */
static const char *cell(uint64_t rss, uint64_t anon, double low, double high)
{
	static const char *const eighths[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	double part;

	if ((double)anon >= high) {
		return "█";
	}
	if ((double)rss >= high) {
		return "▒";
	}
	part = high > low ? ((double)rss - low) / (high - low) * 8 : 0;
	return part <= 0 ? " " : eighths[(int)part < 1 ? 1 : (int)part];
}

void memory_add_timeline(const struct memory_report *report, struct text *to)
{
	struct plot plot;
	char label[UNITS_ROOM];

	grid_heading(to, "Timeline: RSS of all processes; █ anonymous, ▒ files and shared memory");
	if (report->point_count < 2) {
		text_add(to, "Too few samples to draw.\n");
		return;
	}
	fill(report, &plot);
	for (int row = PLOT_ROWS - 1; row >= 0; row--) {
		double low = (double)plot.top * row / PLOT_ROWS,
		       high = (double)plot.top * (row + 1) / PLOT_ROWS;

		bytes(label, (uint64_t)high);
		text_format(to, "%11s ┤", row % 3 == 2 ? label : "");
		for (int c = 0; c < PLOT_COLUMNS; c++) {
			text_add(to, cell(plot.rss[c], plot.anon[c], low, high));
		}
		text_add(to, "\n");
	}
	text_format(to, "%11s └", "0");
	for (int c = 0; c < PLOT_COLUMNS; c++) {
		text_add(to, c % 21 == 20 ? "┴" : "─");
	}
	text_format(to, "\n%13s", "0 s");
	for (int i = 1; i <= 4; i++) {
		text_format(to, "%19.1f s", plot.seconds * i / 4);
	}
	text_add(to, "\n");
}

/* ---- processes ---- */

static uint64_t grown(const struct memory_process *process)
{
	return process->last_rss > process->first_rss ? process->last_rss - process->first_rss : 0;
}

static int by_growth(const void *a, const void *b)
{
	const struct memory_process *x = a, *y = b;

	if (grown(x) != grown(y)) {
		return grown(x) > grown(y) ? -1 : 1;
	}
	if (x->peak_rss != y->peak_rss) {
		return x->peak_rss > y->peak_rss ? -1 : 1;
	}
	return (x->pid > y->pid) - (x->pid < y->pid);
}

void memory_add_processes(struct memory_report *report, struct text *to)
{
	static const struct grid_column columns[] = { { "pid", 8, true },        { "process", 15, false },
						      { "first RSS", 10, true }, { "last RSS", 10, true },
						      { "change", 11, true },    { "PSS", 10, true },
						      { "faults", 9, true },     { "major", 6, true },
						      { "", 5, false } };
	size_t shown = 0, unread = 0, more = 0;
	char text[7][UNITS_ROOM];

	grid_heading(to, "Processes by growth");
	grid_head(to, columns, COUNT_OF(columns));
	qsort(report->processes, report->process_count, sizeof(*report->processes), by_growth);
	for (size_t i = 0; i < report->process_count; i++) {
		const struct memory_process *p = &report->processes[i];
		const char *cells[] = { text[0],
					names_text(&report->names, p->name),
					bytes(text[1], p->first_rss),
					bytes(text[2], p->last_rss),
					change(text[3], p->first_rss, p->last_rss),
					p->pss ? bytes(text[4], p->pss) : "",
					units_count(text[5], p->minor),
					units_count(text[6], p->major),
					p->is_ended  ? "ended"
					: p->is_born ? "born"
						     : "" };

		snprintf(text[0], UNITS_ROOM, "%d", p->pid);
		if (!p->has_first) {
			unread++;
		} else if (shown == report->rows) {
			more++;
		} else {
			grid_row(to, columns, COUNT_OF(columns), cells);
			shown++;
		}
	}
	if (more) {
		text_format(to, "(%zu more)\n", more);
	}
	if (unread) {
		text_format(to, "(%zu that ended before they could be read)\n", unread);
	}
}

/* ---- mappings ---- */

void memory_add_kinds(const struct memory_report *report, struct text *to)
{
	static const char *const words[MEMORY_KINDS] = { "other",        "heap (brk)",   "main stack",
							 "anonymous",    "file, code",   "file, private",
							 "file, shared", "shared memory" };
	static const struct grid_column columns[] = { { "kind", 14, false },      { "mappings", 9, true },
						      { "RSS before", 11, true }, { "RSS after", 11, true },
						      { "change", 12, true },     { "PSS after", 11, true },
						      { "anonymous", 11, true },  { "swap", 7, true } };
	char text[7][UNITS_ROOM];

	grid_heading(to, "Memory by kind of mapping, before and after the window");
	if (!report->has_kinds[1]) {
		text_add(to, "Not to be had after the window: the target had ended, or it was left out.\n");
	}
	if (!report->has_kinds[0]) {
		text_add(to, "Not to be had before the window: the target was launched at its begin, or it "
			     "was left out.\n");
	}
	if (!report->has_kinds[0] && !report->has_kinds[1]) {
		return;
	}
	grid_head(to, columns, COUNT_OF(columns));
	for (unsigned kind = 0; kind < MEMORY_KINDS; kind++) {
		const struct memory_kind *before = &report->kinds[0][kind], *after = &report->kinds[1][kind];
		const struct memory_kind *now = report->has_kinds[1] ? after : before;
		const char *cells[] = { words[kind],
					units_count(text[0], now->count),
					report->has_kinds[0] ? bytes(text[1], before->rss) : "",
					report->has_kinds[1] ? bytes(text[2], after->rss) : "",
					report->has_kinds[0] && report->has_kinds[1]
						? change(text[3], before->rss, after->rss)
						: "",
					bytes(text[4], now->pss),
					bytes(text[5], now->anon),
					bytes(text[6], now->swap) };

		if (before->count || after->count) {
			grid_row(to, columns, COUNT_OF(columns), cells);
		}
	}
}
