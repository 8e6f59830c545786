/* SPDX-License-Identifier: MIT */
/* The document `strace`: traffic with the host. */
#include "strace.h"

#include <string.h>

#include <profcore/status.h>

/* The stacks that the same stage took; NULL when it took none. */
static const struct pfc_reader *find_stacks(const struct pfc_host *host, const char *producer)
{
	for (uint32_t i = 0; i < host->input_count(host->ctx, "offcpu"); i++) {
		struct pfc_artifact about = { .struct_size = sizeof(about) };
		const struct pfc_reader *reader;

		if (host->input(host->ctx, "offcpu", i, &reader) == PFC_OK &&
		    reader->describe(reader->ctx, &about) == PFC_OK &&
		    strcmp(about.producer, producer) == 0) {
			return reader;
		}
	}
	return NULL;
}

static int write_document(const struct pfc_host *host, struct text *text)
{
	const struct pfc_writer *writer;
	int status = text->failed ? PFC_ENOMEM : host->output(host->ctx, "strace", &writer);

	if (status == PFC_OK) {
		status = writer->write(writer->ctx, text_str(text), text->bytes);
	}
	return status == PFC_OK ? writer->commit(writer->ctx) : status;
}

static int32_t fail(const struct pfc_host *host, int status)
{
	return host->fail(host->ctx, status, "report on system calls",
			  status == PFC_ENOENT   ? "the artifact has no table of calls"
			  : status == PFC_ENOMEM ? "memory ran out"
						 : "the text could not be written",
			  NULL);
}

int32_t strace_report(const struct pfc_host *host, const struct pfc_reader *reader)
{
	struct syscalls_model model = { .reader = reader,
					.about = { .struct_size = sizeof(model.about) },
					.run_id = host->text(host->ctx, PFC_TEXT_RUN_ID),
					.rows = (uint32_t)pfc_option_int(host, "rows", 40) };
	struct pfc_window window = { .struct_size = sizeof(window) };
	const struct pfc_reader *stacks;
	struct text text = { 0 };
	int status = reader->describe(reader->ctx, &model.about);

	if (host->window(host->ctx, &window) == PFC_OK && window.t1_ns > window.t0_ns) {
		model.t0_ns = window.t0_ns;
		model.window_ns = window.t1_ns - window.t0_ns;
	}
	if (status == PFC_OK) {
		status = syscalls_read(&model);
	}
	if (status == PFC_OK) {
		strace_print(&model, &text);
		stacks = find_stacks(host, model.about.producer);
		status = stacks ? strace_print_stacks(&model, stacks, &text) : PFC_OK;
	}
	if (status == PFC_OK) {
		status = write_document(host, &text);
	}
	text_finish(&text);
	syscalls_finish(&model);
	return status == PFC_OK ? PFC_OK : fail(host, status);
}
