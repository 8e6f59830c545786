/* SPDX-License-Identifier: MIT */
/* Only calls that are safe after fork in a program with threads. */
#include "target/launch_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENV_BYTES_MAX (4u << 20)

/* Where the child has its two descriptors once all others are closed. */
enum { CHILD_HOLD_FD = 3, CHILD_ERROR_FD = 4, CHILD_FDS = 5 };

static void child_fail(int error_fd, int errnum)
{
	ssize_t ignored = write(error_fd, &errnum, sizeof(errnum));

	(void)ignored;
	_exit(127);
}

static void reset_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++) {
		sigaction(i, &action, NULL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* 0 /dev/null, 1 and 2 the output, 3 and 4 ours, closed by exec; nothing else. */
static int arrange_descriptors(const struct launch_child *child)
{
	int hold_fd = fcntl(child->hold_fd, F_DUPFD_CLOEXEC, 16);
	int error_fd = fcntl(child->error_fd, F_DUPFD_CLOEXEC, 16);
	int null_fd = fcntl(child->null_fd, F_DUPFD_CLOEXEC, 16);
	int output_fd = fcntl(child->output_fd, F_DUPFD_CLOEXEC, 16);

	if (hold_fd < 0 || error_fd < 0 || null_fd < 0 || output_fd < 0 || dup2(null_fd, 0) < 0 ||
	    dup2(output_fd, 1) < 0 || dup2(output_fd, 2) < 0 || dup3(hold_fd, CHILD_HOLD_FD, O_CLOEXEC) < 0 ||
	    dup3(error_fd, CHILD_ERROR_FD, O_CLOEXEC) < 0) {
		return -1;
	}
	syscall(SYS_close_range, CHILD_FDS, ~0u, 0);
	return 0;
}

static bool read_all(int fd, void *to, size_t bytes)
{
	char *at = to;

	while (bytes > 0) {
		ssize_t got = read(fd, at, bytes);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			return false;
		}
		at += got;
		bytes -= (size_t)got;
	}
	return true;
}

/* Wait for the environment: a size, then NAME=VALUE texts. Its end without one: we are not wanted any more. */
static char **receive_env(void)
{
	uint64_t head[2]; /* bytes, count */
	char **env;
	char *texts;
	char *map;

	if (!read_all(CHILD_HOLD_FD, head, sizeof(head)) || head[0] > ENV_BYTES_MAX || head[1] > head[0]) {
		_exit(127);
	}
	map = mmap(NULL, (head[1] + 1) * sizeof(char *) + head[0] + 1, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED) {
		child_fail(CHILD_ERROR_FD, ENOMEM);
	}
	env = (char **)(void *)map;
	texts = map + (head[1] + 1) * sizeof(char *);
	if (!read_all(CHILD_HOLD_FD, texts, head[0])) {
		_exit(127);
	}
	for (uint64_t i = 0; i < head[1]; i++) {
		env[i] = texts;
		texts += strlen(texts) + 1;
	}
	return env;
}

void launch_child_main(const struct launch_child *child)
{
	char **env;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != child->parent) {
		_exit(127); /* the parent died before the line above */
	}
	setpgid(0, 0);
	reset_signals();
	if (arrange_descriptors(child) < 0) {
		child_fail(child->error_fd, errno);
	}
	env = receive_env();
	if (child->directory != NULL && chdir(child->directory) < 0) {
		child_fail(CHILD_ERROR_FD, errno);
	}
	execve(child->program, child->words, env);
	child_fail(CHILD_ERROR_FD, errno);
	_exit(127);
}

/* In the child's group, so that the group's number stays taken: waits for our end, or for a byte that says all is well. */
void launch_guardian_main(int fd, pid_t group, struct cage *cage)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	char byte;
	ssize_t got;

	setpgid(0, group);
	for (int i = 1; i < NSIG; i++) {
		sigaction(i, &ignore, NULL);
	}
	prctl(PR_SET_NAME, "profcore-guard");
	fd = fcntl(fd, F_DUPFD, 16);
	cage->kill_fd = fcntl(cage->kill_fd, F_DUPFD, 16);
	dup2(fd, 0);
	if (cage->kill_fd >= 0) {
		cage->kill_fd = dup2(cage->kill_fd, 1);
	}
	syscall(SYS_close_range, cage->kill_fd >= 0 ? 2 : 1, ~0u, 0);
	if (chdir("/") < 0 || getpgrp() != group) {
		_exit(1);
	}
	do {
		got = read(0, &byte, 1);
	} while (got < 0 && errno == EINTR);
	if (got == 0) {
		cage_kill(cage);
		cage_remove(cage);
		kill(-group, SIGKILL); /* and us */
	}
	_exit(0);
}
