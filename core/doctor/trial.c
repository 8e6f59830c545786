/* SPDX-License-Identifier: MIT */
#include "doctor/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "doctor/check.h"
#include "stage/sandbox.h"

#define DEADLINE_NS      (10 * NS_PER_SECOND)
#define CPU_SECONDS      5
#define ANSWER_BYTES_MAX (256u * 1024u)
#define CHECKS_MAX       64u

/* One check a line as soon as it is known: what was found before a call that kills is kept. */
static void flush_checks(json_t *checks, int fd)
{
	const json_t *check;
	size_t i;

	json_array_foreach(checks, i, check)
	{
		if (json_dumpfd(check, fd, JSON_COMPACT) < 0 || write(fd, "\n", 1) != 1) {
			_exit(1);
		}
	}
}

static void be_trial(const struct trial *trial, const struct facts *facts, int answer, pid_t core)
{
	struct rlimit cpu = { CPU_SECONDS, CPU_SECONDS };
	struct pfc_error err;
	const char *missing;
	json_t *checks = json_array();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != core || dup2(answer, STDOUT_FILENO) < 0) {
		_exit(127);
	}
	(void)syscall(SYS_close_range, 3u, ~0u, 0);
	(void)setrlimit(RLIMIT_CPU, &cpu);
	if (sandbox_enter(trial->privileges, "/usr/lib", &missing, &err) < 0) {
		check_add(checks, trial->area, trial->what, VERDICT_FAILS, "", "%s: %s", err.what, err.why);
	} else {
		trial->run(facts, checks);
	}
	flush_checks(checks, STDOUT_FILENO);
	_exit(0);
}

static size_t read_answer(int fd, char *text, size_t room)
{
	uint64_t until = clock_now() + DEADLINE_NS;
	size_t bytes = 0;

	while (bytes < room) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_now();
		ssize_t got;

		if (now >= until || poll(&ready, 1, (int)((until - now) / NS_PER_MS) + 1) <= 0) {
			break;
		}
		got = read(fd, text + bytes, room - bytes);
		if (got <= 0) {
			break;
		}
		bytes += (size_t)got;
	}
	return bytes;
}

static void take_lines(char *text, json_t *checks)
{
	size_t count = 0;
	char *line;

	while ((line = strsep(&text, "\n")) != NULL && count < CHECKS_MAX) {
		json_t *check = json_loads(line, 0, NULL);

		if (check != NULL && check_is_sound(check)) {
			json_array_append(checks, check);
			count++;
		}
		json_decref(check);
	}
}

static void complain_end(const struct trial *trial, int status, json_t *checks)
{
	if (WIFSIGNALED(status)) {
		int number = WTERMSIG(status);

		check_add(checks, trial->area, trial->what, VERDICT_FAILS,
			  number == SIGSYS ? "docker run --security-opt seccomp=unconfined ..., or a profile "
					     "that allows it"
					   : "",
			  number == SIGSYS    ? "a seccomp filter kills for it (SIGSYS)"
			  : number == SIGKILL ? "no answer within 10 s"
					      : "the process that tried ended by SIG%s",
			  sigabbrev_np(number) != NULL ? sigabbrev_np(number) : "?");
	} else if (WEXITSTATUS(status) != 0) {
		check_add(checks, trial->area, trial->what, VERDICT_FAILS, "",
			  "the process that tried ended with exit code %d", WEXITSTATUS(status));
	}
}

void trial_run(const struct trial *trial, const struct facts *facts, json_t *checks)
{
	char *text = calloc(1, ANSWER_BYTES_MAX + 1);
	int answer[2] = { -1, -1 };
	pid_t core = getpid();
	int status = 0;
	pid_t pid = -1;

	if (text != NULL && pipe2(answer, O_CLOEXEC) == 0) {
		pid = fork();
	}
	if (pid == 0) {
		be_trial(trial, facts, answer[1], core);
	}
	if (answer[1] >= 0) {
		close(answer[1]);
	}
	if (pid > 0) {
		(void)read_answer(answer[0], text, ANSWER_BYTES_MAX);
		(void)kill(pid, SIGKILL); /* one that has ended is past it */
		waitpid(pid, &status, 0);
		take_lines(text, checks);
		complain_end(trial, status, checks);
	} else {
		check_add(checks, trial->area, trial->what, VERDICT_FAILS, "",
			  "no process could be started: %s", strerror(errno));
	}
	if (answer[0] >= 0) {
		close(answer[0]);
	}
	free(text);
}
