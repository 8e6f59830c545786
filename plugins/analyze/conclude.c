/* SPDX-License-Identifier: MIT */
/* From figures to findings: what is hot, what requests cost, what waits. */
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

void view_add_name(struct text *to, const struct view *view, uint32_t function)
{
	const char *module = profile_function_module(view->profile, function);

	text_cut(to, profile_function_name(view->profile, function), 120);
	if (*module && view->profile->functions[function].named) {
		text_add(to, " (");
		text_cut(to, module, 40);
		text_add(to, ")");
	}
}

double view_share(const struct view *view, uint64_t weight)
{
	return units_pct(weight, view->profile->weight);
}

static void add_hot_function(struct analysis *analysis)
{
	const struct view *view = analysis->main;
	const struct culprit *culprit = &analysis->culprit;
	struct finding *finding =
		finding_add(analysis, "hot_function", "info", view_share(view, culprit->led));
	char count[UNITS_ROOM], weight[UNITS_ROOM];

	if (!finding) {
		return;
	}
	view_add_name(&finding->title, view, culprit->function);
	text_format(&finding->title, " takes %.1f %% of the %s", view_share(view, culprit->led),
		    view_subject(view));
	text_format(&finding->evidence,
		    "%.1f %% in itself, %.1f %% with all that it calls, of %s samples (%s)",
		    view_share(view, culprit->self), view_share(view, culprit->total),
		    units_count(count, view->profile->samples),
		    units_weight(weight, view->profile->weight, view->profile->unit));
	if (culprit->callee) {
		text_format(&finding->evidence, "; %.1f %% is in ", view_share(view, culprit->callee_weight));
		view_add_name(&finding->evidence, view, culprit->callee);
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
	finding = finding_add(analysis, "hot_path", "info", view_share(view, culprit->under_total));
	if (finding) {
		view_add_name(&finding->title, view, culprit->under);
		text_format(&finding->title, " is the way to %.1f %% of the %s",
			    view_share(view, culprit->under_total), view_subject(view));
		text_add(&finding->evidence, "It is the innermost function of the app above ");
		view_add_name(&finding->evidence, view, culprit->function);
		text_format(&finding->evidence, " that has %s of it below it",
			    view_share(view, culprit->under_total) >= 90 ? "nearly all" : "most");
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

int analysis_conclude(struct analysis *analysis)
{
	uint32_t i;
	int status = PFC_OK;

	alarms_conclude(analysis);
	compute_cost(analysis);
	if (analysis->main) {
		status = culprit_find(analysis->main, &analysis->culprit);
	}
	if (status != PFC_OK) {
		return status;
	}
	verdict_mention_idle(analysis);
	if (analysis->culprit.function && !view_is_waiting(analysis->main)) {
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
	alarms_mention_small(analysis);
	verdict_conclude(analysis);
	return status != PFC_OK                                      ? status
	       : analysis->verdict.failed || analysis->alarms.failed ? PFC_ENOMEM
								     : PFC_OK;
}
