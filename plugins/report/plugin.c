/* SPDX-License-Identifier: MIT */
/* report: reads one stacks artifact, writes two texts. This file is the traffic with the host. */
#include <profcore/profcore.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "report.h"
#include "strace.h"

PFC_MANIFEST("manifest.ini");

struct self {
	const struct pfc_host *host;
};

static int32_t create(const struct pfc_host *host, void **ret_self)
{
	struct self *self = calloc(1, sizeof(*self));

	if (!self) {
		return host->fail(host->ctx, PFC_ENOMEM, "create", "memory ran out", NULL);
	}
	self->host = host;
	*ret_self = self;
	return PFC_OK;
}

static void destroy(void *self)
{
	free(self);
}

static int32_t fail(const struct pfc_host *host, int status, const char *why, const char *hint)
{
	return host->fail(host->ctx, status, "report on stacks", why, hint);
}

static int32_t fail_empty(const struct pfc_host *host, const struct profile *profile)
{
	char why[384];

	if (profile->other_samples) {
		snprintf(why, sizeof(why),
			 "none of the %llu samples of %s.%s has %.100s in its stack (only_symbols)",
			 (unsigned long long)profile->other_samples, profile->producer, profile->port,
			 profile->only_symbols);
	} else if (profile->outside) {
		snprintf(why, sizeof(why), "%s.%s has no sample in the window, %llu outside it",
			 profile->producer, profile->port, (unsigned long long)profile->outside);
	} else {
		snprintf(why, sizeof(why), "%s.%s has no sample", profile->producer, profile->port);
	}
	return fail(host, PFC_ENODATA, why,
		    "put load on the target during the window, or sample for longer; the collector's log may "
		    "say more");
}

static int write_text(const struct pfc_host *host, const char *port, struct text *text)
{
	const struct pfc_writer *writer;
	int status = text->failed ? PFC_ENOMEM : host->output(host->ctx, port, &writer);

	if (status == PFC_OK) {
		status = writer->write(writer->ctx, text_str(text), text->bytes);
	}
	if (status == PFC_OK) {
		status = writer->commit(writer->ctx);
	}
	text_finish(text);
	return status;
}

static int write_report(const struct pfc_host *host, struct report *report)
{
	struct text text = { 0 };
	int status;

	report_head(report, "Report", &text);
	status = report->counters ? report_counters(report->counters, report->window_ns, &text) : PFC_OK;
	if (status == PFC_OK) {
		status = report_tables(report, &text);
	}
	if (status == PFC_OK) {
		status = report_tree(report, &text);
	}
	if (status != PFC_OK) {
		text_finish(&text);
		return status;
	}
	return write_text(host, "perf_report", &text);
}

static int write_symbols(const struct pfc_host *host, struct report *report)
{
	struct text text = { 0 };

	report_head(report, "Symbols", &text);
	report_symbols(report, &text);
	return write_text(host, "perf_symbols", &text);
}

/* The counters of the stage that made the stacks; another's say nothing about them. */
static const struct pfc_reader *find_counters(const struct pfc_host *host, const struct profile *profile)
{
	struct pfc_artifact about = { .struct_size = sizeof(about) };
	const struct pfc_reader *reader;

	if (host->input_count(host->ctx, "counters") == 0 ||
	    host->input(host->ctx, "counters", 0, &reader) != PFC_OK ||
	    reader->describe(reader->ctx, &about) != PFC_OK ||
	    strcmp(about.producer, profile->producer) != 0) {
		return NULL;
	}
	return reader;
}

static int32_t report_on(const struct pfc_host *host, const struct pfc_reader *reader,
			 struct profile *profile)
{
	struct report report = { .profile = profile,
				 .reader = reader,
				 .run_id = host->text(host->ctx, PFC_TEXT_RUN_ID),
				 .rows = (uint32_t)pfc_option_int(host, "rows", 40),
				 .tree_min_pct = pfc_option_real(host, "tree_min", 1),
				 .tree_depth = (uint32_t)pfc_option_int(host, "tree_depth", 100) };
	struct pfc_window window = { .struct_size = sizeof(window) };
	int status = health_read(profile, reader, &report.health);

	report.counters = find_counters(host, profile);
	if (host->window(host->ctx, &window) == PFC_OK && window.t1_ns > window.t0_ns) {
		report.window_ns = window.t1_ns - window.t0_ns;
	}

	if (status == PFC_OK) {
		status = rank_functions(profile, &report.functions);
	}
	if (status == PFC_OK) {
		status = write_report(host, &report);
	}
	if (status == PFC_OK) {
		status = write_symbols(host, &report);
	}
	rank_finish(&report.functions);
	health_finish(&report.health);
	return status == PFC_OK
		       ? PFC_OK
		       : fail(host, status,
			      status == PFC_ENOMEM ? "memory ran out" : "a text could not be written", NULL);
}

static int32_t report_on_memory(const struct pfc_host *host)
{
	struct text text = { 0 };
	int status = memory_write(host, (uint32_t)pfc_option_int(host, "rows", 40), &text);

	if (status == PFC_OK) {
		status = write_text(host, "memory_report", &text);
	} else {
		text_finish(&text);
	}
	return status == PFC_OK ? PFC_OK
				: host->fail(host->ctx, status, "report on memory",
					     status == PFC_ENOENT ? "the artifact has no table of totals" :
					     status == PFC_ENOMEM ? "memory ran out" :
								    "the text could not be written",
					     NULL);
}

static int32_t process_stacks(const struct pfc_host *host)
{
	struct profile_options options = { .seed = host->now(host->ctx) };
	struct pfc_window window = { .struct_size = sizeof(window) };
	const struct pfc_reader *reader;
	struct profile *profile;
	int32_t status = host->input(host->ctx, "stacks", 0, &reader);

	if (status != PFC_OK) {
		return fail(host, status, "the input cannot be read", NULL);
	}
	if (host->window(host->ctx, &window) == PFC_OK) {
		options.t0_ns = window.t0_ns;
		options.t1_ns = window.t1_ns;
	}
	status = profile_read(reader, &options, &profile);
	if (status != PFC_OK) {
		return fail(host, status,
			    status == PFC_ENOENT ? "the artifact lacks its samples or stacks table"
						 : "memory ran out",
			    NULL);
	}
	status = profile->samples ? report_on(host, reader, profile) : fail_empty(host, profile);
	profile_destroy(profile);
	return status;
}

/* The artifact of this instance came through one of the ports. */
static int32_t process(void *data)
{
	const struct pfc_host *host = ((struct self *)data)->host;
	const struct pfc_reader *reader;

	if (host->input_count(host->ctx, "syscalls") > 0 && host->input(host->ctx, "syscalls", 0, &reader) == PFC_OK) {
		return strace_report(host, reader);
	}
	if (host->input_count(host->ctx, "memory") > 0) {
		return report_on_memory(host);
	}
	return process_stacks(host);
}

const struct pfc_plugin *pfc_plugin_v1(const struct pfc_host *host)
{
	static const struct pfc_plugin plugin = {
		.struct_size = sizeof(plugin),
		.create = create,
		.process = process,
		.destroy = destroy,
	};

	return host->struct_size >= PFC_HOST_FOUNDING_BYTES ? &plugin : NULL;
}
