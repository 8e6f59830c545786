/* SPDX-License-Identifier: MIT */
/* The judgement of a run, from runs that are made up. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_fixture.h"
#include "run/record.h"
#include "run/summary.h"

#define STAGES 3

static struct manifest manifest = { .kind = PLUGIN_COLLECTOR };
static struct manifest_port port = { .name = (char *)"p", .type = (char *)"a.b/1", .is_output = true };
static struct plan_output plan_outputs[STAGES];
static struct plan_stage plan_stages[STAGES];
static struct plan_stage *plan_list[STAGES];
static struct plan plan;
static struct run_output outputs[STAGES];
static struct run_stage stages[STAGES];
static struct run run;

/* Stages that did all they should. */
static void make_run(void)
{
	plan = (struct plan){ .stages = plan_list, .stage_count = STAGES };
	run = (struct run){ .plan = &plan, .stages = stages, .phase = PHASE_SEALED };
	for (size_t i = 0; i < STAGES; i++) {
		plan_outputs[i] = (struct plan_output){ .port = &port, .stage = &plan_stages[i] };
		plan_stages[i] = (struct plan_stage){ .name = (char *)"s", .manifest = &manifest, .outputs = &plan_outputs[i],
						      .output_count = 1, .index = i };
		plan_list[i] = &plan_stages[i];
		outputs[i] = (struct run_output){ .plan = &plan_outputs[i], .fd = -1, .state = OUTPUT_COMPLETE };
		stages[i] = (struct run_stage){ .plan = &plan_stages[i], .state = STAGE_DONE, .outputs = &outputs[i] };
	}
}

static void fail_stage(size_t i, int status, const char *phase)
{
	stages[i].state = STAGE_FAILED;
	stages[i].failure.status = status;
	outputs[i].state = OUTPUT_FAILED;
	strcpy(stages[i].failed_phase, phase);
}

static void fail_gate(size_t i)
{
	stages[i].gates = json_pack("[{s:i}, {s:i}]", "verdict", PFC_GATE_PASS, "verdict", PFC_GATE_FAIL);
}

START_TEST(each_exit_code_alone)
{
	make_run();
	ck_assert_int_eq(record_exit_code(&run), 0);
	ck_assert_str_eq(record_status(&run), "complete");
	fail_gate(1);
	ck_assert_int_eq(record_exit_code(&run), 99);
	ck_assert_str_eq(record_status(&run), "complete");
	json_decref(stages[1].gates);
	make_run();
	fail_stage(0, PFC_ENODATA, "finish");
	ck_assert_int_eq(record_exit_code(&run), 5);
	ck_assert_str_eq(record_status(&run), "partial");
	make_run();
	fail_stage(0, PFC_EIO, "run");
	ck_assert_int_eq(record_exit_code(&run), 1);
	make_run();
	outputs[2].state = OUTPUT_PARTIAL;
	ck_assert_int_eq(record_exit_code(&run), 1);
	make_run();
	run.has_write_error = true;
	ck_assert_int_eq(record_exit_code(&run), 1);
	make_run();
	fail_stage(0, PFC_EPERM, "probe");
	ck_assert_int_eq(record_exit_code(&run), 4);
	make_run();
	fail_stage(0, PFC_EPERM, "run"); /* it had been let in: a failure as any other */
	ck_assert_int_eq(record_exit_code(&run), 1);
	make_run();
	run.target_failure.status = PFC_ETARGET;
	ck_assert_int_eq(record_exit_code(&run), 3);
	run.target_failure.status = PFC_EPERM;
	ck_assert_int_eq(record_exit_code(&run), 4);
	run.target_failure.status = PFC_ENOSPC;
	ck_assert_int_eq(record_exit_code(&run), 1);
	run.is_abandoned = true;
	ck_assert_int_eq(record_exit_code(&run), 130);
}
END_TEST

START_TEST(the_graver_one_wins)
{
	make_run();
	fail_gate(2);
	fail_stage(0, PFC_ENODATA, "finish");
	ck_assert_int_eq(record_exit_code(&run), 5);
	fail_stage(1, PFC_EIO, "run");
	ck_assert_int_eq(record_exit_code(&run), 1);
	fail_stage(0, PFC_ENOTSUP, "prepare");
	ck_assert_int_eq(record_exit_code(&run), 4);
	run.target_failure.status = PFC_ENOENT;
	ck_assert_int_eq(record_exit_code(&run), 3);
	json_decref(stages[2].gates);
	for (size_t i = 0; i < STAGES; i++) {
		fail_stage(i, PFC_EIO, "run");
	}
	ck_assert_str_eq(record_status(&run), "failed");
}
END_TEST

