/* SPDX-License-Identifier: MIT */
/* Finding, launching and stopping a target: real processes. */
#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "target/words.h"
#include "target_fixture.h"

static struct target_config command_config(const char *command)
{
	return (struct target_config){ .command = command, .output_fd = -1, .stop_timeout_ns = 200000000 };
}

/* ---- words ---- */

static const struct {
	const char *text;
	const char *words[5];
} splits[] = {
	{ "a b  c", { "a", "b", "c" } },
	{ "  a\t'b c' ", { "a", "b c" } },
	{ "a \"b \\\" \\x\" ''", { "a", "b \" \\x", "" } },
	{ "a\\ b 'it'\\''s'", { "a b", "it's" } },
	{ "$HOME *", { "$HOME", "*" } },
};

START_TEST(test_words_are_split_as_a_shell_does)
{
	char **words;
	size_t i = 0;

	ck_assert_int_eq(words_split(splits[_i].text, &words, NULL), 0);
	for (; splits[_i].words[i] != NULL; i++) {
		ck_assert_str_eq(words[i], splits[_i].words[i]);
	}
	ck_assert_ptr_null(words[i]);
	words_free(words);
}
END_TEST

static const char *const bad_commands[] = { "", "  ", "a 'b", "a \"b", "a\\", "''" };

START_TEST(test_bad_words_are_refused)
{
	struct pfc_error err = { 0 };
	char **words;

	ck_assert_int_eq(words_split(bad_commands[_i], &words, &err), PFC_EINVAL);
	ck_assert_int_ne(err.why[0], '\0');
}
END_TEST

/* ---- launch ---- */

START_TEST(test_launched_is_held_and_gets_its_environment)
{
	struct target_status status;
	struct fixture fixture;
	struct pollfd exited;
	char text[256];
	int32_t *pids;
	uint32_t count;

	setenv("TARGET_LIST_PATH", "/a", 1);
	fixture_launch(&fixture, "sh -c 'echo $$ $COLOUR $TARGET_LIST_PATH; exit 3'", TRACK_BEST);
	target_status(fixture.target, &status);
	ck_assert(status.held && !status.exited);
	ck_assert_int_eq(target_pids(fixture.target, &pids, &count, NULL), 0);
	ck_assert_uint_eq(count, 1);
	ck_assert(is_alive(pids[0]));
	ck_assert_int_eq(target_set_env(fixture.target, "COLOUR", "blue", NULL), 0);
	ck_assert_int_eq(target_set_env(fixture.target, "TARGET_LIST_PATH", "/b", NULL), 0);
	ck_assert_int_eq(target_set_env(fixture.target, "A=B", "x", NULL), PFC_EINVAL);
	usleep(50000);
	fixture_output(&fixture, text, sizeof(text));
	ck_assert_str_eq(text, "");
	fixture_release(&fixture);
	ck_assert_int_eq(target_set_env(fixture.target, "LATE", "x", NULL), PFC_ECANCELED);
	exited = (struct pollfd){ .fd = target_exit_fd(fixture.target), .events = POLLIN };
	ck_assert_int_eq(poll(&exited, 1, 5000), 1);
	target_status(fixture.target, &status);
	ck_assert(!status.held && status.exited);
	ck_assert(WIFEXITED(status.wait_status) && WEXITSTATUS(status.wait_status) == 3);
	fixture_output(&fixture, text, sizeof(text));
	/* The pid that existed before exec is the program's. */
	ck_assert_int_eq(atoi(text), pids[0]);
	ck_assert_ptr_nonnull(strstr(text, " blue /a:/b\n"));
	free(pids);
	fixture_close(&fixture);
}
END_TEST

