/* SPDX-License-Identifier: MIT */
#include "run/settle.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/str.h"
#include "run/loop.h"
#include "run/record.h"
#include "run/report.h"
#include "run/summary.h"
#include "stage/protocol.h"

void settle_failure(struct run *run, struct run_stage *stage, const char *phase, const struct pfc_error *err)
{
	char *text;

	if (stage->failure.status != 0) {
		return;
	}
	run_stage_fail(stage, phase, err);
	text = str_printf("%s: %s%s%s", err->what, err->why, err->hint[0] != '\0' ? "; try: " : "",
			  err->hint);
	loop_log(run, PFC_LOG_ERROR, stage->plan->name, text != NULL ? text : err->why);
	free(text);
}

static bool is_tables(const struct run_output *output)
{
	return str_ends(output->plan->path, ".pcol");
}

static int64_t file_bytes(const struct run_output *output)
{
	struct stat st;

	return output->fd >= 0 && fstat(output->fd, &st) == 0 ? st.st_size : 0;
}

static bool has_data(const struct run_output *output)
{
	return is_tables(output) ? record_rows(output) > 0 : file_bytes(output) > 0;
}

/* Sealed, and yet nothing in it: exit code 0 must not stand for that. */
static bool is_empty(const struct run_stage *stage, const struct run_output *output)
{
	if (has_data(output)) {
		return false;
	}
	return is_tables(output) ? plan_is_measuring(stage->plan) : output->plan->port->file[0] != '\0';
}

static void complain_empty(struct run *run, struct run_stage *stage, const struct run_output *output)
{
	struct pfc_error err;

	error_set(&err, PFC_ENODATA, "it ended well and wrote nothing", "output '%s' of stage '%s'",
		  output->plan->port->name, stage->plan->name);
	settle_failure(run, stage, "finish", &err);
	stage->state = STAGE_FAILED;
}

/* Its process ended as it should, and yet it never said what became of this output. */
static void complain_unsaid(struct run *run, struct run_stage *stage, const struct run_output *output)
{
	struct pfc_error err;

	error_set(&err, PFC_EPROTO, "it ended without closing it", "output '%s' of stage '%s'",
		  output->plan->port->name, stage->plan->name);
	settle_failure(run, stage, "finish", &err);
	stage->state = STAGE_FAILED;
}

const char *settle_absence(const struct run_output *output)
{
	return output->plan->port->optional && output->is_sealed
		       ? protocol_text(json_object_get(output->report, "facts"), "absent")
		       : "";
}

const char *settle_lack(const struct run_output *output)
{
	return output->is_sealed ? protocol_text(json_object_get(output->report, "facts"), "partial") : "";
}

static void settle_output(struct run *run, struct run_stage *stage, struct run_output *output)
{
	if (output->state != OUTPUT_WRITING) {
		return;
	}
	if (output->report == NULL && is_tables(output)) {
		output->report = report_artifact(run, output);
		output->is_sealed = false;
	}
	if (settle_absence(output)[0] != '\0') {
		output->state = OUTPUT_ABSENT;
		rundir_remove_file(run->dir, output->plan->path);
		return;
	}
	if (output->is_sealed && is_empty(stage, output)) {
		complain_empty(run, stage, output);
	} else if (!output->is_sealed && stage->state == STAGE_DONE && !run->is_abandoned) {
		complain_unsaid(run, stage, output);
	}
	if (output->is_sealed && (stage->failure.status == 0 || has_data(output))) {
		output->state = settle_lack(output)[0] != '\0' ? OUTPUT_PARTIAL : OUTPUT_COMPLETE;
	} else if (has_data(output)) {
		output->state = OUTPUT_PARTIAL;
	} else {
		output->state = OUTPUT_FAILED;
		rundir_remove_file(run->dir, output->plan->path);
	}
}

/* It was asked whether it can measure, and then no window was opened: nothing is there, and nothing is wrong with it. */
static void forget(struct run *run, struct run_stage *stage)
{
	stage->state = STAGE_SKIPPED;
	for (size_t i = 0; i < stage->plan->output_count; i++) {
		if (stage->outputs[i].state == OUTPUT_WRITING) {
			rundir_remove_file(run->dir, stage->outputs[i].plan->path);
		}
		stage->outputs[i].state = OUTPUT_FAILED;
	}
}

void settle_end(struct run *run, struct run_stage *stage)
{
	if (stage->is_settled) {
		return;
	}
	stage->is_settled = true;
	if (stage->failure.status != 0 && stage->state == STAGE_FAILED && stage->failed_phase[0] != '\0') {
		struct pfc_error first = stage->failure;

		/* run_stage_reap notes a surprising end silently: tell it now. */
		if (str_starts(first.why, "the plugin's process")) {
			stage->failure.status = 0;
			settle_failure(run, stage, stage->failed_phase, &first);
		}
	}
	if (!run_has_window(run) && stage->failure.status == 0) {
		forget(run, stage);
		return;
	}
	for (size_t i = 0; i < stage->plan->output_count; i++) {
		settle_output(run, stage, &stage->outputs[i]);
	}
	summary_merge(run, stage);
	if (!run->is_abandoned) {
		record_write(run);
	}
}

void settle_spare(struct run_stage *stage)
{
	stage->state = STAGE_SKIPPED;
	stage->is_spared = true;
	for (size_t i = 0; i < stage->plan->output_count; i++) {
		stage->outputs[i].state = OUTPUT_ABSENT;
	}
}

void settle_skip(struct run *run, struct run_stage *stage, const char *why)
{
	char *text = str_printf("not started: %s", why != NULL ? why : "");

	stage->state = STAGE_SKIPPED;
	for (size_t i = 0; i < stage->plan->output_count; i++) {
		stage->outputs[i].state = OUTPUT_FAILED;
	}
	if (why != NULL) {
		loop_log(run, PFC_LOG_WARNING, stage->plan->name, text != NULL ? text : why);
	}
	free(text);
}
