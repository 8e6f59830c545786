/* SPDX-License-Identifier: MIT */
/* report.txt. */
#include "analysis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/grid.h"
#include "lib/units.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define WIDTH           100u
#define PATH_LEAST_PCT  5.0
#define PATH_ROWS       40u

/* Fill lines at blanks; `first` stands before the first, blanks before the others. */
static void add_wrapped(struct text *to, const char *first, const char *clean)
{
	size_t indent = text_columns(first), at = indent;
	const char *end;
	struct text word = { 0 };

	text_add(to, first);
	for (; *clean; clean = *end ? end + 1 : end) {
		end = strchrnul(clean, ' ');
		text_bytes(&word, clean, (size_t)(end - clean));
		if (at > indent && at + text_columns(text_str(&word)) + 1 > WIDTH) {
			text_add(to, "\n");
			text_char(to, ' ', indent);
			at = indent;
		} else if (at > indent) {
			text_add(to, " ");
			at++;
		}
		text_add(to, text_str(&word));
		at += text_columns(text_str(&word));
		to->failed |= word.failed;
		text_finish(&word);
	}
	text_add(to, "\n");
}

static void add_alarms(const struct analysis *analysis, struct text *to)
{
	const char *at = text_str(&analysis->alarms), *end;
	struct text line = { 0 };

	for (; *at; at = *end ? end + 1 : end) {
		end = strchrnul(at, '\n');
		text_bytes(&line, at, (size_t)(end - at));
		add_wrapped(to, "  !! ", text_str(&line));
		to->failed |= line.failed;
		text_finish(&line);
	}
	if (analysis->alarms.bytes) {
		text_add(to, "\n");
	}
}

static void add_findings(const struct analysis *analysis, struct text *to)
{
	uint32_t i;

	if (analysis->finding_count == 0) {
		return;
	}
	grid_heading(to, "Findings");
	for (i = 0; i < analysis->finding_count; i++) {
		const struct finding *finding = &analysis->findings[i];
		char first[24];

		snprintf(first, sizeof(first), "  %-8s ", finding->severity);
		add_wrapped(to, first, text_str(&finding->title));
		add_wrapped(to, "           ", text_str(&finding->evidence));
	}
}

static void add_completeness(const struct analysis *analysis, struct text *to)
{
	char count[UNITS_ROOM];
	struct text line = { 0 };
	uint32_t i;

	grid_heading(to, "Completeness");
	for (i = 0; i < analysis->view_count; i++) {
		const struct view *view = &analysis->views[i];

		text_format(&line, "%s: ", view->label);
		if (view->profile) {
			text_format(&line, "%s samples of %s%s; ", units_count(count, view->profile->samples),
				    view->profile->event, view->health.partial ? ", PARTIAL" : "");
			health_line(&view->health, &line);
		} else {
			text_add(&line, text_str(&view->trouble));
		}
		add_wrapped(to, "  ", text_str(&line));
		text_finish(&line);
	}
	for (i = 0; i < analysis->load_count; i++) {
		const struct load *load = &analysis->loads[i];

		text_format(&line, "%s: ", load->label);
		if (load->trouble.bytes) {
			text_add(&line, text_str(&load->trouble));
		} else {
			text_format(&line, "%s requests in the window%s",
				    units_count(count, load->latency.requests),
				    load->latency.partial ? ", PARTIAL" : "");
			text_format(&line, ", lost %s", units_count(count, load->latency.lost));
		}
		add_wrapped(to, "  ", text_str(&line));
		text_finish(&line);
	}
	if (analysis->view_count == 0) {
		text_add(to, "  stacks: none in this run\n");
	}
	if (analysis->load_count == 0) {
		text_add(to, "  requests: none in this run\n");
	}
}

static void add_functions(const struct analysis *analysis, const struct view *view, const struct rank *rank,
			  struct text *to)
{
	static const struct grid_column columns[] = { { "self %", 6, true },
						      { "total %", 7, true },
						      { "samples", 9, true },
						      { "function", 50, false },
						      { "module", 20, false } };
	const struct profile *profile = view->profile;
	char self[UNITS_ROOM], total[UNITS_ROOM], samples[UNITS_ROOM];
	uint32_t i;

	grid_head(to, columns, COUNT_OF(columns));
	for (i = 0; i < rank->count && i < analysis->top; i++) {
		const struct rank_row *row = &rank->rows[i];
		const char *cells[] = { self, total, units_count(samples, row->self_samples),
					profile_function_name(profile, row->id),
					profile_function_module(profile, row->id) };

		snprintf(self, sizeof(self), "%.2f", units_pct(row->self, profile->weight));
		snprintf(total, sizeof(total), "%.2f", units_pct(row->total, profile->weight));
		grid_row(to, columns, COUNT_OF(columns), cells);
	}
}

