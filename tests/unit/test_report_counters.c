/* SPDX-License-Identifier: MIT */
/* plugins/report: counts that took turns are scaled, ratios are of scaled counts, and what never ran is not zero. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mem_artifact.h"
#include "report/report.h"

static struct mem_artifact *artifact;
static int32_t number;

static void setup(void)
{
	static const struct pfc_column columns[] = {
		{ sizeof(struct pfc_column), PFC_UTF8, "event", "" },
		{ sizeof(struct pfc_column), PFC_UTF8, "unit", "" },
		{ sizeof(struct pfc_column), PFC_U64, "value", "count" },
		{ sizeof(struct pfc_column), PFC_U64, "enabled_ns", "ns" },
		{ sizeof(struct pfc_column), PFC_U64, "running_ns", "ns" }
	};
	struct pfc_table table = { sizeof(table), 5, "counters", columns, sizeof(columns[0]), -1 };
	const struct pfc_writer *writer;

	artifact = mem_artifact_create("perf-cpu", "counters", "profcore.counters/1", "", 4);
	writer = mem_artifact_writer(artifact);
	number = writer->declare(writer->ctx, &table);
	ck_assert_int_ge(number, 0);
}

static void teardown(void)
{
	mem_artifact_destroy(artifact);
}

static void add(const char *name, const char *unit_name, uint64_t value, uint64_t enabled_ns,
		uint64_t running_ns)
{
	const struct pfc_writer *writer = mem_artifact_writer(artifact);
	struct pfc_string event = { name, strlen(name) };
	struct pfc_string unit = { unit_name, strlen(unit_name) };
	const void *columns[] = { &event, &unit, &value, &enabled_ns, &running_ns };

	ck_assert_int_eq(writer->append(writer->ctx, (uint32_t)number, 1, columns), 0);
}

/* The line of an event must hold these words. */
static void expect(const struct text *text, const char *event, const char *words)
{
	const char *at = strstr(text_str(text), event);
	char line[160] = "";

	ck_assert_msg(at != NULL, "no %s in:\n%s", event, text_str(text));
	while (at > text_str(text) && at[-1] != '\n') {
		at--;
	}
	strncat(line, at, strcspn(at, "\n") < sizeof(line) ? strcspn(at, "\n") : sizeof(line) - 1);
	ck_assert_msg(strstr(line, words) != NULL, "\"%s\" is not in: %s", words, line);
}

START_TEST(test_turns_are_scaled)
{
	ck_assert_double_eq(report_scaled(1000, 2000, 1000), 2000);
	ck_assert_double_eq(report_scaled(1000, 2000, 2000), 1000);
	ck_assert_double_eq(report_scaled(1000, 0, 5), 1000);
	ck_assert(isnan(report_scaled(0, 2000, 0)));
}
END_TEST

START_TEST(test_table)
{
	struct text text = { 0 };

	add("task-clock", "ns", 500000000, 500000000, 500000000);
	add("instructions", "count", 3000000, 2000, 1000);
	add("cycles", "count", 1000000, 2000, 500);
	add("cache-references", "count", 0, 2000, 2000);
	add("cache-misses", "count", 5, 2000, 2000);
	add("branch-misses", "count", 0, 2000, 0);
	add("page-faults", "count", 600, 2000, 2000);
	ck_assert_int_eq(report_counters(mem_artifact_reader(artifact), 1000000000, &text), 0);
	expect(&text, "task-clock", "0.500 CPUs used");
	expect(&text, "instructions", "6,000,000");
	expect(&text, "instructions", "1.50 per cycle"); /* of the scaled counts: 6 M by 4 M */
	expect(&text, "instructions", " 50.0");
	expect(&text, "cycles  ", "4,000,000");
	expect(&text, "cache-misses", "10 a second of CPU time"); /* no rate where there were no references */
	expect(&text, "branch-misses", "not counted");
	expect(&text, "page-faults", "1200 a second of CPU time");
	text_finish(&text);
}
END_TEST

START_TEST(test_what_anybody_wrote)
{
	struct text text = { 0 };

	add("\x1b[31mred", "ns", UINT64_MAX, UINT64_MAX, 1);
	add("", "", 1, 1, 1);
	ck_assert_int_eq(report_counters(mem_artifact_reader(artifact), 0, &text), 0);
	ck_assert_ptr_null(strchr(text_str(&text), '\x1b'));
	text_finish(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("report_counters");
	TCase *tcase = tcase_create("counters");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_turns_are_scaled);
	tcase_add_test(tcase, test_table);
	tcase_add_test(tcase, test_what_anybody_wrote);
	suite_add_tcase(suite, tcase);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