START_TEST(test_launched_has_clean_descriptors_and_signals)
{
	struct fixture fixture;
	char text[1024];

	signal(SIGINT, SIG_IGN);
	fixture_launch(&fixture, "sh -c 'ls /proc/self/fd | tr \"\\n\" \" \"; grep -E \"Sig(Blk|Ign)\" /proc/self/status'",
		       TRACK_BEST);
	fixture_release(&fixture);
	fixture_drain(&fixture);
	signal(SIGINT, SIG_DFL);
	fixture_output(&fixture, text, sizeof(text));
	ck_assert_msg(strncmp(text, "0 1 2 3 ", 8) == 0 && strstr(text, "4 ") == NULL, "%s", text);
	ck_assert_msg(strstr(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000") != NULL, "%s", text);
	fixture_close(&fixture);
}
END_TEST

START_TEST(test_missing_program_names_the_nearest)
{
	struct target_config config = command_config("slep 10");
	struct pfc_error err = { 0 };
	struct target *target;

	ck_assert_int_eq(target_open(&config, &target, &err), PFC_ETARGET);
	ck_assert_msg(strstr(err.hint, "sleep") != NULL, "%s", err.hint);
}
END_TEST

START_TEST(test_exec_error_comes_back)
{
	char path[] = "/tmp/test-target-XXXXXX";
	struct target_config config = command_config(path);
	struct pfc_error err = { 0 };
	struct target *target;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "echo no interpreter\n", 20), 20);
	fchmod(fd, 0700);
	close(fd);
	ck_assert_int_eq(target_open(&config, &target, &err), 0);
	ck_assert_int_eq(target_release(target, &err), PFC_ETARGET);
	ck_assert_msg(strstr(err.why, "Exec format error") != NULL && strstr(err.hint, "sh /tmp/") != NULL, "%s; %s",
		      err.why, err.hint);
	target_close(target);
	unlink(path);
}
END_TEST

START_TEST(test_exec_of_a_missing_interpreter_comes_back)
{
	char path[] = "/tmp/test-target-XXXXXX";
	struct target_config config = command_config(path);
	struct pfc_error err = { 0 };
	struct target *target;
	int fd = mkstemp(path);

	ck_assert_int_eq(write(fd, "#!/no/such/interpreter\n", 23), 23);
	fchmod(fd, 0700);
	close(fd);
	ck_assert_int_eq(target_open(&config, &target, &err), 0);
	ck_assert_int_eq(target_release(target, &err), PFC_ETARGET);
	ck_assert_msg(strstr(err.why, "No such file") != NULL && strstr(err.hint, "interpreter") != NULL, "%s; %s",
		      err.why, err.hint);
	target_close(target);
	unlink(path);
}
END_TEST

/* ---- ready ---- */