/* From the root along the heaviest callee. */
static void add_hot_path(const struct view *view, struct text *to)
{
	const struct calltree_node *nodes = view->tree.nodes;
	const struct profile *profile = view->profile;
	uint32_t at = nodes[0].child, rows = 0;
	struct text line = { 0 };

	text_add(to, "\nHot path: from the root along the heaviest callee\n\n");
	for (; at && units_pct(nodes[at].total, profile->weight) >= PATH_LEAST_PCT && rows < PATH_ROWS;
	     at = nodes[at].child, rows++) {
		text_format(&line, "%6.2f  %s  [%s%s]", units_pct(nodes[at].total, profile->weight),
			    profile_function_name(profile, nodes[at].function),
			    profile_function_module(profile, nodes[at].function),
			    nodes[at].inlined ? ", inlined" : "");
		text_cut(to, text_str(&line), WIDTH);
		text_add(to, "\n");
		to->failed |= line.failed;
		text_finish(&line);
	}
	if (rows == PATH_ROWS && at) {
		text_add(to, "        (deeper frames are in the call tree)\n");
	}
}

static void add_view(const struct analysis *analysis, const struct view *view, struct text *to)
{
	struct text title = { 0 };
	char count[UNITS_ROOM], weight[UNITS_ROOM];

	if (!view->profile || view->profile->samples == 0) {
		return;
	}
	text_format(&title, "%s: %s", view->label, view_subject(view));
	grid_heading(to, text_str(&title));
	text_finish(&title);
	text_format(to, "%s samples, %s", units_count(count, view->profile->samples),
		    units_weight(weight, view->profile->weight, view->profile->unit));
	if (view == analysis->main && isfinite(analysis->cpus_busy)) {
		text_format(to, " in a window of %.1f s: %.2f CPUs busy on average", analysis->window_s,
			    analysis->cpus_busy);
	}
	text_add(to, "\n\nBy self\n\n");
	add_functions(analysis, view, &view->self, to);
	text_add(to, "\nBy total\n\n");
	add_functions(analysis, view, &view->total, to);
	add_hot_path(view, to);
}

static void add_load(const struct analysis *analysis, const struct load *load, struct text *to)
{
	const struct latency *latency = &load->latency;
	struct text title = { 0 };
	char text[6][UNITS_ROOM];
	unsigned i;

	if (load->trouble.bytes || latency->requests == 0) {
		return;
	}
	text_format(&title, "%s: latency", load->label);
	grid_heading(to, text_str(&title));
	text_finish(&title);
	text_format(to, "%s requests, %s answered", units_count(text[0], latency->requests),
		    units_count(text[1], latency->answered));
	text_format(to, ", %s failed, %s with status 4xx, %s with 5xx, %.1f answers/s\n\n",
		    units_count(text[0], latency->failed), units_count(text[1], latency->status_4xx),
		    units_count(text[2], latency->status_5xx), latency->rps);
	text_format(to, "%12s %12s %12s %12s %12s\n", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms");
	text_format(to, "%12s %12s %12s %12s %12s\n", units_ms(text[0], latency->p50_ns),
		    units_ms(text[1], latency->p90_ns), units_ms(text[2], latency->p99_ns),
		    units_ms(text[3], latency->p999_ns), units_ms(text[4], latency->max_ns));
	for (i = 1; i < LATENCY_ERRORS; i++) {
		if (latency->errors[i]) {
			text_format(to, "\n  errors by %s: %s", latency_error_word(i),
				    units_count(text[0], latency->errors[i]));
		}
	}
	text_add(to, latency->failed ? "\n" : "");
	if (load == &analysis->loads[0] && isfinite(analysis->cpu_ns_per_request)) {
		text_format(to, "\nCPU time per answered request: %s ms\n",
			    units_ms(text[0], (uint64_t)analysis->cpu_ns_per_request));
	}
}

void report_text(const struct analysis *analysis, struct text *to)
{
	uint32_t i;

	text_format(to, "profcore report, run %s", analysis->run_id);
	if (analysis->window_s > 0) {
		text_format(to, ", window %.1f s", analysis->window_s);
	}
	text_add(to, "\n\n");
	add_alarms(analysis, to);
	add_wrapped(to, "", text_str(&analysis->verdict));
	add_findings(analysis, to);
	add_completeness(analysis, to);
	for (i = 0; i < analysis->view_count; i++) {
		add_view(analysis, &analysis->views[i], to);
	}
	for (i = 0; i < analysis->load_count; i++) {
		add_load(analysis, &analysis->loads[i], to);
	}
}