START_TEST(hostile_reports_count_nothing_twice)
{
	struct run_output output = { 0 };

	ck_assert_int_eq(record_lost(&output), 0);
	ck_assert_int_eq(record_rows(&output), 0);
	output.report = json_pack("{s:{s:I, s:I, s:I, s:s}, s:{s:I, s:I}}", "lost", "a", (json_int_t)INT64_MAX, "b",
				  (json_int_t)INT64_MAX, "c", (json_int_t)-5, "d", "many", "rows", "x", (json_int_t)-7, "y",
				  (json_int_t)3);
	ck_assert_int_eq(record_lost(&output), INT64_MAX);
	ck_assert_int_eq(record_rows(&output), 3);
	json_decref(output.report);
	output.report = json_pack("{s:s, s:[i], s:i}", "lost", "all", "rows", 1, "main_rows", -9);
	ck_assert_int_eq(record_lost(&output), 0);
	ck_assert_int_eq(record_rows(&output), 0);
	json_decref(output.report);
}
END_TEST

START_TEST(coverage)
{
	make_run();
	ck_assert(isnan(record_coverage(&run, &stages[0])));
	run.t0_ns = 1000;
	run.t1_ns = 2000;
	ck_assert(isnan(record_coverage(&run, &stages[0])));
	stages[0].started_ns = 900;
	stages[0].stopped_ns = 2100;
	ck_assert_double_eq(record_coverage(&run, &stages[0]), 1);
	stages[0].started_ns = 1500;
	ck_assert_double_eq(record_coverage(&run, &stages[0]), 0.5);
	stages[0].stopped_ns = 1200;
	ck_assert_double_eq(record_coverage(&run, &stages[0]), 0);
	stages[0].stopped_ns = 0;
	stages[0].state = STAGE_FAILED;
	ck_assert_double_eq(record_coverage(&run, &stages[0]), 0);
}
END_TEST

static void merge_text(size_t i, const char *text)
{
	static struct manifest_port summary = { .name = (char *)"s", .type = (char *)"profcore.summary/1", .is_output = true };
	FILE *file = fopen(fixture_write("summary.json", text), "rb");

	plan_outputs[i].port = &summary;
	outputs[i].fd = fileno(file);
	summary_merge(&run, &stages[i]);
	fclose(file);
}

START_TEST(summaries_are_merged_by_key)
{
	json_t *expected;

	make_run();
	run.summary = json_object();
	merge_text(0, "{\"load\": {\"rps\": 1, \"p50\": 2}, \"findings\": [1], \"x\": 1}");
	merge_text(1, "{\"load\": {\"rps\": 3, \"p99\": 4}, \"findings\": [2, 3], \"x\": [5]}");
	merge_text(2, "[1, 2]"); /* none of these is one */
	merge_text(2, "{\"load\":");
	merge_text(2, "");
	expected = json_loads("{\"load\": {\"rps\": 3, \"p50\": 2, \"p99\": 4}, \"findings\": [1, 2, 3], \"x\": [5]}", 0, NULL);
	ck_assert(json_equal(run.summary, expected));
	json_decref(expected);
	outputs[0].state = OUTPUT_PARTIAL; /* half a document is not merged */
	merge_text(0, "{\"y\": 1}");
	ck_assert_ptr_null(json_object_get(run.summary, "y"));
	json_decref(run.summary);
}
END_TEST

START_TEST(dates)
{
	char date[32];

	ck_assert_str_eq(record_date(date, sizeof(date), 0), "1970-01-01T00:00:00Z");
	ck_assert_str_eq(record_date(date, sizeof(date), 1795446245ull * 1000000000), "2026-11-23T15:04:05Z");
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("record");

	tcase_add_test(tests, each_exit_code_alone);
	tcase_add_test(tests, the_graver_one_wins);
	tcase_add_test(tests, hostile_reports_count_nothing_twice);
	tcase_add_test(tests, coverage);
	tcase_add_test(tests, summaries_are_merged_by_key);
	tcase_add_test(tests, dates);
	return fixture_main(tests, "record");
}
