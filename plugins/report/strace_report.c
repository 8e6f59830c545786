/* SPDX-License-Identifier: MIT */
/* The document `strace`: traffic with the host. */
#include "strace_words.h"

#include <profcore/status.h>

int strace_print(struct syscalls_model *model, const struct strace_links *links, struct text *to)
{
	int status;

	strace_add_head(model, to);
	strace_add_calls(model, to);
	strace_add_call_waits(model, to);
	strace_add_other_waits(model, to);
	status = strace_add_long_waits(model, links, to);
	strace_add_slow(model, links, to);
	strace_add_files(model, to);
	strace_add_books(model, to);
	if (status == PFC_OK && links->off_cpu.profile) {
		status = strace_print_stacks(links->off_cpu.profile, to);
	}
	return status;
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
	struct strace_links links = { 0 };
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
		status = strace_links_read(&links, host, model.about.producer);
	}
	if (status == PFC_OK) {
		status = strace_print(&model, &links, &text);
	}
	if (status == PFC_OK) {
		status = write_document(host, &text);
	}
	text_finish(&text);
	strace_links_finish(&links);
	syscalls_finish(&model);
	return status == PFC_OK ? PFC_OK : fail(host, status);
}
