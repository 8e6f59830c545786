/* SPDX-License-Identifier: MIT */
/*
 * The ptrace back-end's own. One thread does all tracing, because the kernel ties a tracee to the thread that seized it
 * (backend_ptrace.c); what it observes goes into the account under a lock, so that the control thread can commit meanwhile.
 *
 * Nothing is left behind when we end in whatever way: the kernel lets all tracees of a thread go with it, PTRACE_O_EXITKILL
 * is never set, and no seccomp filter is put into the target. (A filter with SECCOMP_RET_TRACE cannot be taken out again, and
 * makes each call fail with ENOSYS once its tracer is gone: what it saves is not worth a target that breaks with us.)
 */
#ifndef STRACE_PTRACE_H
#define STRACE_PTRACE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kinds.h"
#include "tasks.h"
#include "tracer.h"

/** What tracing itself takes, measured on a child of ours. */
struct own_cost {
	uint64_t latency_ns; /* that a call's latency seems longer than it is: median */
	uint64_t call_ns;    /* that each call of the target costs it */
};

struct tracing {
	struct tracer *tracer;
	struct task_table tasks;
	struct own_cost cost;
	struct call_kinds kinds;
	uint64_t own_before_ns; /* own_queue_ns before the present wait for a stop */
	int own_fd;             /* schedstat of the tracing thread; -1 */
	uint8_t *stack;         /* settings.stack_bytes: a copy of a user stack */
	bool is_on;             /* between start and stop */
	bool is_letting_go;     /* whoever stops is detached */
	bool is_trial;          /* calls are counted in trial_calls and nowhere else */
	bool wants_stop;
	uint64_t trial_calls;
	uint64_t start_ns;
	uint64_t calls;
	uint64_t unmatched;  /* calls that ended without a beginning that we saw */
	uint64_t unfinished; /* calls that did not end while we looked */
	uint64_t compat;
	uint64_t untraceable; /* threads that could not be seized */
	int untraceable_error;
	uint64_t overflow; /* threads beyond settings.threads: let go, not traced */
	int status;        /* first failure of the account or a writer */
};

/* ---- ptrace_cost.c ---- */

/** How long the tracing thread has waited for a CPU so far: so much longer the target's calls seemed. 0 when not known. */
uint64_t own_queue_ns(const struct tracing *tracing);
/** Open what own_queue_ns reads; call it on the tracing thread. */
void own_queue_open(struct tracing *tracing);

/* ---- ptrace_stop.c ---- */

/** Deal with what waitpid gave and let the thread go on. */
void stop_handle(struct tracing *tracing, int32_t tid, int status, uint64_t now_ns);
/** Begin the book of a task whose calls count from now on. */
void stop_begin_book(struct tracing *tracing, struct task *task, uint64_t now_ns);
/** Its last word: the book's end. */
void stop_end_book(struct tracing *tracing, struct task *task, uint64_t now_ns, bool has_ended);

/* ---- ptrace_attach.c ---- */

/** Seize all threads of these processes that are not ours yet and have them stop once, so that their calls stop from then on. */
int attach_processes(struct tracing *tracing, const int32_t *pids, size_t pid_count, bool counts);
/** Ask all to stop and let each go as it does; give up on those that do not after `patience_ns`. Returns how many are left. */
size_t detach_all(struct tracing *tracing, uint64_t patience_ns);
/** Handle stops until each task has stopped once, or until_ns. */
void pump_until_stopped(struct tracing *tracing, uint64_t until_ns, pthread_mutex_t *lock);
/** Handle stops until `until_ns` or tracing->wants_stop. */
void pump(struct tracing *tracing, uint64_t until_ns, pthread_mutex_t *lock);

/* ---- ptrace_cost.c ---- */

/** Returns 0, or -errno when a child cannot be traced: then nothing can. */
int own_cost_measure(struct own_cost *ret);

uint64_t ptrace_now(void);

#endif
