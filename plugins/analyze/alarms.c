/* SPDX-License-Identifier: MIT */
/* What is incomplete: sentences for the top of the report, and the same as findings. */
#include "analysis.h"

#include <math.h>
#include <string.h>

/* A sentence for the top of the report, and the same as a finding. */
static void alarm_add(struct analysis *analysis, const char *severity, const char *label,
		      const char *sentence, size_t bytes)
{
	struct finding *finding = finding_add(analysis, "incomplete", severity, NAN);

	text_format(&analysis->alarms, "%s: %.*s\n", label, (int)bytes, sentence);
	if (finding) {
		text_format(&finding->title, "The data of %s is not complete", label);
		text_bytes(&finding->evidence, sentence, bytes);
	}
}

static void alarm_lines(struct analysis *analysis, const char *label, const char *lines)
{
	const char *end;

	for (; *lines; lines = *end ? end + 1 : end) {
		end = strchrnul(lines, '\n');
		alarm_add(analysis, "warning", label, lines, (size_t)(end - lines));
	}
}

static void alarm_text(struct analysis *analysis, const char *severity, const char *label,
		       const char *sentence)
{
	alarm_add(analysis, severity, label, sentence, strlen(sentence));
}

static void check_loads(struct analysis *analysis)
{
	const struct load *load;
	uint32_t i;

	for (i = 0; i < analysis->load_count; i++) {
		load = &analysis->loads[i];
		if (load->trouble.bytes) {
			alarm_text(analysis, "error", load->label, text_str(&load->trouble));
		} else if (load->latency.requests == 0) {
			alarm_text(analysis, "error", load->label, "No request began in the window.");
		} else if (load->latency.partial || load->latency.cut || load->latency.lost) {
			alarm_text(analysis, "warning", load->label,
				   "The data is PARTIAL: requests are missing.");
		}
		if (load->latency.window_ignored) {
			alarm_text(
				analysis, "warning", load->label,
				"The requests are from another run: they are not cut to this run's window.");
		}
	}
}

/* Few samples of what is not the main thing are a healthy sign as often as not: a service that hardly faults. */
static bool is_merely_small(const struct analysis *analysis, const struct view *view)
{
	return view != analysis->main && !view->trouble.bytes && view->profile->samples &&
	       view->health.few_only;
}

void alarms_conclude(struct analysis *analysis)
{
	const struct view *view;
	uint32_t i;

	for (i = 0; i < analysis->view_count; i++) {
		view = &analysis->views[i];
		if (view->trouble.bytes) {
			alarm_text(analysis, "error", view->label, text_str(&view->trouble));
		} else if (view->profile->samples == 0) {
			alarm_text(analysis, "error", view->label, "No sample was taken in the window.");
		} else if (!is_merely_small(analysis, view)) {
			alarm_lines(analysis, view->label, text_str(&view->health.warnings));
		}
	}
	check_loads(analysis);
	if (analysis->view_count == 0 && analysis->book_count == 0) {
		alarm_text(analysis, "warning", "stacks",
			   "None were collected: nothing says where time goes.");
	}
	if (analysis->inputs_left_out) {
		alarm_text(analysis, "warning", "inputs", "There were more than are read.");
	}
}

void alarms_mention_small(struct analysis *analysis)
{
	struct finding *finding;
	uint32_t i;

	for (i = 0; i < analysis->view_count; i++) {
		if (is_merely_small(analysis, &analysis->views[i]) &&
		    (finding = finding_add(analysis, "few_samples", "info", NAN))) {
			text_format(&finding->title, "There is little in %s", analysis->views[i].label);
			text_add(&finding->evidence, text_str(&analysis->views[i].health.warnings));
		}
	}
}
