/* SPDX-License-Identifier: MIT */
/* plugins/lib: percentiles of requests against sorted values, and what counts as a failure. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "lib/latency.h"
#include "mem_artifact.h"
#include "synth.h"

#define T0    5000000000u
#define COUNT 20000

static struct mem_artifact *new_artifact(uint32_t chunk_rows)
{
	return mem_artifact_create("load-test", "requests", "profcore.requests/1", "", chunk_rows);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void append(struct mem_artifact *artifact, int32_t table, uint64_t start, uint64_t end,
		   uint16_t status, uint8_t error)
{
	const struct pfc_writer *writer = mem_artifact_writer(artifact);
	const void *columns[] = { &start, &end, &status, &error };

	ck_assert_int_eq(writer->append(writer->ctx, (uint32_t)table, 1, columns), 0);
}

static int32_t declare(struct mem_artifact *artifact)
{
	static const struct pfc_column columns[] = { { sizeof(struct pfc_column), PFC_U64, "start", "ns" },
						     { sizeof(struct pfc_column), PFC_U64, "end", "ns" },
						     { sizeof(struct pfc_column), PFC_U16, "status", "http" },
						     { sizeof(struct pfc_column), PFC_U8, "error", "enum" } };
	struct pfc_table table = { sizeof(table), 4, "requests", columns, sizeof(columns[0]), 0 };
	const struct pfc_writer *writer = mem_artifact_writer(artifact);

	return writer->declare(writer->ctx, &table);
}

static uint64_t draw(int distribution)
{
	double uniform = (rand() + 1.0) / (RAND_MAX + 2.0);

	switch (distribution) {
	case 0:
		return (uint64_t)rand() % 3000;
	case 1:
		return (uint64_t)(1e6 - 5e6 * log(uniform));
	case 2:
		return rand() % 50 == 0 ? 900000000 : 300000;
	default:
		return (uint64_t)exp(uniform * 40);
	}
}

static void check_near(uint64_t found, uint64_t exact)
{
	ck_assert_double_le(fabs((double)found - (double)exact), 0.001 * (double)exact + 1);
}

START_TEST(test_percentiles_match_sorted_values)
{
	static uint64_t values[COUNT];
	struct mem_artifact *artifact = new_artifact(777);
	int32_t table = declare(artifact);
	struct latency latency;
	uint32_t i;

	srand(42);
	for (i = 0; i < COUNT; i++) {
		values[i] = draw(_i);
		append(artifact, table, T0, T0 + values[i], 200, 0);
	}
	qsort(values, COUNT, sizeof(values[0]), compare);
	ck_assert_int_eq(latency_read(mem_artifact_reader(artifact), 0, 0, &latency), 0);
	check_near(latency.p50_ns, values[COUNT / 2 - 1]);
	check_near(latency.p90_ns, values[COUNT * 9 / 10 - 1]);
	check_near(latency.p99_ns, values[COUNT * 99 / 100 - 1]);
	check_near(latency.p999_ns, values[COUNT * 999 / 1000 - 1]);
	ck_assert_uint_eq(latency.max_ns, values[COUNT - 1]);
	mem_artifact_destroy(artifact);
}
END_TEST

START_TEST(test_failures_are_counted)
{
	struct mem_artifact *artifact = new_artifact(0);
	int32_t table = declare(artifact);
	struct latency latency;

	append(artifact, table, T0, T0 + 10, 200, 0);
	append(artifact, table, T0, T0 + 20, 404, 0);
	append(artifact, table, T0, T0 + 30, 500, 0);
	append(artifact, table, T0, T0 + 1000, 0, 1); /* refused: no latency */
	append(artifact, table, T0, T0 + 5000, 0, 2); /* timed out: it waited that long */
	append(artifact, table, T0, T0 + 7, 0, 0);    /* no answer and no error: other */
	append(artifact, table, T0, T0 - 5, 200, 0);  /* ends before it starts: no latency */
	append(artifact, table, T0, T0 + 1, 0, 200);  /* an error that nobody knows */
	ck_assert_int_eq(latency_read(mem_artifact_reader(artifact), 0, 0, &latency), 0);
	ck_assert_uint_eq(latency.requests, 8);
	ck_assert_uint_eq(latency.answered, 4);
	ck_assert_uint_eq(latency.failed, 4);
	ck_assert_uint_eq(latency.timed, 6);
	ck_assert_uint_eq(latency.status_4xx, 1);
	ck_assert_uint_eq(latency.status_5xx, 1);
	ck_assert_uint_eq(latency.errors[LATENCY_CONNECT], 1);
	ck_assert_uint_eq(latency.errors[LATENCY_TIMEOUT], 1);
	ck_assert_uint_eq(latency.errors[LATENCY_OTHER], 2);
	ck_assert_uint_eq(latency.max_ns, 5000);
	mem_artifact_destroy(artifact);
}
END_TEST

START_TEST(test_window_and_rate)
{
	struct mem_artifact *artifact = new_artifact(3);
	int32_t table = declare(artifact);
	struct latency latency;
	uint32_t i;

	for (i = 0; i < 100; i++) { /* one each 10 ms, 1 ms long */
		append(artifact, table, T0 + i * 10000000u, T0 + i * 10000000u + 1000000, 200, 0);
	}
	ck_assert_int_eq(latency_read(mem_artifact_reader(artifact), T0, T0 + 500000000, &latency), 0);
	ck_assert_uint_eq(latency.requests, 51);
	ck_assert_uint_eq(latency.outside, 49);
	ck_assert_double_eq_tol(latency.rps, 100, 1e-9); /* the 51st ends after the window */
	ck_assert_int_eq(
		latency_read(mem_artifact_reader(artifact), T0 + 900000000000, T0 + 901000000000, &latency),
		0);
	ck_assert_uint_eq(latency.requests, 100);
	ck_assert(latency.window_ignored);
	mem_artifact_destroy(artifact);
}
END_TEST

START_TEST(test_nothing_there)
{
	struct mem_artifact *artifact = new_artifact(0);
	struct latency latency;

	ck_assert_int_eq(latency_read(mem_artifact_reader(artifact), 0, 0, &latency), PFC_ENOENT);
	declare(artifact);
	ck_assert_int_eq(latency_read(mem_artifact_reader(artifact), 0, 0, &latency), 0);
	ck_assert_uint_eq(latency.requests, 0);
	mem_artifact_destroy(artifact);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plib_latency");
	TCase *tcase = tcase_create("latency");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, test_percentiles_match_sorted_values, 0, 4);
	tcase_add_test(tcase, test_failures_are_counted);
	tcase_add_test(tcase, test_window_and_rate);
	tcase_add_test(tcase, test_nothing_there);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
