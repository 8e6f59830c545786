/* SPDX-License-Identifier: MIT */
/* Reading the inputs. An input that cannot be read is said in the report; the others still count. */
#include "analysis.h"
#include "waiting.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <profcore/status.h>

static const char *status_words(int status)
{
	switch (status) {
	case PFC_ENOENT:
		return "it lacks a table that is needed";
	case PFC_ECORRUPT:
		return "its bytes do not check";
	default:
		return "it cannot be opened";
	}
}

static void label_of(const struct pfc_reader *reader, const char *port, uint32_t index, char *to, size_t room)
{
	struct pfc_artifact about = { .struct_size = sizeof(about) };
	struct text clean = { 0 };

	if (!reader || reader->describe(reader->ctx, &about) != PFC_OK || !about.producer || !about.port) {
		snprintf(to, room, "%s input %u", port, index + 1);
		return;
	}
	text_clean(&clean, (struct pfc_string){ about.producer, strlen(about.producer) }, 40);
	text_add(&clean, ".");
	text_clean(&clean, (struct pfc_string){ about.port, strlen(about.port) }, 20);
	if (about.signal && *about.signal) {
		text_add(&clean, " (");
		text_clean(&clean, (struct pfc_string){ about.signal, strlen(about.signal) }, 20);
		text_add(&clean, ")");
	}
	snprintf(to, room, "%s", text_str(&clean));
	text_finish(&clean);
}

static int read_view(struct analysis *analysis, const struct pfc_host *host, uint32_t index,
		     struct view *view)
{
	struct profile_options options = { .t0_ns = analysis->t0_ns, .t1_ns = analysis->t1_ns };
	struct calltree_options tree = { .order = CALLTREE_BY_WEIGHT };
	const struct pfc_reader *reader = NULL;
	int status = host->input(host->ctx, "stacks", index, &reader);

	label_of(status == PFC_OK ? reader : NULL, "stacks", index, view->label, sizeof(view->label));
	options.seed = host->now(host->ctx);
	if (status == PFC_OK) {
		view->reader = reader;
		status = profile_read(reader, &options, &view->profile);
	}
	if (status != PFC_OK) {
		text_format(&view->trouble, "%s cannot be read: %s", view->label, status_words(status));
		return status == PFC_ENOMEM ? status : PFC_OK;
	}
	status = health_read(view->profile, reader, &view->health);
	if (status == PFC_OK) {
		status = rank_functions(view->profile, &view->self);
	}
	if (status == PFC_OK) {
		status = rank_functions(view->profile, &view->total);
	}
	if (status == PFC_OK) {
		rank_sort(&view->self, RANK_SELF);
		rank_sort(&view->total, RANK_TOTAL);
		status = calltree_build(view->profile, &tree, &view->tree);
	}
	return status;
}

static int read_load(struct analysis *analysis, const struct pfc_host *host, uint32_t index,
		     struct load *load)
{
	const struct pfc_reader *reader = NULL;
	int status = host->input(host->ctx, "requests", index, &reader);

	label_of(status == PFC_OK ? reader : NULL, "requests", index, load->label, sizeof(load->label));
	if (status == PFC_OK) {
		status = latency_read(reader, analysis->t0_ns, analysis->t1_ns, &load->latency);
	}
	if (status != PFC_OK) {
		text_format(&load->trouble, "%s cannot be read: %s", load->label, status_words(status));
	}
	return status == PFC_ENOMEM ? status : PFC_OK;
}

