/* SPDX-License-Identifier: MIT */
/* The threads that a back-end observes call by call. */
#ifndef STRACE_TASKS_H
#define STRACE_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account.h"

/** One thread that is observed. What only one back-end uses says so. */
struct task {
	int32_t tid; /* 0: empty place */
	int32_t pid;
	bool counts;  /* its calls are the target's: not so for a held child before its exec */
	bool in_call; /* the arguments below are of a call that has not returned */
	/* ptrace */
	bool is_asked;    /* was seized and told to stop: the stop has not come yet */
	bool is_stopping; /* we asked it to stop: a call that ends now was cut by us */
	bool is_leaving;  /* at its next stop it is let go */
	/* perf */
	bool is_old;   /* the call began before the window */
	bool is_known; /* it has returned from a call already */
	bool was_preempted;
	uint64_t on_since_ns;  /* 0: not on a CPU, or not known */
	uint64_t off_since_ns; /* likewise off */
	uint64_t off_ns;       /* within the call */
	/* both */
	uint32_t abi;
	int32_t nr;
	uint64_t args[6];
	uint64_t enter_ns; /* when it was let into the call */
	/* ptrace */
	int schedstat_fd;                      /* kept open; -1 */
	bool has_first;                        /* first_* are set */
	uint64_t first_cpu_ns, first_queue_ns; /* its sums when its book began */
	uint64_t enter_cpu_ns, enter_queue_ns; /* likewise when it entered the call */
};

struct task_table {
	struct task *places; /* open addressing by tid */
	size_t room;         /* a power of two */
	size_t count;
};

int tasks_init(struct task_table *table, size_t most);
struct task *tasks_find(const struct task_table *table, int32_t tid);
/** NULL when the table is full. A place for `tid`, made when new. */
struct task *tasks_add(struct task_table *table, int32_t tid);
void tasks_remove(struct task_table *table, int32_t tid);
void tasks_finish(struct task_table *table);
/** The thread group of a thread, from /proc; 0 when it is gone. */
int32_t tasks_group_of(int32_t tid);
/** Sums of time on a CPU and in a run queue, by the kernel's account. False when it cannot be told. */
bool task_schedstat(struct task *task, uint64_t *ret_cpu_ns, uint64_t *ret_queue_ns);
/** Its name, "" when it is gone. */
void task_comm(int32_t pid, int32_t tid, char to[COMM_BYTES]);
/** Whether there is no such thread any more. */
bool task_has_ended(const struct task *task);
/** "on_cpu run_queue slices" of an open schedstat. False when it cannot be read. */
bool task_read_sums(int fd, uint64_t *ret_cpu_ns, uint64_t *ret_queue_ns);

#endif
