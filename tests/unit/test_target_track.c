/* SPDX-License-Identifier: MIT */
/* Following a target's processes, by perf and by /proc: real processes, real streams. */
#include <check.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "target_fixture.h"

#define FORKS     200
#define STORM     2000
#define LIBRARY   "libpcre2-8.so.0" /* one that no shell or interpreter has already */

static bool has_perf(const struct fixture *fixture)
{
	return strncmp(target_tracking(fixture->target), "perf", 4) == 0;
}

/* ---- perf: everything, in order ---- */

START_TEST(test_all_forks_of_a_command_are_told)
{
	struct fixture fixture;
	uint64_t began_ns = procfs_now_ns();
	size_t pairs = 0;
	int32_t root;

	fixture_launch(&fixture, "sh -c 'i=0; while [ $i -lt 200 ]; do (:); i=$((i+1)); done'", TRACK_PERF);
	fixture_release(&fixture);
	fixture_drain(&fixture);
	fixture_check_order(&fixture);
	ck_assert_uint_eq(fixture_count(&fixture, PFC_TARGET_FORK), FORKS);
	ck_assert_uint_eq(fixture_count(&fixture, PFC_TARGET_EXIT), FORKS + 1);
	ck_assert_uint_eq(fixture_count(&fixture, PFC_TARGET_EXEC), 1);
	ck_assert_uint_eq(fixture_count(&fixture, PFC_TARGET_LOST), 0);
	root = fixture_find(&fixture, PFC_TARGET_EXEC, 0, "sh")->event.pid;
	for (size_t i = 0; i < fixture.count; i++) {
		const struct pfc_target_event *event = &fixture.seen[i].event;

		if (event->kind != PFC_TARGET_FORK) {
			continue;
		}
		ck_assert_int_eq(event->ppid, root);
		ck_assert_int_eq(event->pid, event->tid);
		ck_assert_uint_gt(event->time_ns, began_ns);
		for (size_t j = i + 1; j < fixture.count; j++) {
			const struct pfc_target_event *end = &fixture.seen[j].event;

			if (end->kind == PFC_TARGET_EXIT && end->pid == event->pid) {
				ck_assert_uint_gt(end->time_ns, event->time_ns);
				pairs++;
				break;
			}
		}
	}
	ck_assert_uint_eq(pairs, FORKS);
	fixture_close(&fixture);
}
END_TEST

START_TEST(test_exec_begins_mappings_anew)
{
	const struct seen *before;
	const struct seen *exec;
	const struct seen *after;
	struct fixture fixture;
	struct stat stat_of;

	fixture_launch(&fixture, "sleep 0.3", TRACK_PERF);
	/* While it is held it is a copy of this program. */
	before = fixture_await(&fixture, PFC_TARGET_MAP, 0, "test_target_track");
	ck_assert_ptr_nonnull(before);
	ck_assert_uint_eq(before->event.time_ns, 0);
	fixture_release(&fixture);
	exec = fixture_await(&fixture, PFC_TARGET_EXEC, 0, "sleep");
	ck_assert_ptr_nonnull(exec);
	after = fixture_await(&fixture, PFC_TARGET_MAP, exec->event.pid, "/sleep");
	ck_assert_ptr_nonnull(after);
	ck_assert_uint_gt(after->event.time_ns, 0);
	ck_assert_int_eq(stat(after->text, &stat_of), 0);
	ck_assert_uint_eq(after->event.inode, stat_of.st_ino);
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_MAP, after->event.pid, "[vdso]"));
	fixture_drain(&fixture);
	fixture_check_order(&fixture);
	fixture_close(&fixture);
}
END_TEST

/* A thread that runs an exec takes over the leader's id; the process never ended. */
#define THREAD_EXEC "import threading,os,time\n" \
	"t=threading.Thread(target=lambda: (time.sleep(0.1), os.execv(\"/bin/sleep\",[\"sleep\",\"0.2\"])))\n" \
	"t.start()\n" \
	"time.sleep(5)\n"

