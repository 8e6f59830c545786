/* SPDX-License-Identifier: MIT */
/* The text on memory: reads the artifact, puts the sections together. */
#include "memory.h"

int memory_write(const struct pfc_host *host, uint32_t rows, struct text *to)
{
	struct memory_report report = { .host = host,
					.run_id = host->text(host->ctx, PFC_TEXT_RUN_ID),
					.rows = rows };
	int status = host->input(host->ctx, "memory", 0, &report.reader);

	if (status != PFC_OK) {
		return status;
	}
	status = memory_read(&report);
	if (status == PFC_OK) {
		memory_add_head(&report, to);
		memory_add_timeline(&report, to);
		status = memory_add_growth(&report, to);
	}
	if (status == PFC_OK) {
		memory_add_heap(&report, to);
		memory_add_processes(&report, to);
		memory_add_kinds(&report, to);
		memory_add_coverage(&report, to);
		status = to->failed ? PFC_ENOMEM : PFC_OK;
	}
	memory_finish(&report);
	return status;
}
