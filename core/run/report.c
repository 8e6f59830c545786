/* SPDX-License-Identifier: MIT */
#include "run/report.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "artifact/artifact.h"
#include "base/clock.h"
#include "run/spawn.h"
#include "stage/protocol.h"
#include "stage/sandbox.h"

#define REPORT_SECONDS   5
#define REPORT_BYTES_MAX (1u << 20)
/* A whole artifact is mapped; nothing else there is large. */
#define REPORT_ADDRESS_SPACE (64ull << 30)

static size_t read_answer(int fd, pid_t pid, char *text, size_t room)
{
	uint64_t until = clock_now() + REPORT_SECONDS * NS_PER_SECOND;
	size_t bytes = 0;

	while (bytes < room) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_now();
		ssize_t got;

		if (now >= until || poll(&ready, 1, (int)((until - now) / NS_PER_MS) + 1) <= 0) {
			kill(pid, SIGKILL);
			return 0;
		}
		got = read(fd, text + bytes, room - bytes);
		if (got <= 0) {
			return bytes;
		}
		bytes += (size_t)got;
	}
	kill(pid, SIGKILL);
	return 0;
}

json_t *report_artifact(struct run *run, const struct run_output *output)
{
	int fds[2] = { -1, -1 };
	int answer[2] = { -1, -1 };
	char *text = malloc(REPORT_BYTES_MAX);
	json_t *report = NULL;
	pid_t core = getpid();
	size_t bytes = 0;
	int status = 0;
	pid_t pid;

	if (text == NULL || output->fd < 0 || pipe2(answer, O_CLOEXEC) < 0) {
		free(text);
		return NULL;
	}
	fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (rundir_open_file(run->dir, output->plan->path, &fds[1], NULL) == 0 && spawn_lift(fds, 2) == 0) {
		pid = fork();
		if (pid == 0) {
			dup2(answer[1], STDOUT_FILENO);
			spawn_become(fds, 2, open("/dev/null", O_WRONLY | O_CLOEXEC), core, REPORT_COMMAND);
		}
		close(answer[1]);
		answer[1] = -1;
		if (pid > 0) {
			bytes = read_answer(answer[0], pid, text, REPORT_BYTES_MAX);
			waitpid(pid, &status, 0);
			report = status == 0 && bytes > 0 ? json_loadb(text, bytes, 0, NULL) : NULL;
		}
	}
	for (size_t i = 0; i < 2; i++) {
		close(fds[i]);
		if (answer[i] >= 0) {
			close(answer[i]);
		}
	}
	free(text);
	return report;
}

int report_main(void)
{
	struct artifact_about about = { "", "", "", "", true };
	struct artifact_reader *reader = NULL;
	struct pfc_error err;
	const char *missing;
	json_t *report;
	int rc;

#if !defined(__SANITIZE_ADDRESS__) /* its shadow alone is larger */
	struct rlimit memory = { REPORT_ADDRESS_SPACE, REPORT_ADDRESS_SPACE };

	(void)setrlimit(RLIMIT_AS, &memory);
#endif
	if (sandbox_enter(0, "/usr/lib", &missing, &err) < 0 ||
	    artifact_reader_open(STAGE_FD_SPEC, &about, &reader, &err) < 0) {
		return 1;
	}
	report = artifact_reader_report(reader);
	rc = report != NULL && json_dumpfd(report, STDOUT_FILENO, JSON_COMPACT) == 0 ? 0 : 1;
	json_decref(report);
	artifact_reader_close(reader);
	return rc;
}
