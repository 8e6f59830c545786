/* SPDX-License-Identifier: MIT */
/* The one line that says it. */
#include "analysis.h"
#include "waiting.h"

#include <math.h>
#include <string.h>

#include "lib/units.h"

#define IDLE_BELOW 0.02 /* CPUs; below it the target did next to nothing */

static void say_culprit(const struct analysis *analysis, struct text *to)
{
	const struct view *view = analysis->main;
	const struct culprit *culprit = &analysis->culprit;

	if (!culprit->function) {
		text_format(to, "No function can be named: the %s lies in code without a known module",
			    view_subject(view));
		return;
	}
	view_add_name(to, view, culprit->function);
	if (culprit->callee) {
		text_format(to, " is behind %.1f %% of the %s (%.1f %% in itself, %.1f %% in ",
			    view_share(view, culprit->led), view_subject(view),
			    view_share(view, culprit->self), view_share(view, culprit->callee_weight));
		view_add_name(to, view, culprit->callee);
		text_add(to, ")");
	} else {
		text_format(to, " takes %.1f %% of the %s, more than any other function",
			    view_share(view, culprit->led), view_subject(view));
	}
	if (culprit->under) {
		text_format(to, "; %.1f %% is under ", view_share(view, culprit->under_total));
		view_add_name(to, view, culprit->under);
	}
}

/* The heaviest stack off the CPU is often that of a thread with nothing to do, which is nobody's fault. */
bool view_is_waiting(const struct view *view)
{
	return strcmp(view->profile->signal, "off-cpu") == 0;
}

/* The first finding on memory (grown.c): a kill, growth, a leak, churn. */
static const struct finding *memory_finding(const struct analysis *analysis)
{
	static const char *const kinds[] = { "oom_kill", "leak", "memory_growth", "memory_churn",
					     "memory_limit" };

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (uint32_t i = 0; i < analysis->finding_count; i++) {
			if (strcmp(analysis->findings[i].kind, kinds[k]) == 0) {
				return &analysis->findings[i];
			}
		}
	}
	return NULL;
}

/* Whether anything says where time goes; else the run was about memory. */
static bool is_about_time(const struct analysis *analysis)
{
	return analysis->book_count || (analysis->main && strcmp(analysis->main->profile->unit, "ns") == 0) ||
	       (analysis->main && strcmp(analysis->main->profile->signal, "cpu") == 0);
}

/* No load of ours, and next to no CPU time: shares of next to nothing must not read as the cause of something. */
static bool is_idle(const struct analysis *analysis)
{
	return !analysis->load_count && isfinite(analysis->cpus_busy) && analysis->cpus_busy < IDLE_BELOW;
}

static void say_time(const struct analysis *analysis, struct text *to)
{
	if (is_idle(analysis)) {
		text_format(to, "The target was nearly idle: %.3f CPUs busy", analysis->cpus_busy);
		if (!analysis->culprit.function) {
			return;
		}
		text_add(to, "; of the little that it ran, ");
	}
	say_culprit(analysis, to);
}

void verdict_mention_idle(struct analysis *analysis)
{
	struct finding *finding;

	if (is_idle(analysis) && (finding = finding_add(analysis, "idle", "warning", NAN))) {
		text_add(&finding->title, "The target was nearly idle");
		text_format(&finding->evidence,
			    "%.3f CPUs busy in a window of %.1f s; profile it while it does what is slow: "
			    "put load on it (load-test) or make the window longer",
			    analysis->cpus_busy, analysis->window_s);
	}
}

void verdict_conclude(struct analysis *analysis)
{
	struct text *to = &analysis->verdict;
	const struct load *load = analysis->load_count ? &analysis->loads[0] : NULL;
	char p50[UNITS_ROOM], p99[UNITS_ROOM];
	const struct finding *memory = memory_finding(analysis);
	uint32_t i;

	if (memory && !is_about_time(analysis)) {
		text_add(to, text_str(&memory->title));
	} else if (analysis->main && !view_is_waiting(analysis->main)) {
		say_time(analysis, to);
	} else {
		waiting_say(analysis, to);
	}
	if (memory && is_about_time(analysis) && strcmp(memory->severity, "info") != 0) {
		text_format(to, "; %s", text_str(&memory->title));
	}
	if (load && load->latency.timed) {
		text_format(to, "; requests take %s ms at the median and %s ms at p99",
			    units_ms(p50, load->latency.p50_ns), units_ms(p99, load->latency.p99_ns));
	}
	for (i = 0; i < analysis->finding_count; i++) {
		if (strcmp(analysis->findings[i].kind, "waiting") == 0) {
			text_format(to, "; but they wait for %.0f %% of that time",
				    analysis->findings[i].share);
			waiting_say_most(analysis, to);
		}
	}
	text_add(to, ".");
}
