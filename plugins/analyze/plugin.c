/* SPDX-License-Identifier: MIT */
/* analyze: reads all stacks and requests of a run, writes the report. This file is the traffic with the host. */
#include <profcore/profcore.h>

#include <stdlib.h>

#include "analysis.h"
#include "grown.h"

PFC_MANIFEST("manifest.ini");

struct self {
	const struct pfc_host *host;
	struct analysis analysis;
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

static void destroy(void *data)
{
	struct self *self = data;

	if (self) {
		analysis_finish(&self->analysis);
		free(self);
	}
}

static int32_t fail(const struct pfc_host *host, int status, const char *why, const char *hint)
{
	return host->fail(host->ctx, status, "analyze the run", why, hint);
}

static bool has_data(const struct analysis *analysis)
{
	uint32_t i;

	for (i = 0; i < analysis->load_count; i++) {
		if (analysis->loads[i].latency.requests) {
			return true;
		}
	}
	for (i = 0; i < analysis->book_count; i++) {
		if (analysis->books[i].threads || analysis->books[i].calls) {
			return true;
		}
	}
	return analysis->main != NULL;
}

static int write_document(const struct pfc_host *host, const char *port, const struct analysis *analysis,
			  void (*make)(const struct analysis *analysis, struct text *to))
{
	const struct pfc_writer *writer;
	struct text text = { 0 };
	int status;

	make(analysis, &text);
	status = text.failed ? PFC_ENOMEM : host->output(host->ctx, port, &writer);
	if (status == PFC_OK) {
		status = writer->write(writer->ctx, text_str(&text), text.bytes);
	}
	if (status == PFC_OK) {
		status = writer->commit(writer->ctx);
	}
	text_finish(&text);
	return status;
}

static int32_t process(void *data)
{
	struct self *self = data;
	const struct pfc_host *host = self->host;
	struct analysis *analysis = &self->analysis;
	bool has_memory = false;
	int status;

	analysis->run_id = host->text(host->ctx, PFC_TEXT_RUN_ID);
	analysis->top = (uint32_t)pfc_option_int(host, "top", 10);
	status = analysis_gather(analysis, host);
	status = status ? status : grown_judge(analysis, host, &has_memory);
	if (status == PFC_OK && !has_memory && !has_data(analysis)) {
		return fail(
			host, PFC_ENODATA,
			analysis->view_count + analysis->load_count
				? "no input has a sample or a request in the window"
				: "the run has neither stacks, nor system calls, nor requests",
			"put load on the target during the window; the logs of the collectors may say more");
	}
	if (status == PFC_OK) {
		status = analysis_conclude(analysis);
	}
	if (status == PFC_OK) {
		status = write_document(host, "text", analysis, report_text);
	}
	if (status == PFC_OK) {
		status = write_document(host, "json", analysis, report_json);
	}
	if (status == PFC_OK) {
		status = write_document(host, "summary", analysis, report_summary);
	}
	return status == PFC_OK
		       ? PFC_OK
		       : fail(host, status,
			      status == PFC_ENOMEM ? "memory ran out" : "a document could not be written",
			      NULL);
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
