/* SPDX-License-Identifier: MIT */
/* core/run/stage.c: a stage as the core sees it, with real children that end in every way. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config_fixture.h"
#include "run/stage.h"
#include "stage/protocol.h"

static struct manifest manifest = { .kind = PLUGIN_COLLECTOR };
static struct plan_stage plan = { .name = (char *)"s", .manifest = &manifest };
static struct run_stage stage;
static int other_end;

static void be_child(void (*body)(void))
{
	struct pfc_error err;
	int ends[2];

	ck_assert_int_eq(run_stage_init(&stage, &plan, &err), 0);
	ck_assert(!run_stage_is_alive(&stage));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	stage.control = ends[0];
	other_end = ends[1];
	stage.pid = fork();
	if (stage.pid == 0) {
		body();
		_exit(0);
	}
	stage.pidfd = (int)syscall(SYS_pidfd_open, stage.pid, 0);
	ck_assert_int_ge(stage.pidfd, 0);
	stage.state = STAGE_ALIVE;
}

static void wait_end(void)
{
	struct pollfd ended = { .fd = stage.pidfd, .events = POLLIN };

	ck_assert_int_eq(poll(&ended, 1, 10000), 1);
	ck_assert(run_stage_reap(&stage));
	ck_assert(run_stage_reap(&stage)); /* again: still so, and nothing more happens */
	ck_assert(!run_stage_is_alive(&stage));
	ck_assert_int_eq(stage.control, -1);
}

static void finish(void)
{
	run_stage_finish(&stage);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
	close(other_end);
}

static void live(void)
{
	signal(SIGTERM, SIG_DFL);
	pause();
}

static void live_on(void)
{
	signal(SIGTERM, SIG_IGN);
	(void)!write(other_end, "{}", 2);
	for (;;) {
		pause();
	}
}

static void leave(void)
{
}

static void leave_badly(void)
{
	_exit(3);
}

START_TEST(an_end_that_was_asked_for)
{
	be_child(leave);
	run_stage_quit(&stage);
	ck_assert_str_eq(stage.waiting, "quit");
	wait_end();
	ck_assert_int_eq(stage.state, STAGE_DONE);
	ck_assert_int_eq(stage.failure.status, 0);
	finish();
}
END_TEST

START_TEST(an_end_that_was_not)
{
	be_child(leave);
	wait_end();
	ck_assert_int_eq(stage.state, STAGE_FAILED);
	ck_assert_str_eq(stage.failed_phase, "idle");
	ck_assert_ptr_nonnull(strstr(stage.failure.why, "exit code 0"));
	finish();
}
END_TEST

START_TEST(a_bad_end_after_quit)
{
	be_child(leave_badly);
	run_stage_quit(&stage);
	wait_end();
	ck_assert_int_eq(stage.state, STAGE_FAILED);
	ck_assert_str_eq(stage.failed_phase, "quit");
	finish();
}
END_TEST

START_TEST(a_signal_names_the_phase)
{
	be_child(live);
	run_stage_ask(&stage, "probe", 1000000000, NULL);
	ck_assert_uint_ge(stage.deadline_ns, stage.asked_ns + 1000000000);
	ck_assert(!run_stage_reap(&stage));
	kill(stage.pid, SIGUSR2);
	wait_end();
	ck_assert_str_eq(stage.failed_phase, "probe");
	ck_assert_ptr_nonnull(strstr(stage.failure.why, "SIGUSR2"));
	ck_assert_ptr_null(stage.waiting);
	finish();
}
END_TEST

START_TEST(kill_asks_then_insists)
{
	char byte[8];

	be_child(live_on);
	ck_assert_int_gt(recv(stage.control, byte, sizeof(byte), 0), 0);
	run_stage_kill(&stage);
	usleep(20000);
	ck_assert(!run_stage_reap(&stage));
	run_stage_kill(&stage);
	wait_end();
	ck_assert_int_eq(stage.failure.status, 0); /* who kills it says why */
	run_stage_kill(&stage);                    /* nobody is hit */
	finish();
}
END_TEST

START_TEST(the_first_failure_stays)
{
	struct pfc_error err;

	be_child(live);
	error_set(&err, PFC_EIO, "first", "a");
	run_stage_fail(&stage, "run", &err);
	error_set(&err, PFC_EPERM, "second", "b");
	run_stage_fail(&stage, "a phase with a very long name", &err);
	ck_assert_str_eq(stage.failure.why, "first");
	ck_assert_str_eq(stage.failed_phase, "run");
	ck_assert(!run_stage_is_well(&stage) && run_stage_is_alive(&stage));
	finish(); /* also of one that lives */
}
END_TEST

START_TEST(messages_reach_the_stage)
{
	json_t *message = NULL;

	be_child(live);
	run_stage_ask(&stage, "start", 0, json_pack("{s:i}", "t0", 7));
	ck_assert_uint_eq(stage.deadline_ns, 0);
	ck_assert_int_eq(protocol_receive(other_end, true, &message), 0);
	ck_assert_str_eq(protocol_op(message), "start");
	ck_assert_int_eq(protocol_int(message, "t0"), 7);
	json_decref(message);
	close(stage.control);
	stage.control = -1;
	run_stage_tell(&stage, json_object()); /* nobody there: freed */
	finish();
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("run_stage");

	signal(SIGPIPE, SIG_IGN);
	tcase_add_test(tests, an_end_that_was_asked_for);
	tcase_add_test(tests, an_end_that_was_not);
	tcase_add_test(tests, a_bad_end_after_quit);
	tcase_add_test(tests, a_signal_names_the_phase);
	tcase_add_test(tests, kill_asks_then_insists);
	tcase_add_test(tests, the_first_failure_stays);
	tcase_add_test(tests, messages_reach_the_stage);
	return fixture_main(tests, "run_stage");
}