START_TEST(test_exec_in_a_thread_is_no_exit)
{
	struct fixture fixture;
	const struct seen *exec;
	const struct seen *end;

	fixture_launch(&fixture, "/usr/bin/python3 -c '" THREAD_EXEC "'", TRACK_PERF);
	fixture_release(&fixture);
	exec = fixture_await(&fixture, PFC_TARGET_EXEC, 0, "sleep");
	ck_assert_ptr_nonnull(exec);
	ck_assert_int_eq(exec->event.pid, exec->event.tid);
	ck_assert_uint_eq(fixture_count(&fixture, PFC_TARGET_EXIT), 1); /* the thread's old id */
	ck_assert_ptr_nonnull(fixture_find(&fixture, PFC_TARGET_EXIT, exec->event.pid, NULL));
	ck_assert_int_ne(fixture_find(&fixture, PFC_TARGET_EXIT, 0, NULL)->event.tid, exec->event.pid);
	fixture_drain(&fixture);
	end = &fixture.seen[fixture.count - 1];
	while (end->event.kind != PFC_TARGET_EXIT) {
		end--;
	}
	ck_assert_int_eq(end->event.tid, fixture_find(&fixture, PFC_TARGET_EXEC, 0, "sleep")->event.pid);
	fixture_close(&fixture);
}
END_TEST

