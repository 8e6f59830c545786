/* SPDX-License-Identifier: MIT */
/*
 * core/run/settle.c: what is left of a stage and its outputs, in runs that are made up around a real folder and real files.
 * What a killed stage left is read back by this program itself, started again as the core would start profcore.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artifact_fixture.h"
#include "base/str.h"
#include "config_fixture.h"
#include "run/record.h"
#include "run/rundir.h"
#include "run/settle.h"
#include "run/report.h"
#include "stage/protocol.h"

#define TABLE_PATH    "artifacts/s.rows.pcol"
#define DOCUMENT_PATH "words.txt"

static struct manifest manifest = { .id = (char *)"s", .version = (char *)"1", .kind = PLUGIN_COLLECTOR };
static struct manifest_port ports[] = {
	{ .name = (char *)"rows",
	  .type = (char *)FIXTURE_TYPE,
	  .is_output = true,
	  .signal = (char *)"",
	  .file = (char *)"" },
	{ .name = (char *)"words",
	  .type = (char *)"text/plain",
	  .is_output = true,
	  .signal = (char *)"",
	  .file = (char *)DOCUMENT_PATH },
};
static struct plan_output plan_outputs[2];
static struct plan_stage plan_stage;
static struct plan_stage *plan_list[] = { &plan_stage };
static struct plan plan;
static struct run_output outputs[2];
static struct run_stage stage;
static struct run_settings settings;
static struct run run;
static struct rundir *folder;
static FILE *log_file;

/* A stage whose process ended as asked, with one output that it is writing. */
static void make(enum plugin_kind kind, size_t output)
{
	static char *const paths[] = { (char *)TABLE_PATH, (char *)DOCUMENT_PATH };
	struct pfc_error err;
	size_t count;

	if (folder == NULL) {
		ck_assert_int_eq(rundir_create(fixture_path("out"), "x", &folder, &err), 0);
		log_file = fopen(fixture_path("run.log"), "w+");
	}
	manifest.kind = kind;
	plan_outputs[0] = (struct plan_output){
		.port = &ports[output], .stage = &plan_stage, .signal = (char *)"", .path = paths[output]
	};
	plan_stage = (struct plan_stage){ .name = (char *)"s",
					  .section = (char *)"s",
					  .manifest = &manifest,
					  .outputs = plan_outputs,
					  .output_count = 1 };
	plan = (struct plan){ .stages = plan_list, .stage_count = 1 };
	if (plan.run.count == 0) {
		struct diag_list diags = { 0 };
		const struct manifest_option *defs = options_of_run(&count);

		static const char *const none[] = { NULL };
		ck_assert_int_eq(options_resolve(defs, count, NULL, none, &diags, &plan.run, &err), 0);
		diag_finish(&diags);
	}
	outputs[0] = (struct run_output){ .plan = &plan_outputs[0], .fd = -1, .state = OUTPUT_WRITING };
	ck_assert_int_eq(rundir_create_file(folder, paths[output], &outputs[0].fd, &err), 0);
	stage = (struct run_stage){
		.plan = &plan_stage, .state = STAGE_DONE, .outputs = outputs, .control = -1, .pidfd = -1
	};
	run = (struct run){ .plan = &plan,
			    .settings = &settings,
			    .stages = &stage,
			    .dir = folder,
			    .phase = PHASE_DRAIN,
			    .t0_ns = 1, /* a window was opened */
			    .log = log_file,
			    .warnings = json_array(),
			    .summary = json_object() };
}

static void finish(void)
{
	close(outputs[0].fd);
	json_decref(outputs[0].report);
	json_decref(run.warnings);
	json_decref(run.summary);
	options_finish(&plan.run);
	rundir_remove_file(folder, plan_outputs[0].path);
}

static void seal(const char *report)
{
	outputs[0].is_sealed = true;
	outputs[0].report = json_loads(report, 0, NULL);
	ck_assert_ptr_nonnull(outputs[0].report);
}

