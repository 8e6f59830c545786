/* SPDX-License-Identifier: MIT */
/* The accounts of strace: the histogram's bound of error, sums of calls and errors, and the limit on names. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "account.h"

START_TEST(test_buckets_cover_every_duration_once)
{
	for (unsigned i = 0; i + 1 < BUCKET_COUNT; i++) {
		unsigned long long low = bucket_low(i), high = bucket_low(i + 1);

		ck_assert_uint_lt(low, high);
		ck_assert_uint_eq(bucket_of(low), i);
		ck_assert_uint_eq(bucket_of(high - 1), i);
		ck_assert_uint_eq(bucket_of(high), i + 1);
		if (low >= 8) { /* never wider than an eighth of its least duration */
			ck_assert_uint_le((high - low) * 8, low);
		} else {
			ck_assert_uint_eq(high - low, 1);
		}
	}
	ck_assert_uint_eq(bucket_of(UINT64_MAX), BUCKET_COUNT - 1);
}
END_TEST

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Durations over six decades: each quantile within a sixteenth of the true one, half a bucket. */
START_TEST(test_quantiles_are_within_their_bound)
{
	enum { COUNT = 20000 };
	static uint64_t values[COUNT];
	static const double shares[] = { 0.01, 0.1, 0.5, 0.9, 0.99, 0.999 };
	struct cell cell = { 0 };
	unsigned state = 7;

	for (size_t i = 0; i < COUNT; i++) {
		state = state * 1103515245u + 12345u;
		values[i] = (100 + (state >> 8) % 900) << ((state >> 20) % 20);
		cell_add_call(&cell, values[i], 0);
	}
	qsort(values, COUNT, sizeof(values[0]), compare);
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		uint64_t truth = values[(size_t)(shares[i] * COUNT) - 1];
		uint64_t seen = buckets_quantile(cell.call_buckets, shares[i], cell.min_ns, cell.max_ns);

		ck_assert_msg(seen * 16 >= truth * 15 && seen * 16 <= truth * 17, "%g: %llu for %llu",
			      shares[i], (unsigned long long)seen, (unsigned long long)truth);
	}
	ck_assert_uint_eq(buckets_quantile(cell.wait_buckets, 0.5, 0, 0), 0);
	ck_assert_uint_eq(cell.min_ns, values[0]);
	ck_assert_uint_eq(cell.max_ns, values[COUNT - 1]);
}
END_TEST

/* More kinds of errors than there are places: the sum has them all. */
START_TEST(test_errors_beyond_their_places_are_counted)
{
	struct cell cell = { 0 };
	uint64_t told = 0;

	for (int number = 1; number <= CELL_ERRORS + 3; number++) {
		cell_add_call(&cell, 10, -number);
	}
	cell_add_call(&cell, 10, -5000); /* an address, no error */
	cell_add_call(&cell, 10, 3);
	for (size_t i = 0; i < CELL_ERRORS; i++) {
		told += cell.error[i].count;
	}
	ck_assert_uint_eq(cell.calls, CELL_ERRORS + 5);
	ck_assert_uint_eq(cell.errors, CELL_ERRORS + 3);
	ck_assert_uint_eq(told, CELL_ERRORS);
}
END_TEST

START_TEST(test_waits_add_up)
{
	struct cell cell = { 0 };
	struct wait wait = { 0 };

	cell_add_wait(&cell, 700, 30);
	cell_add_wait(&cell, 300, 0);
	wait_add(&wait, 12);
	wait_add(&wait, 5);
	ck_assert_uint_eq(cell.waits, 2);
	ck_assert_uint_eq(cell.blocked_ns, 1000);
	ck_assert_uint_eq(cell.runnable_ns, 30);
	ck_assert_uint_eq(cell.max_wait_ns, 700);
	ck_assert_uint_eq(cell.calls, 0);
	ck_assert_uint_eq(wait.total_ns, 17);
	ck_assert_uint_eq(wait.max_ns, 12);
}
END_TEST

/* A thread id that comes again begins a new book, and the old one stays. */
START_TEST(test_an_id_that_comes_again_is_another_thread)
{
	struct account *account = account_create();
	const struct thread *const *threads;
	struct thread *first = account_thread(account, 10, 11);

	first->on_cpu_ns = 5;
	ck_assert_ptr_eq(account_thread(account, 10, 11), first);
	account_thread_end(account, 11, 99);
	ck_assert_ptr_ne(account_thread(account, 20, 11), first);
	ck_assert_uint_eq(account_threads(account, &threads), 2);
	ck_assert_int_eq(threads[0]->pid, 10);
	ck_assert_uint_eq(threads[0]->end_ns, 99);
	ck_assert_int_eq(threads[1]->pid, 20);
	account_destroy(account);
}
END_TEST

/* Beyond the limit new names fall together; those that are known stay themselves. */
START_TEST(test_names_are_bounded)
{
	struct account *account = account_create();
	struct file_use *known = account_file(account, 1, "/known");
	struct file_use *others;
	const struct file_use *const *files;
	char name[32];

	for (unsigned i = 1; i < FILES_MAX; i++) {
		snprintf(name, sizeof(name), "/file/%u", i);
		ck_assert_ptr_nonnull(account_file(account, 1, name));
	}
	others = account_file(account, 1, "/one more");
	ck_assert_str_eq(others->name, "(others)");
	ck_assert_ptr_eq(account_file(account, 2, "/another"), others);
	ck_assert_ptr_eq(account_file(account, 1, "/known"), known);
	ck_assert_uint_eq(account_files(account, &files), FILES_MAX + 1);
	account_destroy(account);
}
END_TEST

START_TEST(test_requests_by_operation)
{
	struct account *account = account_create();
	const struct ring_use *const *rings;

	account_ring(account, 1, 22)->requests += 2;
	account_ring(account, 1, 22)->requests += 3;
	account_ring(account, 2, 22)->requests += 1;
	ck_assert_uint_eq(account_rings(account, &rings), 2);
	ck_assert_uint_eq(rings[0]->requests, 5);
	account_destroy(account);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strace_account");
	TCase *tcase = tcase_create("strace_account");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_buckets_cover_every_duration_once);
	tcase_add_test(tcase, test_quantiles_are_within_their_bound);
	tcase_add_test(tcase, test_errors_beyond_their_places_are_counted);
	tcase_add_test(tcase, test_waits_add_up);
	tcase_add_test(tcase, test_an_id_that_comes_again_is_another_thread);
	tcase_add_test(tcase, test_names_are_bounded);
	tcase_add_test(tcase, test_requests_by_operation);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