/* Records may come of the whole machine: what is started beside the target is none of it. */
START_TEST(test_others_are_left_out)
{
	struct fixture fixture;
	pid_t other;

	fixture_launch(&fixture, "sh -c 'sleep 0.3; true'", TRACK_PERF);
	fixture_release(&fixture);
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_EXEC, 0, "sleep"));
	other = fork();
	ck_assert_int_ge(other, 0);
	if (other == 0) {
		execl("/bin/ls", "ls", "/", (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(other, NULL, 0), other);
	fixture_drain(&fixture);
	ck_assert_uint_ge(fixture_count(&fixture, PFC_TARGET_FORK), 1);
	for (size_t i = 0; i < fixture.count; i++) {
		ck_assert_int_ne(fixture.seen[i].event.pid, other);
		ck_assert_ptr_null(strstr(fixture.seen[i].text, "/ls"));
	}
	ck_assert_uint_eq(fixture_count(&fixture, PFC_TARGET_LOST), 0);
	fixture_close(&fixture);
}
END_TEST

START_TEST(test_storm_of_forks_keeps_the_pace)
{
	struct fixture fixture;
	uint64_t last_ns = 0;

	fixture_launch(&fixture, "sh -c 'i=0; while [ $i -lt 2000 ]; do : & i=$((i+1)); done; wait'", TRACK_PERF);
	fixture_release(&fixture);
	fixture_drain(&fixture);
	fixture_check_order(&fixture);
	ck_assert_uint_eq(fixture_count(&fixture, PFC_TARGET_LOST), 0);
	ck_assert_uint_eq(fixture_count(&fixture, PFC_TARGET_FORK), STORM);
	ck_assert_uint_eq(fixture_count(&fixture, PFC_TARGET_EXIT), STORM + 1);
	ck_assert_uint_gt(fixture_count(&fixture, PFC_TARGET_SYNC), 3);
	for (size_t i = 0; i < fixture.count; i++) {
		if (fixture.seen[i].event.kind == PFC_TARGET_SYNC) {
			ck_assert_uint_gt(fixture.seen[i].event.time_ns, last_ns);
			last_ns = fixture.seen[i].event.time_ns;
		}
	}
	fixture_close(&fixture);
}
END_TEST

/* 40 processes in groups of their own that start a successor and end, again and again: none gets away. */
#define RESPAWN "import os,signal,time\n" \
	"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" \
	"for i in range(40):\n" \
	"  if os.fork() == 0:\n" \
	"    os.setsid()\n" \
	"    while True:\n" \
	"      time.sleep(0.005)\n" \
	"      if os.fork() != 0: os._exit(0)\n" \
	"time.sleep(100)\n"

START_TEST(test_tree_that_runs_away_is_killed)
{
	struct fixture fixture;
	uint32_t count = 0;
	int32_t root;

	fixture_launch(&fixture, "/usr/bin/python3 -c '" RESPAWN "' run-away-tree", TRACK_PERF);
	root = fixture_await(&fixture, PFC_TARGET_NAME, 0, NULL)->event.pid;
	fixture_release(&fixture);
	for (int i = 0; i < 100 && count < 41; i++) {
		int32_t *pids;

		usleep(20000);
		ck_assert_int_eq(target_pids(fixture.target, &pids, &count, NULL), 0);
		free(pids);
	}
	ck_assert_uint_ge(count, 30);
	fixture_close(&fixture);
	ck_assert(!is_alive(root));
	usleep(50000);
	ck_assert_int_ne(system("pgrep -f run-away-tre[e] >/dev/null"), 0);
}
END_TEST

/* ---- both ways ---- */

#define THREADS_AND_LIBRARY "import ctypes,threading,time,os\n" \
	"t=threading.Thread(target=lambda: time.sleep(0.5)); t.start()\n" \
	"time.sleep(0.3)\n" \
	"ctypes.CDLL(\"libpcre2-8.so.0\")\n" \
	"time.sleep(0.3)\n" \
	"t.join()\n" \
	"time.sleep(0.3)\n"

START_TEST(test_threads_and_libraries_are_told)
{
	struct pfc_target_event as_told = { 0 };
	const struct seen *map;
	const struct seen *fork;
	struct fixture fixture;
	struct stat stat_of;
	int32_t tid = 0;
	int fd;

	fixture_launch(&fixture, "/usr/bin/python3 -c '" THREADS_AND_LIBRARY "'", (enum track_mode)_i);
	fixture_release(&fixture);
	map = fixture_await(&fixture, PFC_TARGET_MAP, 0, LIBRARY);
	ck_assert_ptr_nonnull(map);
	ck_assert_uint_gt(map->event.time_ns, 0);
	ck_assert_int_eq(stat(map->text, &stat_of), 0);
	ck_assert_uint_eq(map->event.inode, stat_of.st_ino);
	as_told = map->event;
	as_told.text = map->text;
	fd = fixture.service->open_mapped(fixture.service->ctx, &as_told);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &stat_of), 0);
	ck_assert_uint_eq(map->event.inode, stat_of.st_ino);
	close(fd);
	fork = fixture_find(&fixture, PFC_TARGET_FORK, 0, NULL);
	ck_assert_ptr_nonnull(fork);
	ck_assert_int_eq(fork->event.ppid, fork->event.pid);
	ck_assert_int_ne(fork->event.tid, fork->event.pid);
	tid = fork->event.tid;
	fixture_drain(&fixture);
	fixture_check_order(&fixture);
	for (size_t i = 0; i < fixture.count && tid != 0; i++) {
		if (fixture.seen[i].event.kind == PFC_TARGET_EXIT && fixture.seen[i].event.tid == tid) {
			tid = 0;
		}
	}
	ck_assert_int_eq(tid, 0);
	fixture_close(&fixture);
}
END_TEST

START_TEST(test_exec_of_a_child_is_told_by_proc)
{
	struct fixture fixture;

	fixture_launch(&fixture, "sh -c 'sleep 0.3; exec tail -f /dev/null'", TRACK_PROC);
	ck_assert_ptr_nonnull(strstr(target_tracking(fixture.target), "proc"));
	fixture_release(&fixture);
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_EXEC, 0, "sh"));
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_FORK, 0, NULL));
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_EXEC, 0, "sleep"));
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_EXIT, 0, NULL));
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_EXEC, 0, "tail"));
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_MAP, 0, "/tail"));
	fixture_check_order(&fixture);
	fixture_close(&fixture);
}
END_TEST

/* ---- attaching ---- */

static void *rest(void *arg)
{
	prctl(PR_SET_NAME, "pfc-resting");
	pause();
	return arg;
}