static int await_ready(struct target *target, struct pfc_error *err)
{
	int ready = 0;

	while (ready == 0) {
		struct timespec before;
		struct timespec after;

		clock_gettime(CLOCK_MONOTONIC, &before);
		ready = target_is_ready(target, err);
		clock_gettime(CLOCK_MONOTONIC, &after);
		ck_assert_int_lt((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000, 200);
		usleep(5000);
	}
	return ready;
}

/* A server of a few lines: what it answers, and when it begins to. */
#define SERVER "import http.server,sys,time,socketserver\n" \
	"class H(http.server.BaseHTTPRequestHandler):\n" \
	"  def do_GET(s):\n" \
	"    s.send_response(int(sys.argv[2])); s.end_headers()\n" \
	"  def log_message(s,*a): pass\n" \
	"time.sleep(0.3)\n" \
	"socketserver.TCPServer.allow_reuse_address=True\n" \
	"socketserver.TCPServer((\"127.0.0.1\",int(sys.argv[1])),H).serve_forever()\n"

static int try_ready(const char *command, const char *ready, double timeout_s, struct pfc_error *err)
{
	struct target_config config = command_config(command);
	struct target *target;
	int output_fd = fileno(tmpfile());
	int status;

	config.ready = ready;
	config.ready_timeout_ns = (uint64_t)(timeout_s * 1e9);
	config.output_fd = output_fd;
	status = target_open(&config, &target, err);
	if (status < 0) {
		return status;
	}
	ck_assert_int_eq(target_release(target, err), 0);
	status = await_ready(target, err);
	target_close(target);
	return status;
}

START_TEST(test_ready_when_a_port_or_a_url_answers)
{
	struct pfc_error err = { 0 };
	int port = 20000 + getpid() % 10000;
	char command[1024];
	char ready[64];

	snprintf(command, sizeof(command), "/usr/bin/python3 -c '%s' %d 204", SERVER, port);
	snprintf(ready, sizeof(ready), "tcp:%d", port);
	ck_assert_msg(try_ready(command, ready, 8, &err) == 1, "%s: %s (%s)", err.what, err.why, err.hint);
	snprintf(ready, sizeof(ready), "http://localhost:%d/health?x=1", port);
	ck_assert_msg(try_ready(command, ready, 8, &err) == 1, "%s: %s (%s)", err.what, err.why, err.hint);
	snprintf(command, sizeof(command), "/usr/bin/python3 -c '%s' %d 503", SERVER, port);
	ck_assert_int_eq(try_ready(command, ready, 1.5, &err), PFC_ETIMEDOUT);
	ck_assert_msg(strstr(err.why, "503") != NULL, "%s", err.why);
}
END_TEST

START_TEST(test_ready_after_a_duration)
{
	struct timespec before;
	struct timespec after;

	clock_gettime(CLOCK_MONOTONIC, &before);
	ck_assert_int_eq(try_ready("sleep 10", "100ms", 0.01, NULL), 1);
	clock_gettime(CLOCK_MONOTONIC, &after);
	ck_assert_int_ge((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000, 100);
}
END_TEST

START_TEST(test_ready_fails_when_the_command_ends)
{
	struct pfc_error err = { 0 };

	ck_assert_int_eq(try_ready("sh -c 'echo port is taken; exit 7'", "tcp:1", 5, &err), PFC_ETARGET);
	ck_assert_msg(strstr(err.why, "exit status 7") != NULL, "%s", err.why);
	ck_assert_msg(strstr(err.hint, "port is taken") != NULL, "%s", err.hint);
}
END_TEST

static const char *const bad_ready[] = { "tcp:", "tcp:0", "tcp:70000", "tcp:example.org:80", "http://", "soon",
					 "http://[::1", "http://a b/" };

START_TEST(test_bad_ready_is_refused)
{
	struct pfc_error err = { 0 };

	ck_assert_int_eq(try_ready("true", bad_ready[_i], 1, &err), PFC_EINVAL);
}
END_TEST

/* ---- stop ---- */

START_TEST(test_stop_kills_a_tree_that_ignores_sigterm)
{
	struct fixture fixture;
	int32_t *pids = NULL;
	uint32_t count = 0;

	/* One child in the group, one in a session of its own; nobody listens to SIGTERM. */
	fixture_launch(&fixture, "sh -c 'trap \"\" TERM; sleep 1000 & setsid sleep 1001 & wait; wait; wait'",
		       (enum track_mode)_i);
	fixture_release(&fixture);
	for (int i = 0; i < 200 && count < 3; i++) {
		free(pids);
		usleep(20000);
		ck_assert_int_eq(target_pids(fixture.target, &pids, &count, NULL), 0);
	}
	ck_assert_uint_eq(count, 3);
	usleep(100000);
	fixture_close(&fixture);
	for (uint32_t i = 0; i < count; i++) {
		ck_assert_msg(!is_alive(pids[i]), "process %d lives on", pids[i]);
	}
	free(pids);
}
END_TEST

/* The core is killed: the group dies with it. */
START_TEST(test_tree_dies_with_the_core)
{
	struct target_config config = command_config("sh -c 'sleep 1000 & sleep 1001 & wait'");
	int32_t pids[8] = { 0 };
	int report[2];
	pid_t core;

	ck_assert_int_eq(pipe(report), 0);
	core = fork();
	if (core == 0) {
		struct target *target = NULL;
		int32_t *list;
		uint32_t count = 0;

		if (target_open(&config, &target, NULL) == 0 && target_release(target, NULL) == 0) {
			for (int i = 0; i < 100 && count < 3; i++) {
				usleep(20000);
				target_pids(target, &list, &count, NULL);
			}
		}
		memcpy(pids, list, count * sizeof(*list));
		ck_assert_int_gt(write(report[1], pids, sizeof(pids)), 0);
		pause();
	}
	ck_assert_int_eq(read(report[0], pids, sizeof(pids)), sizeof(pids));
	ck_assert(pids[2] > 0 && is_alive(pids[0]) && is_alive(pids[1]) && is_alive(pids[2]));
	kill(core, SIGKILL);
	waitpid(core, NULL, 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_msg(await_gone(pids[i]), "process %d of the tree lives on", i);
	}
}
END_TEST

/* ---- finding ---- */

static pid_t start_named(const char *name)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		pause();
		_exit(0);
	}
	usleep(50000);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

START_TEST(test_name_is_found_or_explained)
{
	struct target_config config = { .process = "pfc-test-lonely", .output_fd = -1 };
	struct pfc_error err = { 0 };
	struct target *target;
	pid_t first = start_named("pfc-test-lonely");
	pid_t second;
	char text[32];

	ck_assert_msg(target_open(&config, &target, &err) == 0, "%s: %s", err.what, err.why);
	ck_assert_str_eq(target_kind(target), "process");
	target_close(target);
	ck_assert(is_alive(first));

	config.process = "pfc-test-lonly";
	ck_assert_int_eq(target_open(&config, &target, &err), PFC_ETARGET);
	ck_assert_msg(strstr(err.hint, "pfc-test-lonely") != NULL, "%s", err.hint);

	config.process = "pfc-test-lonely";
	second = start_named("pfc-test-lonely");
	ck_assert_int_eq(target_open(&config, &target, &err), PFC_ETARGET);
	snprintf(text, sizeof(text), "%d (up", (int)second);
	ck_assert_msg(strstr(err.hint, text) != NULL, "%s", err.hint);
	end(first);
	end(second);
}
END_TEST

START_TEST(test_pid_is_checked)
{
	struct target_config config = { .output_fd = -1 };
	struct pfc_error err = { 0 };
	struct target *target;
	pid_t pid = start_named("pfc-test-pid");

	kill(pid, SIGKILL);
	usleep(50000);
	config.pid = pid; /* a zombie */
	ck_assert_int_eq(target_open(&config, &target, &err), PFC_ETARGET);
	ck_assert_ptr_nonnull(strstr(err.why, "ended"));
	waitpid(pid, NULL, 0);
	ck_assert_int_eq(target_open(&config, &target, &err), PFC_ETARGET);
	config.pid = 2; /* kthreadd, where it can be seen */
	if (access("/proc/2/stat", R_OK) == 0) {
		ck_assert_int_eq(target_open(&config, &target, &err), PFC_ETARGET);
	}
	config.pid = getpid();
	ck_assert_int_eq(target_open(&config, &target, &err), PFC_EINVAL);
	config.pid = 0;
	ck_assert_int_eq(target_open(&config, &target, &err), PFC_EINVAL);
}
END_TEST

/* It is not that the process ended: we cannot look. */
START_TEST(test_no_descriptor_left_is_said)
{
	struct target_config by_pid = { .pid = getppid(), .output_fd = -1 };
	struct target_config by_name = { .process = "no-such-process-here", .output_fd = -1 };
	struct target *target = NULL;
	struct pfc_error err = { 0 };
	struct rlimit files;
	struct rlimit none;
	int next = dup(STDERR_FILENO);

	close(next);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	none = files;
	none.rlim_cur = (rlim_t)next;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_lt(target_open(&by_pid, &target, &err), 0);
	ck_assert_str_eq(err.why, "Too many open files");
	ck_assert_int_lt(target_open(&by_name, &target, &err), 0);
	ck_assert_str_eq(err.why, "Too many open files");
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
}
END_TEST

START_TEST(test_json_says_what_it_is)
{
	struct fixture fixture;
	json_t *json;

	fixture_launch(&fixture, "sleep 100", TRACK_BEST);
	fixture_release(&fixture);
	json = target_to_json(fixture.target);
	ck_assert_str_eq(json_string_value(json_object_get(json, "kind")), "command");
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(json, "command"), 1)), "100");
	ck_assert_int_eq(json_array_size(json_object_get(json, "processes")), 1);
	json_decref(json);
	fixture_close(&fixture);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *suite = suite_create("target");
	TCase *tcase = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 40);
	tcase_add_loop_test(tcase, test_words_are_split_as_a_shell_does, 0, COUNT(splits));
	tcase_add_loop_test(tcase, test_bad_words_are_refused, 0, COUNT(bad_commands));
	tcase_add_test(tcase, test_launched_is_held_and_gets_its_environment);
	tcase_add_test(tcase, test_launched_has_clean_descriptors_and_signals);
	tcase_add_test(tcase, test_missing_program_names_the_nearest);
	tcase_add_test(tcase, test_exec_error_comes_back);
	tcase_add_test(tcase, test_exec_of_a_missing_interpreter_comes_back);
	tcase_add_test(tcase, test_ready_when_a_port_or_a_url_answers);
	tcase_add_test(tcase, test_ready_after_a_duration);
	tcase_add_test(tcase, test_ready_fails_when_the_command_ends);
	tcase_add_loop_test(tcase, test_bad_ready_is_refused, 0, COUNT(bad_ready));
	tcase_add_loop_test(tcase, test_stop_kills_a_tree_that_ignores_sigterm, TRACK_BEST, TRACK_PROC + 1);
	tcase_add_test(tcase, test_tree_dies_with_the_core);
	tcase_add_test(tcase, test_name_is_found_or_explained);
	tcase_add_test(tcase, test_pid_is_checked);
	tcase_add_test(tcase, test_no_descriptor_left_is_said);
	tcase_add_test(tcase, test_json_says_what_it_is);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
