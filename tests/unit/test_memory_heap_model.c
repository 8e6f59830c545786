/* SPDX-License-Identifier: MIT */
/*
 * The heap's estimates against a heap whose every object is known: sampled as the sampler does, two hundred times with seeded
 * chance. Sums are unbiased, and their 95 % intervals hold the truth in 95 % of the times.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "heap_model.h"

#define PERIOD  65536.0
#define OBJECTS 20000
#define RUNS    200

static uint64_t state;

static double uniform(void)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return ((double)(state >> 11) + 0.5) * 0x1p-53;
}

static void draw_objects(uint64_t sizes[OBJECTS], double *ret_bytes, double *ret_live)
{
	state = 7;
	*ret_bytes = *ret_live = 0;
	for (int i = 0; i < OBJECTS; i++) {
		sizes[i] = (uint64_t)exp2(4 + 12 * uniform()); /* 16 B to 64 KiB */
		*ret_bytes += (double)sizes[i];
		*ret_live += i % 4 == 0 ? (double)sizes[i] : 0;
	}
}

/* One process, two threads, one site; every fourth object stays. */
static void live_through(struct heap_model *model, const uint64_t sizes[OBJECTS], uint64_t seed)
{
	const uint64_t ip = 4096;
	const struct heap_path path = { &ip, 1, 0 };
	double left;

	state = seed;
	left = -log(uniform()) * PERIOD;
	for (int i = 0; i < OBJECTS; i++) {
		struct heap_death death;

		left -= (double)sizes[i];
		if (left >= 0) {
			continue;
		}
		left = -log(uniform()) * PERIOD;
		heap_model_alloc(model, (uint64_t)i + 1, 10, 10 + i % 2, sizes[i], (uint64_t)i * 1000,
				 heap_model_site(model, 10, &path, 1));
		if (i % 4 != 0) {
			ck_assert(heap_model_free(model, (uint64_t)i + 1, (uint64_t)i * 1000 + 500, &death));
			ck_assert_uint_eq(death.age_ns, 500);
		}
	}
}

static double sum_of(const struct heap_model *model, int which)
{
	double bytes = 0;

	for (uint32_t h = 0; h < model->histogram_count; h++) {
		for (int class = 0; class < HEAP_CLASSES; class ++) {
			const struct heap_histogram *of = &model->histograms[h];

			bytes += which == 0   ? of->made[class].bytes
				 : which == 1 ? of->live[class].bytes
					      : of->freed[class].bytes;
		}
	}
	return bytes;
}

START_TEST(sums_are_unbiased_and_intervals_hold)
{
	static uint64_t sizes[OBJECTS];
	double bytes, live, mean = 0, mean_live = 0;
	int held = 0, held_live = 0;

	draw_objects(sizes, &bytes, &live);
	for (uint64_t run = 0; run < RUNS; run++) {
		struct heap_model model;
		double low, high;

		ck_assert_int_eq(heap_model_init(&model, PERIOD, 1000), 0);
		live_through(&model, sizes, run * 7919 + 3);
		heap_sum_interval(&model.sites[0].allocated, &low, &high);
		held += low <= bytes && bytes <= high;
		mean += model.sites[0].allocated.bytes / RUNS;
		heap_sum_interval(&model.sites[0].live, &low, &high);
		held_live += low <= live && live <= high;
		mean_live += model.sites[0].live.bytes / RUNS;
		/* The same samples, by size, by age, by thread. */
		ck_assert_double_eq_tol(sum_of(&model, 0), model.sites[0].allocated.bytes, 1);
		ck_assert_double_eq_tol(sum_of(&model, 1), model.sites[0].live.bytes, 1);
		ck_assert_double_eq_tol(sum_of(&model, 2), model.sites[0].freed.bytes, 1);
		ck_assert_uint_eq(model.histogram_count, 2);
		ck_assert_double_eq_tol(model.sites[0].temporary_bytes, model.sites[0].freed.bytes, 1);
		heap_model_finish(&model);
	}
	/* A run is off by some 3 %, the mean of 200 by 0.2 %. */
	ck_assert_double_eq_tol(mean / bytes, 1, 0.01);
	ck_assert_double_eq_tol(mean_live / live, 1, 0.02);
	ck_assert_int_ge(held, RUNS * 91 / 100);
	ck_assert_int_le(held, RUNS * 99 / 100);
	ck_assert_int_ge(held_live, RUNS * 91 / 100);
}
END_TEST

START_TEST(the_peak_is_that_of_each_site_when_the_whole_was_highest)
{
	const uint64_t ips[] = { 1, 2 };
	struct heap_model model;
	struct heap_death death;
	uint32_t early, late;

	ck_assert_int_eq(heap_model_init(&model, 0, 1000), 0);
	early = heap_model_site(&model, 5, &(struct heap_path){ &ips[0], 1, 0 }, 1);
	late = heap_model_site(&model, 5, &(struct heap_path){ &ips[1], 1, 0 }, 1);
	heap_model_alloc(&model, 1, 5, 5, 1000, 10, early);
	heap_model_watch_peak(&model, 11);
	heap_model_free(&model, 1, 20, &death);
	heap_model_alloc(&model, 2, 5, 5, 600, 30, late);
	heap_model_watch_peak(&model, 31);
	ck_assert_double_eq(model.peak_bytes, 1000);
	ck_assert_double_eq(model.sites[early].peak_bytes, 1000);
	ck_assert_double_eq(model.sites[late].peak_bytes, 0);
	ck_assert_double_eq(model.live_bytes, 600);
	heap_histogram_censor(&model, 1030);
	ck_assert_double_eq(heap_histogram_of(&model, 5, 5)->censored[heap_class(1000)], 1);
	heap_model_finish(&model);
}
END_TEST

/* Its free may come by another ring, before it. */
START_TEST(a_free_that_comes_first_is_kept_for_its_allocation)
{
	const uint64_t ip = 1;
	struct heap_model model;
	struct heap_death death;

	ck_assert_int_eq(heap_model_init(&model, 0, 1000), 0);
	ck_assert(!heap_model_free(&model, 9, 50, &death));
	heap_model_alloc(&model, 9, 5, 5, 64, 10,
			 heap_model_site(&model, 5, &(struct heap_path){ &ip, 1, 0 }, 1));
	ck_assert_double_eq(model.live_bytes, 0);
	ck_assert_double_eq(model.sites[0].freed.bytes, 64);
	ck_assert_ptr_null(heap_model_find(&model, 9));
	heap_model_finish(&model);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory_heap_model");
	TCase *tests = tcase_create("model");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, sums_are_unbiased_and_intervals_hold);
	tcase_add_test(tests, the_peak_is_that_of_each_site_when_the_whole_was_highest);
	tcase_add_test(tests, a_free_that_comes_first_is_kept_for_its_allocation);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