/* A process with 20 threads and a child; on a byte a thread starts one more thread, and the child ends. */
static pid_t start_family(int *ret_talk)
{
	int talk[2];
	pid_t pid;

	ck_assert_int_eq(pipe(talk), 0);
	pid = fork();
	if (pid == 0) {
		pthread_t thread;
		pid_t child;
		char byte;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(talk[1]);
		for (int i = 0; i < 20; i++) {
			pthread_create(&thread, NULL, rest, NULL);
		}
		child = fork();
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pause();
			_exit(0);
		}
		while (read(talk[0], &byte, 1) == 1) {
			pthread_create(&thread, NULL, rest, NULL);
			kill(child, SIGKILL);
			waitpid(child, NULL, 0);
		}
		_exit(0);
	}
	close(talk[0]);
	*ret_talk = talk[1];
	usleep(100000);
	return pid;
}

START_TEST(test_what_exists_belongs_and_is_followed)
{
	struct fixture fixture;
	uint32_t count;
	int32_t *pids;
	int talk;
	pid_t pid = start_family(&talk);

	fixture_attach(&fixture, pid, (enum track_mode)_i);
	ck_assert_int_eq(target_pids(fixture.target, &pids, &count, NULL), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(pids[0], pid);
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_SYNC, 0, NULL));
	ck_assert_ptr_nonnull(fixture_find(&fixture, PFC_TARGET_MAP, pid, "libc"));
	ck_assert_ptr_nonnull(fixture_find(&fixture, PFC_TARGET_MAP, pids[1], "libc"));
	ck_assert_uint_eq(fixture_find(&fixture, PFC_TARGET_MAP, pid, "libc")->event.time_ns, 0);
	ck_assert_uint_eq(fixture_count(&fixture, PFC_TARGET_NAME), 22);
	ck_assert_ptr_nonnull(fixture_find(&fixture, PFC_TARGET_NAME, pid, "pfc-resting"));
	ck_assert_uint_eq(fixture_count(&fixture, PFC_TARGET_FORK), 0);
	ck_assert_int_eq(write(talk, "x", 1), 1);
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_FORK, pid, NULL));
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_EXIT, pids[1], NULL));
	close(talk);
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_EXIT, 0, NULL));
	waitpid(pid, NULL, 0);
	fixture_drain(&fixture);
	ck_assert_uint_eq(fixture_count(&fixture, PFC_TARGET_EXIT), 22 + 1);
	free(pids);
	fixture_close(&fixture);
}
END_TEST

/* ---- streams ---- */

START_TEST(test_late_stream_gets_the_state)
{
	struct target_client *late;
	const struct pfc_target_service *service;
	struct pfc_target_event event = { .struct_size = sizeof(event) };
	struct fixture fixture;
	bool exec = false;
	bool map = false;
	int fd;

	fixture_launch(&fixture, "sleep 100", TRACK_BEST);
	fixture_release(&fixture);
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_MAP, 0, "/sleep"));
	ck_assert_int_eq(target_serve(fixture.target, false, &fd, NULL), 0);
	ck_assert_int_eq(target_client_create(fd, &late, NULL), 0);
	service = target_client_service(late);
	while (service->next(service->ctx, &event) == 0 && event.kind != PFC_TARGET_SYNC) {
		exec = exec || (event.kind == PFC_TARGET_EXEC && strcmp(event.text, "sleep") == 0);
		if (event.kind == PFC_TARGET_MAP && strstr(event.text, "/sleep") != NULL) {
			map = true;
			ck_assert(exec || !has_perf(&fixture));
			/* This stream may not open files. */
			ck_assert_int_eq(service->open_mapped(service->ctx, &event), PFC_EPERM);
		}
		ck_assert_msg(event.kind != PFC_TARGET_MAP || strstr(event.text, "test_target") == NULL,
			      "%s of pid %d at %llu", event.text, event.pid, (unsigned long long)event.time_ns);
	}
	ck_assert(map);
	target_client_destroy(late);
	fixture_close(&fixture);
}
END_TEST

