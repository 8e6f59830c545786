/* SPDX-License-Identifier: MIT */
/* The perf back-end's pairing of records, on moments that no kernel would send in this order at will. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "perf_state.h"

/* Far beyond any pid_max: /proc knows nothing of them. */
#define PID 90000001
#define TID 90000002

static struct perf_state state;
static struct tracer tracer;

static void setup(void)
{
	memset(&state, 0, sizeof(state));
	memset(&tracer, 0, sizeof(tracer));
	tracer.settings.slow_ns = UINT64_MAX;
	tracer.account = account_create();
	state.tracer = &tracer;
	ck_assert_ptr_nonnull(tracer.account);
	ck_assert_int_eq(tasks_init(&state.tasks, 100), 0);
}

static void teardown(void)
{
	tasks_finish(&state.tasks);
	account_destroy(tracer.account);
}

static void take(enum moment_kind kind, uint64_t time_ns, int32_t tid, int32_t nr, int64_t result)
{
	struct moment moment = {
		.kind = (uint8_t)kind, .time_ns = time_ns, .pid = PID, .tid = tid, .nr = nr, .result = result
	};

	calls_take(&state, &moment);
}

static const struct cell *cell_of(int32_t nr)
{
	return account_cell(tracer.account, PID, ABI_NATIVE, nr);
}

START_TEST(a_call_with_a_wait)
{
	take(MOMENT_ENTER, 1000, TID, SYS_read, 0);
	take(MOMENT_OFF, 1200, TID, 0, 0);
	take(MOMENT_ON, 5200, TID, 0, 0);
	take(MOMENT_EXIT, 5500, TID, SYS_read, -11);
	ck_assert_uint_eq(cell_of(SYS_read)->calls, 1);
	ck_assert_uint_eq(cell_of(SYS_read)->errors, 1);
	ck_assert_uint_eq(cell_of(SYS_read)->total_ns, 4500);
	ck_assert_uint_eq(cell_of(SYS_read)->waits, 1);
	ck_assert_uint_eq(cell_of(SYS_read)->blocked_ns, 4000);
	ck_assert_uint_eq(state.unmatched, 0);
	ck_assert_int_eq(state.status, 0);
}
END_TEST

START_TEST(preemption_is_no_wait_of_the_call)
{
	const struct thread *const *threads;

	take(MOMENT_ENTER, 1000, TID, SYS_write, 0);
	take(MOMENT_PREEMPTED, 1100, TID, 0, 0);
	take(MOMENT_ON, 1600, TID, 0, 0);
	take(MOMENT_EXIT, 1700, TID, SYS_write, 1);
	take(MOMENT_OFF, 2000, TID, 0, 0);
	take(MOMENT_ON, 2500, TID, 0, 0);
	calls_end(&state, 3000);
	ck_assert_uint_eq(cell_of(SYS_write)->waits, 0);
	ck_assert_uint_eq(account_threads(tracer.account, &threads), 1);
	ck_assert_uint_eq(threads[0]->wait_ns[WAIT_PREEMPTED], 500);
	ck_assert_uint_eq(threads[0]->wait_ns[WAIT_OTHER], 500);
	ck_assert_uint_eq(threads[0]->on_cpu_ns, 1000); /* the books close: 2000 ns of wall */
	ck_assert_uint_eq(threads[0]->end_ns - threads[0]->start_ns, 2000);
	ck_assert(threads[0]->is_complete);
}
END_TEST

START_TEST(ends_without_a_begin_and_begins_without_an_end)
{
	take(MOMENT_EXIT, 1000, TID, SYS_clone, 0); /* of the call that made the thread */
	ck_assert_uint_eq(state.unmatched, 0);
	take(MOMENT_ENTER, 1100, TID, SYS_read, 0);
	take(MOMENT_EXIT, 1200, TID, SYS_read, 1);
	take(MOMENT_EXIT, 1300, TID, SYS_write, 1); /* its begin was lost */
	ck_assert_uint_eq(state.unmatched, 1);
	take(MOMENT_ENTER, 1400, TID, SYS_read, 0); /* its end was lost */
	take(MOMENT_ENTER, 1500, TID, SYS_write, 0);
	ck_assert_uint_eq(state.unmatched, 2);
	take(MOMENT_EXIT, 1600, TID, SYS_read, 1); /* not of that write */
	ck_assert_uint_eq(state.unmatched, 3);
	take(MOMENT_ENTER, 1700, TID, SYS_poll, 0);
	calls_end(&state, 1800);
	ck_assert_uint_eq(state.unfinished, 1);
	ck_assert_uint_eq(cell_of(SYS_read)->calls, 1);
	ck_assert_uint_eq(cell_of(SYS_write)->calls, 0);
}
END_TEST