static int read_calls(struct analysis *analysis, const struct pfc_host *host, uint32_t index, struct calls *calls)
{
	const struct pfc_reader *reader = NULL;
	int status = host->input(host->ctx, "syscalls", index, &reader);

	label_of(status == PFC_OK ? reader : NULL, "syscalls", index, calls->label, sizeof(calls->label));
	if (status == PFC_OK) {
		calls->model.reader = reader;
		calls->model.rows = 1;
		calls->model.about.struct_size = sizeof(calls->model.about);
		status = reader->describe(reader->ctx, &calls->model.about);
	}
	if (status == PFC_OK) {
		status = syscalls_read(&calls->model);
		calls->is_read = status == PFC_OK;
	}
	if (status != PFC_OK) {
		text_format(&calls->trouble, "%s cannot be read: %s", calls->label, status_words(status));
	}
	return status == PFC_ENOMEM ? status : PFC_OK;
}

/* The profile that the verdict is about: the first of CPU with samples, else the first with samples. */
static struct view *choose_main(struct analysis *analysis)
{
	struct view *view, *chosen = NULL;
	uint32_t i;

	for (i = 0; i < analysis->view_count; i++) {
		view = &analysis->views[i];
		if (!view->profile || view->profile->samples == 0) {
			continue;
		}
		if (strcmp(view->profile->signal, "cpu") == 0) {
			return view;
		}
		chosen = chosen ? chosen : view;
	}
	return chosen;
}

static void read_window(struct analysis *analysis, const struct pfc_host *host)
{
	struct pfc_window window = { .struct_size = sizeof(window) };

	if (host->window(host->ctx, &window) == PFC_OK && window.t1_ns > window.t0_ns) {
		analysis->t0_ns = window.t0_ns;
		analysis->t1_ns = window.t1_ns;
		analysis->window_s = (double)(window.t1_ns - window.t0_ns) / 1e9;
	}
}

int analysis_gather(struct analysis *analysis, const struct pfc_host *host)
{
	uint32_t stacks = host->input_count(host->ctx, "stacks");
	uint32_t requests = host->input_count(host->ctx, "requests");
	uint32_t syscalls = host->input_count(host->ctx, "syscalls");
	int status = PFC_OK;

	read_window(analysis, host);
	for (; status == PFC_OK && analysis->view_count < stacks &&
	       analysis->view_count < ANALYSIS_MAX_INPUTS;) {
		uint32_t at = analysis->view_count++;

		status = read_view(analysis, host, at, &analysis->views[at]);
	}
	for (; status == PFC_OK && analysis->load_count < requests &&
	       analysis->load_count < ANALYSIS_MAX_INPUTS;) {
		uint32_t at = analysis->load_count++;

		status = read_load(analysis, host, at, &analysis->loads[at]);
	}
	if (status == PFC_OK) {
		status = waiting_read(analysis, host);
	}
	for (; status == PFC_OK && analysis->calls_count < syscalls &&
	       analysis->calls_count < ANALYSIS_MAX_INPUTS;) {
		uint32_t at = analysis->calls_count++;

		status = read_calls(analysis, host, at, &analysis->calls[at]);
	}
	analysis->inputs_left_out = stacks + requests + syscalls - analysis->view_count -
				    analysis->load_count - analysis->calls_count;
	analysis->main = choose_main(analysis);
	return status;
}

void analysis_finish(struct analysis *analysis)
{
	uint32_t i;

	for (i = 0; i < analysis->view_count; i++) {
		struct view *view = &analysis->views[i];

		profile_destroy(view->profile);
		health_finish(&view->health);
		rank_finish(&view->self);
		rank_finish(&view->total);
		calltree_finish(&view->tree);
		text_finish(&view->trouble);
	}
	for (i = 0; i < analysis->load_count; i++) {
		text_finish(&analysis->loads[i].trouble);
	}
	for (i = 0; i < analysis->calls_count; i++) {
		syscalls_finish(&analysis->calls[i].model);
		text_finish(&analysis->calls[i].trouble);
	}
	for (i = 0; i < analysis->finding_count; i++) {
		text_finish(&analysis->findings[i].title);
		text_finish(&analysis->findings[i].evidence);
	}
	waiting_finish(analysis);
	text_finish(&analysis->verdict);
	text_finish(&analysis->alarms);
}
