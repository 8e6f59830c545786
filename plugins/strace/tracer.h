/* SPDX-License-Identifier: MIT */
/* What plugin.c and the back-ends share: the options, the outputs, and how observations are handed on. */
#ifndef STRACE_TRACER_H
#define STRACE_TRACER_H

#include <profcore/ext/draft/stacks.h>
#include <profcore/ext/draft/target.h>
#include <profcore/profcore.h>

#include <stdbool.h>
#include <stdint.h>

#include "account.h"

/** Why something does not work: for host->fail, or for the log when another back-end is tried. */
struct refusal {
	int32_t status;
	char what[128];
	char why[320];
	char hint[256]; /* "" when there is none */
};

/** Fill a refusal; each text is formatted by the caller or plain. Returns status. */
int refusal_set(struct refusal *refusal, int32_t status, const char *what, const char *why, const char *hint);

enum calls_mode {
	CALLS_OFF = 0,
	CALLS_BLOCKED = 1,
	CALLS_ALL = 2,
};

/** The options, read once. */
struct settings {
	enum calls_mode calls;
	uint64_t slow_ns;
	uint64_t slow_limit;
	uint64_t min_wait_ns;
	uint32_t stack_bytes;
	uint32_t stack_rate;
	uint32_t threads;
	uint32_t ring_bytes;
	bool force;
	bool stacks_at_switch; /* bpf: as on kernels before 6.18 */
};

struct fds;
struct tables;

/** The artifacts of stacks. */
enum stacks_kind {
	STACKS_OFF_CPU, /* of waits: ns off the CPU */
	STACKS_WAKERS,  /* of who ended a wait, when it did: ns that the other had been asleep */
	STACKS_SLOW,    /* of slow calls: ns that they took */
	STACKS_KINDS,
};

struct tracer {
	const struct pfc_host *host;
	struct settings settings;
	struct account *account;
	struct tables *tables;
	struct fds *fds;                 /* names of descriptors; NULL: they stay numbers */
	const struct pfc_stacks *stacks; /* NULL: the host has no such service; stacks are left out then */
	struct pfc_stacks_session *sessions[STACKS_KINDS];
	uint64_t slow_kept;
	uint64_t slow_lost;
	uint64_t last_commit_ns;
};

/** One call that took long. args are the raw registers; what they point to has been read by the back-end, where it could. */
struct slow_call {
	uint64_t time_ns; /* entry, CLOCK_MONOTONIC */
	uint64_t duration_ns;
	uint64_t blocked_ns;  /* asleep within the call; 0 when the back-end cannot tell */
	uint64_t runnable_ns; /* waiting for a CPU within the call, likewise */
	int32_t pid;
	int32_t tid;
	int32_t nr;
	uint32_t abi;   /* enum abi */
	int64_t result; /* as the kernel returned it: -errno for a failure */
	uint64_t args[6];
	int32_t waker_tid; /* who woke it last; 0: not known, -1: an interrupt */
	char waker[COMM_BYTES];
	const char *text; /* bytes that a pointer argument pointed to (a path, a buffer's beginning); NULL */
	uint32_t text_bytes;
	bool is_late;      /* its descriptor is another by now: only a name that is known already holds */
	bool is_stopped;   /* the thread stands still at this call's end: its memory is the call's */
	uint32_t text_arg; /* which argument that was */
	const char
		*fd_text; /* what the descriptor argument was when it was called; NULL: tables.c asks fds.h */
};

/** One wait that lasted min_wait. Its stack is the sample of time_ns in `stacks`, its waker's that of woken_ns in `wakers`. */
struct long_wait {
	uint64_t time_ns; /* when it ran again, or the end of the window */
	uint64_t blocked_ns;
	uint64_t runnable_ns;
	uint64_t woken_ns; /* 0: nobody is known that woke it */
	int32_t pid;
	int32_t tid;
	enum wait_cause cause;
	int32_t nr; /* with WAIT_SYSCALL */
	uint32_t abi;
	uint64_t lock; /* address of the futex that it waited for; 0: it was another call */
	int32_t waker_pid;
	int32_t waker_tid; /* as in a slow call */
	char waker[COMM_BYTES];
};

/** Keep a slow call, up to slow_limit; beyond it is counted as lost. Returns 0 or the writer's error. */
int tracer_slow_call(struct tracer *tracer, const struct slow_call *call);

/** Keep a long wait. Returns 0 or the writer's error. */
int tracer_long_wait(struct tracer *tracer, const struct long_wait *wait);

/** Add a stack to one of the outputs. Returns 0 or the service's error. */
int tracer_stack(struct tracer *tracer, enum stacks_kind kind, const struct pfc_stack_sample *sample);

/** Every observation before complete_ns was handed on: commit, publish the metrics. */
int tracer_tick(struct tracer *tracer, uint64_t complete_ns);

/** State a fact of the output `syscalls`. */
void tracer_fact(struct tracer *tracer, const char *key, double value);
void tracer_fact_text(struct tracer *tracer, const char *key, const char *value);

#endif