static void fail_stage(int status, const char *phase)
{
	struct pfc_error err;

	error_set(&err, status, "why it failed", "what failed");
	settle_failure(&run, &stage, phase, &err);
	stage.state = STAGE_FAILED;
}

static void write_document(const char *text)
{
	ck_assert_int_eq(write(outputs[0].fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Committed and not sealed, as a kill leaves it. */
static void write_rows(uint64_t count)
{
	struct artifact_writer *writer;
	const struct pfc_writer *face;
	struct pfc_error err;

	ck_assert_int_eq(artifact_writer_create(outputs[0].fd, FIXTURE_TYPE, &writer, &err), 0);
	face = artifact_writer_face(writer);
	ck_assert_int_eq(face->declare(face->ctx, &fixture_every_table), 0);
	for (uint64_t i = 0; i < count; i++) {
		ck_assert_int_eq(fixture_append_row(face, 0, i), 0);
	}
	ck_assert_int_eq(face->commit(face->ctx), 0);
	artifact_writer_destroy(writer);
}

static bool is_there(const char *path)
{
	return faccessat(folder->fd, path, F_OK, 0) == 0;
}

/* How often the log has this text. */
static unsigned logged(const char *text)
{
	size_t bytes;
	char *all;
	unsigned count = 0;

	fflush(log_file);
	all = (char *)fixture_read(fixture_path("run.log"), &bytes);
	all[bytes] = '\0';
	for (char *at = all; (at = strstr(at, text)) != NULL; at++) {
		count++;
	}
	free(all);
	return count;
}

static void check(enum output_state state, int status)
{
	settle_end(&run, &stage);
	ck_assert_int_eq(outputs[0].state, state);
	ck_assert_int_eq(stage.failure.status, status);
	ck_assert_int_eq(stage.state, status == 0 ? STAGE_DONE : STAGE_FAILED);
	ck_assert_int_eq(is_there(plan_outputs[0].path), state != OUTPUT_FAILED);
	ck_assert(!run.has_write_error);
	/* Data that is missing is never a success. */
	ck_assert_int_eq(record_exit_code(&run) == 0, state == OUTPUT_COMPLETE && status == 0);
}

START_TEST(sealed_with_rows)
{
	make(PLUGIN_COLLECTOR, 0);
	seal("{\"rows\": {\"every\": 3}}");
	check(OUTPUT_COMPLETE, 0);
	ck_assert(is_there("manifest.json"));
	ck_assert_uint_eq(logged("error"), 0);
	finish();
}
END_TEST

START_TEST(sealed_and_empty)
{
	make(PLUGIN_COLLECTOR, 0);
	seal("{\"rows\": {\"every\": 0}}");
	check(OUTPUT_FAILED, PFC_ENODATA);
	ck_assert_uint_eq(logged("wrote nothing"), 1);
	ck_assert_int_eq(record_exit_code(&run), 5);
	finish();
	make(PLUGIN_DRIVER, 0);
	seal("{}");
	check(OUTPUT_FAILED, PFC_ENODATA);
	finish();
}
END_TEST

/* An output that its stage calls incomplete is no success, though it is sealed. */
START_TEST(sealed_and_lacking)
{
	make(PLUGIN_COLLECTOR, 0);
	seal("{\"rows\": {\"every\": 3}, \"facts\": {\"partial\": \"no heap\"}}");
	check(OUTPUT_PARTIAL, 0);
	ck_assert_str_eq(settle_lack(&outputs[0]), "no heap");
	ck_assert_int_eq(record_exit_code(&run), 1);
	finish();
}
END_TEST

/* An optional output that its stage declined with a reason is no failure; without a reason it is. */
START_TEST(optional_and_absent)
{
	ports[0].optional = true;
	make(PLUGIN_COLLECTOR, 0);
	seal("{\"rows\": {\"every\": 0}, \"facts\": {\"absent\": \"not here\"}}");
	settle_end(&run, &stage);
	ck_assert_int_eq(outputs[0].state, OUTPUT_ABSENT);
	ck_assert_str_eq(settle_absence(&outputs[0]), "not here");
	ck_assert_int_eq(stage.state, STAGE_DONE);
	ck_assert(!is_there(plan_outputs[0].path));
	ck_assert_int_eq(record_exit_code(&run), 0);
	finish();
	make(PLUGIN_COLLECTOR, 0);
	seal("{\"rows\": {\"every\": 0}}");
	check(OUTPUT_FAILED, PFC_ENODATA);
	finish();
	ports[0].optional = false;
	make(PLUGIN_COLLECTOR, 0);
	seal("{\"rows\": {\"every\": 0}, \"facts\": {\"absent\": \"not here\"}}");
	check(OUTPUT_FAILED, PFC_ENODATA);
	finish();
}
END_TEST

/* A transform may well find nothing to pass on: sealed by its writer, and empty. */
START_TEST(an_empty_table_of_a_transform)
{
	make(PLUGIN_TRANSFORM, 0);
	seal("{\"rows\": {\"every\": 0}}");
	check(OUTPUT_COMPLETE, 0);
	finish();
}
END_TEST

START_TEST(documents)
{
	make(PLUGIN_REPORTER, 1);
	write_document("hello");
	seal("{\"bytes\": 5}");
	check(OUTPUT_COMPLETE, 0);
	finish();
	make(PLUGIN_REPORTER, 1);
	seal("{\"bytes\": 500}"); /* what is in the file counts, not what was said */
	check(OUTPUT_FAILED, PFC_ENODATA);
	finish();
	make(PLUGIN_REPORTER, 1);
	write_document("hel");
	fail_stage(PFC_EIO, "process");
	check(OUTPUT_PARTIAL, PFC_EIO);
	finish();
	make(PLUGIN_REPORTER, 1);
	fail_stage(PFC_EIO, "process");
	check(OUTPUT_FAILED, PFC_EIO);
	finish();
}
END_TEST

START_TEST(sealed_by_a_stage_that_failed)
{
	make(PLUGIN_COLLECTOR, 0);
	seal("{\"rows\": {\"every\": 3}}");
	fail_stage(PFC_EIO, "finish");
	check(OUTPUT_COMPLETE, PFC_EIO);
	finish();
	make(PLUGIN_COLLECTOR, 0);
	seal("{\"rows\": {\"every\": 0}}");
	fail_stage(PFC_ELOST, "finish");
	check(OUTPUT_FAILED, PFC_ELOST); /* its own words stay */
	finish();
}
END_TEST

START_TEST(a_killed_stage_leaves_what_it_committed)
{
	make(PLUGIN_COLLECTOR, 0);
	write_rows(7);
	fail_stage(PFC_EPROTO, "run");
	check(OUTPUT_PARTIAL, PFC_EPROTO);
	ck_assert_int_eq(record_rows(&outputs[0]), 7);
	finish();
	make(PLUGIN_COLLECTOR, 0);
	write_rows(0);
	fail_stage(PFC_EPROTO, "run");
	check(OUTPUT_FAILED, PFC_EPROTO);
	finish();
	make(PLUGIN_COLLECTOR, 0);
	write_document("this is no table");
	fail_stage(PFC_EPROTO, "run");
	check(OUTPUT_FAILED, PFC_EPROTO);
	finish();
}
END_TEST

START_TEST(an_output_that_nothing_was_said_of)
{
	make(PLUGIN_COLLECTOR, 0);
	write_rows(7);
	check(OUTPUT_PARTIAL, PFC_EPROTO);
	ck_assert_uint_eq(logged("without closing it"), 1);
	finish();
	make(PLUGIN_REPORTER, 1);
	check(OUTPUT_FAILED, PFC_EPROTO);
	finish();
}
END_TEST

START_TEST(abandoned)
{
	make(PLUGIN_COLLECTOR, 0);
	write_rows(7);
	run.is_abandoned = true;
	settle_end(&run, &stage);
	ck_assert_int_eq(outputs[0].state, OUTPUT_PARTIAL);
	ck_assert_int_eq(stage.failure.status, 0); /* it was told to go: no fault of its own */
	ck_assert_int_eq(record_exit_code(&run), 130);
	finish();
}
END_TEST

START_TEST(twice_is_once)
{
	make(PLUGIN_COLLECTOR, 0);
	seal("{\"rows\": {\"every\": 0}}");
	check(OUTPUT_FAILED, PFC_ENODATA);
	outputs[0].state = OUTPUT_WRITING;
	settle_end(&run, &stage);
	ck_assert_int_eq(outputs[0].state, OUTPUT_WRITING);
	ck_assert_uint_eq(logged("wrote nothing"), 1);
	finish();
}
END_TEST

START_TEST(the_first_failure_is_told_once)
{
	struct pfc_error err;

	make(PLUGIN_COLLECTOR, 0);
	fail_stage(PFC_EIO, "run");
	error_set(&err, PFC_ENOSPC, "another why", "another what");
	error_hint(&err, "another hint");
	settle_failure(&run, &stage, "stop", &err);
	ck_assert_int_eq(stage.failure.status, PFC_EIO);
	ck_assert_str_eq(stage.failed_phase, "run");
	ck_assert_uint_eq(logged("what failed: why it failed"), 1);
	ck_assert_uint_eq(logged("another"), 0);
	finish();
}
END_TEST

/* run_stage_reap notes such an end without a word. */
START_TEST(a_surprising_end_is_told)
{
	struct pfc_error err;

	make(PLUGIN_COLLECTOR, 0);
	error_set(&err, PFC_EPROTO, "the plugin's process was ended by signal 11", "run of stage 's'");
	error_hint(&err, "gdb");
	run_stage_fail(&stage, "run", &err);
	stage.state = STAGE_FAILED;
	check(OUTPUT_FAILED, PFC_EPROTO);
	ck_assert_str_eq(stage.failed_phase, "run");
	ck_assert_str_eq(stage.failure.hint, "gdb");
	ck_assert_uint_eq(logged("ended by signal 11; try: gdb"), 1);
	finish();
}
END_TEST

START_TEST(skipped)
{
	make(PLUGIN_TRANSFORM, 1);
	stage.state = STAGE_PLANNED;
	outputs[0].state = OUTPUT_PLANNED;
	settle_skip(&run, &stage, "nothing to read");
	ck_assert_int_eq(stage.state, STAGE_SKIPPED);
	ck_assert_int_eq(outputs[0].state, OUTPUT_FAILED);
	ck_assert_uint_eq(logged("not started: nothing to read"), 1);
	finish();
}
END_TEST

START_TEST(outputs_that_were_never_begun_are_left_alone)
{
	make(PLUGIN_COLLECTOR, 0);
	outputs[0].state = OUTPUT_PLANNED;
	settle_end(&run, &stage);
	ck_assert_int_eq(outputs[0].state, OUTPUT_PLANNED);
	finish();
}
END_TEST

int main(int argc, char **argv)
{
	TCase *tests;

	if (argc == 2 && str_equal(argv[1], REPORT_COMMAND)) {
		return report_main();
	}
	tests = tcase_create("settle");
	tcase_add_test(tests, sealed_with_rows);
	tcase_add_test(tests, sealed_and_empty);
	tcase_add_test(tests, sealed_and_lacking);
	tcase_add_test(tests, optional_and_absent);
	tcase_add_test(tests, an_empty_table_of_a_transform);
	tcase_add_test(tests, documents);
	tcase_add_test(tests, sealed_by_a_stage_that_failed);
	tcase_add_test(tests, a_killed_stage_leaves_what_it_committed);
	tcase_add_test(tests, an_output_that_nothing_was_said_of);
	tcase_add_test(tests, abandoned);
	tcase_add_test(tests, twice_is_once);
	tcase_add_test(tests, the_first_failure_is_told_once);
	tcase_add_test(tests, a_surprising_end_is_told);
	tcase_add_test(tests, skipped);
	tcase_add_test(tests, outputs_that_were_never_begun_are_left_alone);
	return fixture_main(tests, "settle");
}
