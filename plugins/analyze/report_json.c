/* SPDX-License-Identifier: MIT */
/* report.json, and the summary for the run. Keys are only ever added. Shares are in percent. */
#include "analysis.h"

#include <math.h>
#include <string.h>

#include "lib/json.h"
#include "lib/units.h"

static void add_functions(const struct analysis *analysis, const struct view *view, const struct rank *rank,
			  const char *key, struct json *json)
{
	const struct profile *profile = view->profile;
	uint32_t i;

	json_array(json, key);
	for (i = 0; i < rank->count && i < analysis->top; i++) {
		const struct rank_row *row = &rank->rows[i];

		json_object(json, NULL);
		json_text(json, "function", profile_function_name(profile, row->id));
		json_text(json, "module", profile_function_module(profile, row->id));
		json_text(json, "kind", profile_kind_word(profile->functions[row->id].kind));
		json_text(json, "signal", profile->signal);
		json_number(json, "self_pct", units_pct(row->self, profile->weight), 3);
		json_number(json, "total_pct", units_pct(row->total, profile->weight), 3);
		json_count(json, "self_samples", row->self_samples);
		json_count(json, "total_samples", row->total_samples);
		json_end_object(json);
	}
	json_end_array(json);
}

static void add_lines(const char *key, const char *lines, struct json *json)
{
	struct text line = { 0 };
	const char *end;

	json_array(json, key);
	for (; *lines; lines = *end ? end + 1 : end) {
		end = strchrnul(lines, '\n');
		text_bytes(&line, lines, (size_t)(end - lines));
		json_text(json, NULL, text_str(&line));
		text_finish(&line);
	}
	json_end_array(json);
}

static void add_view(const struct analysis *analysis, const struct view *view, struct json *json)
{
	const struct profile *profile = view->profile;

	json_object(json, NULL);
	json_text(json, "artifact", view->label);
	if (!profile) {
		json_text(json, "trouble", text_str(&view->trouble));
		json_end_object(json);
		return;
	}
	json_text(json, "signal", profile->signal);
	json_text(json, "event", profile->event);
	json_text(json, "unit", profile->unit);
	json_count(json, "weight", profile->weight);
	json_count(json, "samples", profile->samples);
	json_count(json, "outside_window", profile->outside);
	json_bool(json, "partial", view->health.partial);
	json_count(json, "lost", view->health.lost);
	json_number(json, "rooted_pct", view->health.rooted_pct, 2);
	json_number(json, "unknown_pct", view->health.unknown_pct, 2);
	json_number(json, "unnamed_leaf_pct", view->health.unknown_leaf_pct, 2);
	json_number(json, "throttled", view->health.throttled, 0);
	add_lines("warnings", text_str(&view->health.warnings), json);
	add_functions(analysis, view, &view->self, "by_self", json);
	add_functions(analysis, view, &view->total, "by_total", json);
	json_end_object(json);
}

static void add_load(const struct load *load, struct json *json)
{
	const struct latency *latency = &load->latency;
	unsigned i;

	json_object(json, NULL);
	json_text(json, "artifact", load->label);
	if (load->trouble.bytes) {
		json_text(json, "trouble", text_str(&load->trouble));
		json_end_object(json);
		return;
	}
	json_count(json, "requests", latency->requests);
	json_count(json, "answered", latency->answered);
	json_count(json, "failed", latency->failed);
	json_count(json, "outside_window", latency->outside);
	json_bool(json, "partial", latency->partial || latency->cut);
	json_count(json, "lost", latency->lost);
	json_object(json, "errors");
	for (i = 1; i < LATENCY_ERRORS; i++) {
		json_count(json, latency_error_word(i), latency->errors[i]);
	}
	json_end_object(json);
	json_count(json, "status_4xx", latency->status_4xx);
	json_count(json, "status_5xx", latency->status_5xx);
	json_number(json, "rps", latency->rps, 3);
	json_number(json, "mean_ms", (double)latency->mean_ns / 1e6, 4);
	json_number(json, "p50_ms", (double)latency->p50_ns / 1e6, 4);
	json_number(json, "p90_ms", (double)latency->p90_ns / 1e6, 4);
	json_number(json, "p99_ms", (double)latency->p99_ns / 1e6, 4);
	json_number(json, "p999_ms", (double)latency->p999_ns / 1e6, 4);
	json_number(json, "max_ms", (double)latency->max_ns / 1e6, 4);
	json_end_object(json);
}

static void add_findings(const struct analysis *analysis, struct json *json)
{
	uint32_t i;

	json_array(json, "findings");
	for (i = 0; i < analysis->finding_count; i++) {
		const struct finding *finding = &analysis->findings[i];

		json_object(json, NULL);
		json_text(json, "kind", finding->kind);
		json_text(json, "severity", finding->severity);
		json_text(json, "title", text_str(&finding->title));
		json_text(json, "evidence", text_str(&finding->evidence));
		json_number(json, "share", finding->share, 3);
		json_end_object(json);
	}
	json_end_array(json);
}

void report_json(const struct analysis *analysis, struct text *to)
{
	struct json json = { .out = to };
	uint32_t i;

	json_object(&json, NULL);
	json_text(&json, "run", analysis->run_id);
	json_number(&json, "window_s", analysis->window_s > 0 ? analysis->window_s : NAN, 3);
	json_text(&json, "verdict", text_str(&analysis->verdict));
	add_lines("alarms", text_str(&analysis->alarms), &json);
	add_findings(analysis, &json);
	json_number(&json, "cpus_busy", analysis->cpus_busy, 3);
	json_number(&json, "cpu_ms_per_request", analysis->cpu_ns_per_request / 1e6, 4);
	json_array(&json, "stacks");
	for (i = 0; i < analysis->view_count; i++) {
		add_view(analysis, &analysis->views[i], &json);
	}
	json_end_array(&json);
	json_array(&json, "requests");
	for (i = 0; i < analysis->load_count; i++) {
		add_load(&analysis->loads[i], &json);
	}
	json_end_array(&json);
	json_end_object(&json);
}

static void add_closing_lines(const struct analysis *analysis, struct json *json)
{
	const struct load *load = analysis->load_count ? &analysis->loads[0] : NULL;
	struct text line = { 0 };
	char text[3][UNITS_ROOM];

	json_array(json, "text");
	json_text(json, NULL, text_str(&analysis->verdict));
	if (load && load->latency.timed) {
		text_format(&line, "%s: %s requests, %.1f answers/s, p50 %s ms, ", load->label,
			    units_count(text[0], load->latency.requests), load->latency.rps,
			    units_ms(text[1], load->latency.p50_ns));
		text_format(&line, "p99 %s ms, %s failed", units_ms(text[1], load->latency.p99_ns),
			    units_count(text[2], load->latency.failed));
		json_text(json, NULL, text_str(&line));
		text_finish(&line);
	}
	json_end_array(json);
}

void report_summary(const struct analysis *analysis, struct text *to)
{
	struct json json = { .out = to };

	json_object(&json, NULL);
	if (analysis->main) {
		add_functions(analysis, analysis->main, &analysis->main->self, "top_functions", &json);
	}
	add_findings(analysis, &json);
	add_closing_lines(analysis, &json);
	json_end_object(&json);
}
