/* SPDX-License-Identifier: MIT */
/* From figures to sentences: what is incomplete, what was found, and the one line that says it. */
#include "analysis.h"
#include "waiting.h"

#include <math.h>
#include <string.h>

#include <profcore/status.h>

#include "lib/units.h"

#define TAIL_FACTOR    5   /* p99 by p50: beyond this the slow requests are another kind of request */
#define BUSY_ENOUGH    0.5 /* CPUs; below it the target was not short of CPU */
#define CPU_EXPLAINS   0.5 /* of the median latency */
#define ERRORS_BAD_PCT 1.0

struct finding *finding_add(struct analysis *analysis, const char *kind, const char *severity, double share)
{
	struct finding *finding;

	if (analysis->finding_count == sizeof(analysis->findings) / sizeof(analysis->findings[0])) {
		return NULL;
	}
	finding = &analysis->findings[analysis->finding_count++];
	*finding = (struct finding){ .kind = kind, .severity = severity, .share = share };
	return finding;
}

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

static void check_completeness(struct analysis *analysis)
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

static void mention_small(struct analysis *analysis)
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

static void add_name(struct text *to, const struct view *view, uint32_t function)
{
	const char *module = profile_function_module(view->profile, function);

	text_cut(to, profile_function_name(view->profile, function), 120);
	if (*module && view->profile->functions[function].named) {
		text_add(to, " (");
		text_cut(to, module, 40);
		text_add(to, ")");
	}
}

static double share_of(const struct view *view, uint64_t weight)
{
	return units_pct(weight, view->profile->weight);
}

static void add_hot_function(struct analysis *analysis)
{
	const struct view *view = analysis->main;
	const struct culprit *culprit = &analysis->culprit;
	struct finding *finding = finding_add(analysis, "hot_function", "info", share_of(view, culprit->led));
	char count[UNITS_ROOM], weight[UNITS_ROOM];

	if (!finding) {
		return;
	}
	add_name(&finding->title, view, culprit->function);
	text_format(&finding->title, " takes %.1f %% of the %s", share_of(view, culprit->led),
		    view_subject(view));
	text_format(&finding->evidence,
		    "%.1f %% in itself, %.1f %% with all that it calls, of %s samples (%s)",
		    share_of(view, culprit->self), share_of(view, culprit->total),
		    units_count(count, view->profile->samples),
		    units_weight(weight, view->profile->weight, view->profile->unit));
	if (culprit->callee) {
		text_format(&finding->evidence, "; %.1f %% is in ", share_of(view, culprit->callee_weight));
		add_name(&finding->evidence, view, culprit->callee);
		text_add(&finding->evidence, " on its behalf");
	}
}

static void add_hot_path(struct analysis *analysis)
{
	const struct view *view = analysis->main;
	const struct culprit *culprit = &analysis->culprit;
	struct finding *finding;

	if (!culprit->under) {
		return;
	}
	finding = finding_add(analysis, "hot_path", "info", share_of(view, culprit->under_total));
	if (finding) {
		add_name(&finding->title, view, culprit->under);
		text_format(&finding->title, " is the way to %.1f %% of the %s",
			    share_of(view, culprit->under_total), view_subject(view));
		text_add(&finding->evidence, "It is the innermost function of the app above ");
		add_name(&finding->evidence, view, culprit->function);
		text_format(&finding->evidence, " that has %s of it below it",
			    share_of(view, culprit->under_total) >= 90 ? "nearly all" : "most");
	}
}

static void judge_errors(struct analysis *analysis, const struct load *load)
{
	const struct latency *latency = &load->latency;
	uint64_t bad = latency->failed + latency->status_5xx;
	double pct = units_pct(bad, latency->requests);
	struct finding *finding;
	char count[UNITS_ROOM];
	unsigned i;

	if (!bad) {
		return;
	}
	finding = finding_add(analysis, "errors", pct >= ERRORS_BAD_PCT ? "error" : "warning", pct);
	if (!finding) {
		return;
	}
	text_format(&finding->title, "%.2f %% of the requests failed", pct);
	text_format(&finding->evidence, "%s: %s of ", load->label, units_count(count, bad));
	text_format(&finding->evidence, "%s requests", units_count(count, latency->requests));
	for (i = 1; i < LATENCY_ERRORS; i++) {
		if (latency->errors[i]) {
			text_format(&finding->evidence, ", %s %s", latency_error_word(i),
				    units_count(count, latency->errors[i]));
		}
	}
	if (latency->status_5xx) {
		text_format(&finding->evidence, ", status 5xx %s", units_count(count, latency->status_5xx));
	}
}

static void judge_tail(struct analysis *analysis, const struct load *load)
{
	const struct latency *latency = &load->latency;
	struct finding *finding;
	char p50[UNITS_ROOM], p99[UNITS_ROOM];

	if (latency->timed < 1000 || latency->p99_ns < TAIL_FACTOR * latency->p50_ns) {
		return; /* too few requests for a p99, or no long tail */
	}
	finding = finding_add(analysis, "tail", "warning", NAN);
	if (finding) {
		text_format(&finding->title, "The slowest 1 %% of the requests take %.0f times the median",
			    (double)latency->p99_ns / (double)(latency->p50_ns ? latency->p50_ns : 1));
		text_format(&finding->evidence, "%s: p50 %s ms, p99 %s ms", load->label,
			    units_ms(p50, latency->p50_ns), units_ms(p99, latency->p99_ns));
	}
}

