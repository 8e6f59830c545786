/* SPDX-License-Identifier: MIT */
/* Getting hold of threads and letting them go: see ptrace.h. */
#include "ptrace.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#define OPTIONS                                                                                              \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |            \
	 PTRACE_O_TRACEEXEC)
#define PASSES 20

/* Returns 1 for a new one, 0 for one that is ours already, is gone, or has no place, -errno when the kernel refuses. */
static int attach_thread(struct tracing *tracing, int32_t pid, int32_t tid, bool counts)
{
	struct task *task = tasks_find(&tracing->tasks, tid);

	if (task) {
		return 0;
	}
	task = tasks_add(&tracing->tasks, tid);
	if (!task) {
		tracing->overflow++;
		return 0;
	}
	task->pid = pid;
	task->counts = counts;
	task->is_asked = true;
	if (ptrace(PTRACE_SEIZE, tid, 0, OPTIONS) < 0 || ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0) {
		int error = errno;

		tasks_remove(&tracing->tasks, tid);
		if (error == ESRCH) {
			return 0;
		}
		tracing->untraceable++;
		tracing->untraceable_error = error;
		return -error;
	}
	if (counts && tracing->is_on) {
		stop_begin_book(tracing, task, ptrace_now());
	}
	return 1;
}

static int attach_process(struct tracing *tracing, int32_t pid, bool counts)
{
	struct dirent *entry;
	char path[64];
	int added = 0;
	int rc = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	folder = opendir(path);
	while (folder && (entry = readdir(folder)) != NULL) {
		int32_t tid = (int32_t)strtol(entry->d_name, NULL, 10);
		int one = tid > 0 ? attach_thread(tracing, pid, tid, counts) : 0;

		added += one > 0;
		rc = one < 0 ? one : rc;
	}
	if (folder) {
		closedir(folder);
	}
	return added > 0 ? added : rc;
}

/* Again until none is new: a thread may make another between our looking and our seizing it. */
int attach_processes(struct tracing *tracing, const int32_t *pids, size_t pid_count, bool counts)
{
	bool is_new = true;
	int rc = 0;

	for (int pass = 0; pass < PASSES && is_new; pass++) {
		is_new = false;
		for (size_t i = 0; i < pid_count; i++) {
			int one = attach_process(tracing, pids[i], counts);

			is_new |= one > 0;
			rc = one < 0 ? one : rc;
		}
	}
	return tracing->tasks.count > 0 ? 0 : rc;
}

/* Whoever stops next. The time from its stop to our being on a CPU can be told by own_before_ns. */
static pid_t await_stop(struct tracing *tracing, int *ret_status)
{
	tracing->own_before_ns = own_queue_ns(tracing);
	return waitpid(-1, ret_status, __WALL | __WNOTHREAD);
}

static bool all_have_stopped(const struct task_table *table)
{
	for (size_t i = 0; i < table->room; i++) {
		if (table->places[i].tid && table->places[i].is_asked) {
			return false;
		}
	}
	return true;
}

void pump_until_stopped(struct tracing *tracing, uint64_t until_ns, pthread_mutex_t *lock)
{
	while (!all_have_stopped(&tracing->tasks) && ptrace_now() < until_ns) {
		int status;
		pid_t tid = await_stop(tracing, &status);

		if (tid > 0) {
			pthread_mutex_lock(lock);
			stop_handle(tracing, tid, status, ptrace_now());
			pthread_mutex_unlock(lock);
		} else if (errno != EINTR) {
			return;
		}
	}
}

void pump(struct tracing *tracing, uint64_t until_ns, pthread_mutex_t *lock)
{
	int status;

	while (!__atomic_load_n(&tracing->wants_stop, __ATOMIC_ACQUIRE) && tracing->tasks.count > 0) {
		pid_t tid = await_stop(tracing, &status);
		uint64_t now = ptrace_now();

		if (tid > 0) {
			pthread_mutex_lock(lock);
			stop_handle(tracing, tid, status, now);
			pthread_mutex_unlock(lock);
		} else if (errno != EINTR) { /* ECHILD: nobody is left */
			return;
		}
		if (until_ns && now >= until_ns) {
			return;
		}
	}
}

size_t detach_all(struct tracing *tracing, uint64_t patience_ns)
{
	uint64_t until_ns = ptrace_now() + patience_ns;
	int status;

	tracing->is_letting_go = true;
	for (size_t i = 0; i < tracing->tasks.room; i++) {
		struct task *task = &tracing->tasks.places[i];

		if (task->tid) {
			task->is_leaving = true;
			task->is_stopping = true;
			(void)ptrace(PTRACE_INTERRUPT, task->tid, 0, 0);
		}
	}
	while (tracing->tasks.count > 0 && ptrace_now() < until_ns) {
		pid_t tid = await_stop(tracing, &status);

		if (tid > 0) {
			stop_handle(tracing, tid, status, ptrace_now());
		} else if (errno != EINTR) {
			break;
		}
	}
	return tracing->tasks.count;
}
