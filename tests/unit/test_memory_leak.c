/* SPDX-License-Identifier: MIT */
/*
 * The leak verdict on courses whose truth is known, each lived through a thousand times with seeded chance: how often a leak is
 * named, and how often what is none.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "heap_leak.h"

#define WINDOW_S 60.0
#define LIVES    1000

static uint64_t state;

static double uniform(void)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return ((double)(state >> 11) + 0.5) * 0x1p-53;
}

/* What becomes of a sampled object: when it is born and when it goes, in s of the window. */
typedef void (*course_fn)(double *ret_born, double *ret_gone);

static void leak(double *ret_born, double *ret_gone)
{
	*ret_born = WINDOW_S * uniform();
	*ret_gone = INFINITY;
}

/* Half of what it ever holds came after a tenth of the window. */
static void filling_cache(double *ret_born, double *ret_gone)
{
	*ret_born = -log(uniform()) * WINDOW_S / 14;
	*ret_gone = INFINITY;
}

static void late_queue(double *ret_born, double *ret_gone)
{
	*ret_born = WINDOW_S * uniform();
	*ret_gone = *ret_born + WINDOW_S / 3;
}

static void starts_late(double *ret_born, double *ret_gone)
{
	*ret_born = WINDOW_S * (0.6 + 0.4 * uniform());
	*ret_gone = INFINITY;
}

static void testify(struct heap_evidence *evidence, double born, double gone)
{
	double end = gone < WINDOW_S ? gone : WINDOW_S;
	int third = heap_leak_third(WINDOW_S, evidence->old_s, born);

	if (end - born <= evidence->old_s || born > WINDOW_S) {
		return;
	}
	if (gone < WINDOW_S) {
		evidence->deaths++;
		evidence->exposure_s += end - born - evidence->old_s;
	} else if (third >= 0) {
		evidence->survivors++;
		evidence->by_third[third]++;
		evidence->exposure_s += end - born - evidence->old_s;
		evidence->survivor_bytes += 32768;
		evidence->survivor_variance += 32768.0 * 32768.0;
	}
}

/* In how many lives, of a thousand, a course comes to this verdict. `samples` objects of it are expected in a window. */
static int count(course_fn course, double samples, enum heap_verdict verdict, double *ret_rate)
{
	int found = 0;

	*ret_rate = 0;
	for (int life = 0; life < LIVES; life++) {
		struct heap_evidence evidence = { .window_s = WINDOW_S,
						  .old_s = heap_leak_age(WINDOW_S),
						  .sites = 8 };
		struct heap_judgement judged;

		state = (uint64_t)life * 977 + 5;
		for (double at = -log(uniform()); at < samples; at -= log(uniform())) {
			double born, gone;

			course(&born, &gone);
			testify(&evidence, born, gone);
		}
		heap_leak_judge(&evidence, &judged);
		found += judged.verdict == verdict;
		*ret_rate += judged.rate / LIVES;
	}
	return found;
}

START_TEST(a_leak_of_a_mib_a_minute_is_named)
{
	double rate;

	/* 1 MiB by samples of 32 KiB: 32 in the window, of which some 21 come to the age. */
	ck_assert_int_ge(count(leak, 32, HEAP_LEAK, &rate), 955);
	ck_assert_double_eq_tol(rate, 1048576 / WINDOW_S, 0.03 * 1048576 / WINDOW_S);
	ck_assert_int_ge(count(leak, 300, HEAP_LEAK, &rate), 999);
	/* With a handful of samples it says so, as a rule. */
	ck_assert_int_ge(count(leak, 4, HEAP_TOO_SHORT, &rate), 900);
}
END_TEST

START_TEST(what_is_no_leak_is_not_named)
{
	double rate;

	for (double samples = 20; samples < 3000; samples *= 4) {
		ck_assert_int_le(count(filling_cache, samples, HEAP_LEAK, &rate), 10);
		ck_assert_int_eq(count(late_queue, samples, HEAP_LEAK, &rate), 0);
		ck_assert_int_le(count(starts_late, samples, HEAP_LEAK, &rate), 10);
	}
	ck_assert_int_ge(count(filling_cache, 1000, HEAP_SETTLED, &rate), 990);
	ck_assert_int_ge(count(late_queue, 1000, HEAP_SLOW, &rate), 990);
}
END_TEST

START_TEST(short_windows_and_few_objects_are_too_short)
{
	struct heap_evidence evidence = { .window_s = 4,
					  .old_s = 1,
					  .survivors = 1000,
					  .by_third = { 300, 300, 400 },
					  .exposure_s = 1000 };
	struct heap_judgement judged;

	heap_leak_judge(&evidence, &judged);
	ck_assert_int_eq(judged.verdict, HEAP_TOO_SHORT);
	ck_assert_ptr_nonnull(strstr(judged.why, "shorter than 5 s"));
	evidence = (struct heap_evidence){
		.window_s = 60, .old_s = 15, .survivors = 5, .by_third = { 2, 1, 2 }, .exposure_s = 100
	};
	heap_leak_judge(&evidence, &judged);
	ck_assert_int_eq(judged.verdict, HEAP_TOO_SHORT);
	ck_assert_ptr_nonnull(strstr(judged.why, "5 sampled objects"));
	memset(&evidence, 0, sizeof(evidence));
	heap_leak_judge(&evidence, &judged);
	ck_assert_int_eq(judged.verdict, HEAP_STEADY);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory_leak");
	TCase *tests = tcase_create("leak");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, a_leak_of_a_mib_a_minute_is_named);
	tcase_add_test(tests, what_is_no_leak_is_not_named);
	tcase_add_test(tests, short_windows_and_few_objects_are_too_short);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