/* Nobody reads while more happens than the log and the socket hold. Then the reader learns of it, and has a right state. */
START_TEST(test_slow_reader_is_told_what_it_missed)
{
	struct pollfd exited;
	struct fixture fixture;
	const struct seen *map;

	fixture_launch(&fixture,
		       "sh -c 'i=0; while [ $i -lt 15000 ]; do (:); i=$((i+1)); done; exec sleep 100'", TRACK_PERF);
	fixture_release(&fixture);
	exited = (struct pollfd){ .fd = target_exit_fd(fixture.target), .events = POLLIN };
	for (int i = 0; i < 400; i++) {
		char comm[32];
		int32_t *pids;
		uint32_t count;

		ck_assert_int_eq(poll(&exited, 1, 100), 0);
		ck_assert_int_eq(target_pids(fixture.target, &pids, &count, NULL), 0);
		ck_assert_int_gt(procfs_read(comm, sizeof(comm), "/proc/%d/comm", (int)pids[0]), 0);
		free(pids);
		if (strcmp(comm, "sleep\n") == 0) {
			break;
		}
	}
	usleep(100000);
	map = fixture_await(&fixture, PFC_TARGET_MAP, 0, "/sleep");
	ck_assert_ptr_nonnull(map);
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_LOST, 0, NULL));
	ck_assert_uint_gt(fixture_find(&fixture, PFC_TARGET_LOST, 0, NULL)->event.length, 1000);
	ck_assert_ptr_nonnull(fixture_find(&fixture, PFC_TARGET_EXEC, 0, "sleep"));
	fixture_check_order(&fixture);
	fixture_close(&fixture);
}
END_TEST

START_TEST(test_stream_ends_with_the_target)
{
	struct pfc_target_event event = { .struct_size = sizeof(event) };
	struct fixture fixture;
	struct pollfd ended;
	int32_t status;

	fixture_launch(&fixture, "sleep 100", TRACK_BEST);
	target_close(fixture.target);
	ended = (struct pollfd){ .fd = fixture.service->fd(fixture.service->ctx), .events = POLLIN };
	do {
		ck_assert_int_eq(poll(&ended, 1, 1000), 1);
		status = fixture.service->next(fixture.service->ctx, &event);
	} while (status == 0);
	ck_assert_int_eq(status, PFC_ECANCELED);
	target_client_destroy(fixture.client);
	close(fixture.output_fd);
}
END_TEST

START_TEST(test_short_event_structs_are_filled_in_part)
{
	struct pfc_target_event event;
	struct fixture fixture;

	fixture_launch(&fixture, "sleep 100", TRACK_BEST);
	memset(&event, 0x55, sizeof(event));
	event.struct_size = offsetof(struct pfc_target_event, start);
	ck_assert_int_eq(fixture.service->next(fixture.service->ctx, &event), 0);
	ck_assert_uint_eq(event.generation, 1);
	ck_assert_uint_eq(event.start, 0x5555555555555555u);
	event.struct_size = 4;
	ck_assert_int_eq(fixture.service->next(fixture.service->ctx, &event), PFC_EINVAL);
	fixture_close(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("target_track");
	TCase *tcase = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 55);
	tcase_add_test(tcase, test_all_forks_of_a_command_are_told);
	tcase_add_test(tcase, test_exec_begins_mappings_anew);
	tcase_add_test(tcase, test_exec_in_a_thread_is_no_exit);
	tcase_add_test(tcase, test_others_are_left_out);
	tcase_add_test(tcase, test_storm_of_forks_keeps_the_pace);
	tcase_add_test(tcase, test_tree_that_runs_away_is_killed);
	tcase_add_loop_test(tcase, test_threads_and_libraries_are_told, TRACK_PERF, TRACK_PROC + 1);
	tcase_add_test(tcase, test_exec_of_a_child_is_told_by_proc);
	tcase_add_loop_test(tcase, test_what_exists_belongs_and_is_followed, TRACK_PERF, TRACK_PROC + 1);
	tcase_add_test(tcase, test_late_stream_gets_the_state);
	tcase_add_test(tcase, test_slow_reader_is_told_what_it_missed);
	tcase_add_test(tcase, test_stream_ends_with_the_target);
	tcase_add_test(tcase, test_short_event_structs_are_filled_in_part);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