START_TEST(a_held_command_counts_from_its_exec)
{
	state.held_pid = PID;
	take(MOMENT_EXIT, 1000, PID, SYS_read, 8);
	take(MOMENT_ENTER, 1100, PID, SYS_chdir, 0);
	take(MOMENT_EXIT, 1200, PID, SYS_chdir, 0);
	take(MOMENT_ENTER, 1300, PID, SYS_execve, 0);
	take(MOMENT_EXIT, 1400, PID, SYS_execve, -2); /* a folder of PATH without it */
	take(MOMENT_ENTER, 1500, PID, SYS_execve, 0);
	take(MOMENT_EXIT, 1900, PID, SYS_execve, 0);
	take(MOMENT_ENTER, 2000, PID, SYS_brk, 0);
	take(MOMENT_EXIT, 2100, PID, SYS_brk, 4096);
	ck_assert_uint_eq(cell_of(SYS_chdir)->calls, 0);
	ck_assert_uint_eq(cell_of(SYS_execve)->calls, 1);
	ck_assert_uint_eq(cell_of(SYS_execve)->total_ns, 400);
	ck_assert_uint_eq(cell_of(SYS_brk)->calls, 1);
	ck_assert_uint_eq(state.unmatched, 0);
}
END_TEST

START_TEST(sigreturn_has_no_number_at_its_end)
{
	take(MOMENT_ENTER, 1000, TID, SYS_rt_sigreturn, 0);
	take(MOMENT_EXIT, 1100, TID, NR_UNKNOWN, -4);
	ck_assert_uint_eq(cell_of(SYS_rt_sigreturn)->calls, 1);
	ck_assert_uint_eq(state.unmatched, 0);
}
END_TEST

START_TEST(an_end_makes_room_for_the_next_of_that_number)
{
	const struct thread *const *threads;

	take(MOMENT_ENTER, 1000, TID, SYS_exit, 0);
	take(MOMENT_OFF, 1100, TID, 0, 0); /* its last switch: not a thread again */
	ck_assert_uint_eq(state.tasks.count, 0);
	take(MOMENT_ENTER, 5000, TID, SYS_read, 0);
	take(MOMENT_EXIT, 5100, TID, SYS_read, 0);
	ck_assert_uint_eq(account_threads(tracer.account, &threads), 2);
	ck_assert(threads[0]->ended);
	ck_assert_uint_eq(threads[0]->end_ns, 1000);
	ck_assert_uint_eq(threads[1]->start_ns, 5000);
}
END_TEST

/* A descriptor is named when the records are read: by then it may be another's. */
START_TEST(descriptors_that_are_another_by_then)
{
	struct moment moments[] = {
		{ .kind = MOMENT_ENTER,
		  .time_ns = 2000,
		  .pid = PID,
		  .tid = TID,
		  .nr = SYS_close,
		  .args = { 3 } },
		{ .kind = MOMENT_EXIT,
		  .time_ns = 3000,
		  .pid = PID,
		  .tid = TID,
		  .nr = SYS_openat,
		  .result = 7 },
		{ .kind = MOMENT_EXIT, .time_ns = 3100, .pid = PID, .tid = TID, .nr = SYS_read, .result = 9 },
		{ .kind = MOMENT_ENTER, .time_ns = 4000, .pid = PID + 9, .tid = PID + 9, .nr = SYS_execve },
	};

	state.stream.moments = malloc(sizeof(moments));
	memcpy(state.stream.moments, moments, sizeof(moments));
	state.stream.count = state.stream.room = 4;
	stream_pass(&state, 0);
	ck_assert_uint_eq(state.stream.count, 4);
	ck_assert(stream_has_changed(&state, PID, 3, 1999));
	ck_assert(!stream_has_changed(&state, PID, 3, 2000));
	ck_assert(stream_has_changed(&state, PID, 7, 2000));
	ck_assert(!stream_has_changed(&state, PID, 9, 0)); /* bytes, not a descriptor */
	ck_assert(!stream_has_changed(&state, PID, 4, 0));
	ck_assert(stream_has_changed(&state, PID + 9, 4, 0)); /* an exec may close any */
	free(state.stream.moments);
	free(state.changes.places);
}
END_TEST

START_TEST(threads_beyond_the_table_are_counted)
{
	for (int32_t i = 0; i < 10000; i++) {
		take(MOMENT_ENTER, 1000, TID + i, SYS_read, 0);
	}
	ck_assert_uint_gt(state.overflow, 0);
	ck_assert_uint_eq(state.overflow + state.tasks.count, 10000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strace_perf");
	TCase *tcase = tcase_create("perf");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_call_with_a_wait);
	tcase_add_test(tcase, preemption_is_no_wait_of_the_call);
	tcase_add_test(tcase, ends_without_a_begin_and_begins_without_an_end);
	tcase_add_test(tcase, a_held_command_counts_from_its_exec);
	tcase_add_test(tcase, sigreturn_has_no_number_at_its_end);
	tcase_add_test(tcase, an_end_makes_room_for_the_next_of_that_number);
	tcase_add_test(tcase, descriptors_that_are_another_by_then);
	tcase_add_test(tcase, threads_beyond_the_table_are_counted);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
