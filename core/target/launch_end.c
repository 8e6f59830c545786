/* SPDX-License-Identifier: MIT */
/* The end of a launched command: whether, how, its last words, and everything that it left. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "target/launch.h"
#include "target/words.h"

#define TAIL_BYTES 2048

bool launch_has_ended(const struct launch *launch, int *ret_status)
{
	siginfo_t info = { 0 };

	if (launch->pid <= 0 || waitid(P_PID, (id_t)launch->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	    info.si_pid == 0) {
		return false;
	}
	*ret_status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
	if (info.si_code == CLD_DUMPED) {
		*ret_status |= 0x80;
	}
	return true;
}

void launch_signal(const struct launch *launch, int signal)
{
	/* The child stays a zombie until launch_finish: its group's number cannot be another's. */
	if (launch->pid > 0) {
		kill(-launch->pid, signal);
	}
}

static void reap(pid_t pid)
{
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
	}
}

static void close_fd(int *fd)
{
	if (*fd >= 0) {
		close(*fd);
	}
	*fd = -1;
}

void launch_kill(const struct launch *launch)
{
	launch_signal(launch, SIGKILL);
	cage_kill(&launch->cage);
}

void launch_finish(struct launch *launch)
{
	launch_kill(launch);
	if (launch->pid > 0) {
		kill(launch->pid, SIGKILL); /* should it not have reached its group */
	}
	if (launch->guardian_pid > 0) {
		kill(launch->guardian_pid, SIGKILL);
	}
	reap(launch->pid);
	reap(launch->guardian_pid);
	cage_remove(&launch->cage);
	close_fd(&launch->pid_fd);
	close_fd(&launch->hold_fd);
	close_fd(&launch->error_fd);
	close_fd(&launch->guardian_fd);
	close_fd(&launch->output_fd);
	for (size_t i = 0; i < launch->env_count; i++) {
		free(launch->env[i]);
	}
	free(launch->env);
	free(launch->program);
	words_free(launch->words);
	launch_init(launch);
}

void launch_output_tail(const struct launch *launch, unsigned lines, char *to, size_t to_bytes)
{
	char path[64];
	char text[TAIL_BYTES + 1];
	struct stat stat;
	ssize_t got = 0;
	char *from;
	int fd;

	to[0] = '\0';
	/* It may be open for writing only: read it by another descriptor. */
	if (launch->output_fd < 0 || fstat(launch->output_fd, &stat) < 0 || !S_ISREG(stat.st_mode)) {
		return;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", launch->output_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return;
	}
	got = pread(fd, text, TAIL_BYTES, stat.st_size > TAIL_BYTES ? stat.st_size - TAIL_BYTES : 0);
	close(fd);
	while (got > 0 && (text[got - 1] == '\n' || text[got - 1] == '\0')) {
		got--;
	}
	if (got <= 0) {
		return;
	}
	text[got] = '\0';
	for (from = text + got; from > text && (from[-1] != '\n' || --lines > 0); from--) {
	}
	for (char *at = from; *at != '\0'; at++) {
		*at = *at == '\n' ? '|' : *at;
	}
	snprintf(to, to_bytes, "%s", from);
}

void launch_describe_end(int wait_status, char *to, size_t to_bytes)
{
	if (WIFEXITED(wait_status)) {
		snprintf(to, to_bytes, "exit status %d", WEXITSTATUS(wait_status));
	} else {
		snprintf(to, to_bytes, "killed by signal %d (%s)", WTERMSIG(wait_status),
			 strsignal(WTERMSIG(wait_status)));
	}
}
