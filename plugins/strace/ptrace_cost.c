/* SPDX-License-Identifier: MIT */
/*
 * What tracing costs and how much it inflates latencies, measured where we are: a child of ours makes a call that does
 * nothing (getppid), first alone, then traced in the same way as the target is.
 */
#include "ptrace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 200

uint64_t ptrace_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a;
	const uint64_t *y = b;

	return (*x > *y) - (*x < *y);
}

/* Made by a child that is held until we close the pipe; makes ROUNDS calls and ends. */
static pid_t make_child(int *ret_go_fd)
{
	int go[2];
	char byte;
	pid_t pid;

	if (pipe(go) < 0) {
		return -1;
	}
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		while (read(go[0], &byte, 1) < 0 && errno == EINTR) {
		}
		for (int i = 0; i < ROUNDS; i++) {
			syscall(SYS_getppid);
		}
		_exit(0);
	}
	close(go[0]);
	*ret_go_fd = go[1];
	return pid;
}

static uint64_t measure_alone(void)
{
	uint64_t begin = ptrace_now();

	for (int i = 0; i < ROUNDS; i++) {
		syscall(SYS_getppid);
	}
	return (ptrace_now() - begin) / ROUNDS;
}

struct rounds {
	uint64_t latency[ROUNDS]; /* as it seems */
	uint64_t between[ROUNDS]; /* from the end of one to the end of the next */
	size_t count;
	uint64_t last_ns;
};

/* Ticks of the tracing thread interrupt it. */
static pid_t await(pid_t pid, int *ret_status)
{
	pid_t got;

	do {
		got = waitpid(pid, ret_status, __WALL);
	} while (got < 0 && errno == EINTR);
	return got;
}

/* Follow the child from stop to stop to its end. */
static void follow(pid_t pid, struct rounds *ret)
{
	struct __ptrace_syscall_info info;
	uint64_t enter_ns = 0;
	bool is_call = false;
	int status;

	while (await(pid, &status) == pid && WIFSTOPPED(status)) {
		uint64_t now = ptrace_now();

		if (WSTOPSIG(status) == (SIGTRAP | 0x80) &&
		    ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0) {
			if (info.op == PTRACE_SYSCALL_INFO_EXIT && is_call && ret->count < ROUNDS) {
				ret->latency[ret->count] = now - enter_ns;
				ret->between[ret->count++] = ret->last_ns ? now - ret->last_ns : 0;
				ret->last_ns = now;
			}
			is_call = info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_getppid;
		}
		enter_ns = ptrace_now();
		ptrace(PTRACE_SYSCALL, pid, 0, 0);
	}
}

/* Sorts them: the median, less what the call takes by itself. */
static uint64_t median_beyond(uint64_t *values, size_t count, uint64_t alone_ns)
{
	uint64_t median;

	qsort(values, count, sizeof(*values), compare);
	median = values[count / 2];
	return median > alone_ns ? median - alone_ns : 0;
}

int own_cost_measure(struct own_cost *ret)
{
	struct rounds *rounds = calloc(1, sizeof(*rounds));
	uint64_t alone_ns = measure_alone();
	int go_fd = -1;
	pid_t pid = rounds ? make_child(&go_fd) : -1;
	int rc = pid < 0 ? -errno : 0;

	if (rc == 0 && (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) < 0 ||
			ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0)) {
		rc = -errno;
	}
	if (go_fd >= 0) {
		close(go_fd);
	}
	if (rc == 0) {
		follow(pid, rounds);
	} else if (pid > 0) {
		int status;

		await(pid, &status);
	}
	if (rc == 0 && rounds->count < ROUNDS / 2) {
		rc = -EPERM;
	}
	if (rc == 0) {
		ret->latency_ns = median_beyond(rounds->latency, rounds->count, alone_ns);
		ret->call_ns = median_beyond(rounds->between, rounds->count, alone_ns);
	}
	free(rounds);
	return rc;
}

void own_queue_open(struct tracing *tracing)
{
	tracing->own_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
}

uint64_t own_queue_ns(const struct tracing *tracing)
{
	uint64_t cpu_ns, queue_ns;

	return tracing->own_fd >= 0 && task_read_sums(tracing->own_fd, &cpu_ns, &queue_ns) ? queue_ns : 0;
}