/* CPU cost of a request, and whether CPU explains its latency at all. */
static void judge_cost(struct analysis *analysis, const struct load *load)
{
	double cpu_ns = analysis->cpu_ns_per_request, p50 = (double)load->latency.p50_ns;
	char cpu[UNITS_ROOM], median[UNITS_ROOM];
	struct finding *finding;

	if (!isfinite(cpu_ns) || p50 <= 0) {
		return;
	}
	units_ms(cpu, (uint64_t)cpu_ns);
	units_ms(median, load->latency.p50_ns);
	if (analysis->cpus_busy < BUSY_ENOUGH && cpu_ns < CPU_EXPLAINS * p50) {
		finding = finding_add(analysis, "waiting", "warning", 100 * (1 - cpu_ns / p50));
		if (finding) {
			text_add(&finding->title,
				 "Requests mostly wait: CPU time does not explain their latency");
			text_format(&finding->evidence,
				    "a request takes %s ms at the median and %s ms of CPU, and the target "
				    "kept only %.2f "
				    "CPUs busy; look at locks, disk, network and "
				    "processes that compete for the CPUs",
				    median, cpu, analysis->cpus_busy);
		}
		return;
	}
	finding = finding_add(analysis, "cpu_cost", "info", NAN);
	if (finding) {
		text_format(&finding->title, "A request costs %s ms of CPU", cpu);
		text_format(&finding->evidence, "median latency %s ms, %.1f answers a second", median,
			    load->latency.rps);
		if (isfinite(analysis->cpus_busy)) {
			text_format(&finding->evidence, ", %.2f CPUs busy", analysis->cpus_busy);
		}
	}
}

static void compute_cost(struct analysis *analysis)
{
	const struct view *view = analysis->main;
	uint64_t answered = 0;
	uint32_t i;

	analysis->cpus_busy = analysis->cpu_ns_per_request = NAN;
	if (!view || strcmp(view->profile->signal, "cpu") != 0 || strcmp(view->profile->unit, "ns") != 0) {
		return;
	}
	if (analysis->window_s > 0 && !view->profile->window_ignored) {
		analysis->cpus_busy = (double)view->profile->weight / 1e9 / analysis->window_s;
	}
	for (i = 0; i < analysis->load_count; i++) {
		answered += analysis->loads[i].latency.answered;
	}
	if (answered) {
		analysis->cpu_ns_per_request = (double)view->profile->weight / (double)answered;
	}
}

static void say_culprit(const struct analysis *analysis, struct text *to)
{
	const struct view *view = analysis->main;
	const struct culprit *culprit = &analysis->culprit;

	if (!culprit->function) {
		text_format(to, "No function can be named: the %s lies in code without a known module",
			    view_subject(view));
		return;
	}
	add_name(to, view, culprit->function);
	if (culprit->callee) {
		text_format(to, " is behind %.1f %% of the %s (%.1f %% in itself, %.1f %% in ",
			    share_of(view, culprit->led), view_subject(view), share_of(view, culprit->self),
			    share_of(view, culprit->callee_weight));
		add_name(to, view, culprit->callee);
		text_add(to, ")");
	} else {
		text_format(to, " takes %.1f %% of the %s, more than any other function",
			    share_of(view, culprit->led), view_subject(view));
	}
	if (culprit->under) {
		text_format(to, "; %.1f %% is under ", share_of(view, culprit->under_total));
		add_name(to, view, culprit->under);
	}
}

/* The heaviest stack off the CPU is often that of a thread with nothing to do, which is nobody's fault. */
static bool is_waiting(const struct view *view)
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

static void make_verdict(struct analysis *analysis)
{
	struct text *to = &analysis->verdict;
	const struct load *load = analysis->load_count ? &analysis->loads[0] : NULL;
	char p50[UNITS_ROOM], p99[UNITS_ROOM];
	const struct finding *memory = memory_finding(analysis);
	uint32_t i;

	if (memory && !is_about_time(analysis)) {
		text_add(to, text_str(&memory->title));
	} else if (analysis->main && !is_waiting(analysis->main)) {
		say_culprit(analysis, to);
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

int analysis_conclude(struct analysis *analysis)
{
	uint32_t i;
	int status = PFC_OK;

	check_completeness(analysis);
	compute_cost(analysis);
	if (analysis->main) {
		status = culprit_find(analysis->main, &analysis->culprit);
	}
	if (status != PFC_OK) {
		return status;
	}
	if (analysis->culprit.function && !is_waiting(analysis->main)) {
		add_hot_function(analysis);
		add_hot_path(analysis);
	}
	for (i = 0; i < analysis->load_count; i++) {
		judge_errors(analysis, &analysis->loads[i]);
		judge_tail(analysis, &analysis->loads[i]);
	}
	if (analysis->load_count) {
		judge_cost(analysis, &analysis->loads[0]);
	}
	status = waiting_conclude(analysis);
	for (i = 0; i < analysis->calls_count; i++) {
		io_conclude(analysis, &analysis->calls[i]);
	}
	mention_small(analysis);
	make_verdict(analysis);
	return status != PFC_OK                                      ? status
	       : analysis->verdict.failed || analysis->alarms.failed ? PFC_ENOMEM
								     : PFC_OK;
}
