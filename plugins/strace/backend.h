/* SPDX-License-Identifier: MIT */
/*
 * A back-end: one way to observe system calls and waits. plugin.c chooses one (backend = auto: the first whose probe
 * succeeds, in the order of backends.c) and drives it through the life of the stage:
 *
 *   probe -> open -> start(t0) -> run -> stop(t1) -> finish -> close
 *
 * All callbacks run on the [control] thread. What it observes goes into tracer->account (account.h), slow calls through
 * tracer_slow_call(), stacks through tracer_stack(). At the end plugin.c writes the tables from the account.
 */
#ifndef STRACE_BACKEND_H
#define STRACE_BACKEND_H

#include "tracer.h"

struct backend {
	const char *name; /* as the option says: "bpf" */

	/**
	 * Can this work here, with this target? Try what will be needed, leave nothing behind. Says nothing to the host: with
	 * backend = auto a refusal is only a step to the next. Returns 0, or refusal->status with what, why and hint filled.
	 */
	int (*probe)(struct tracer *tracer, struct refusal *refusal);

	/** Everything that takes time; *ret_state is the back-end's own. Returns 0, or refusal->status; nothing is left then. */
	int (*open)(struct tracer *tracer, void **ret_state, struct refusal *refusal);

	/** Measure from here on; t0_ns: start of the window, CLOCK_MONOTONIC. The books begin now, not at T0. */
	int (*start)(void *state, uint64_t t0_ns);

	/**
	 * Until host->stop_fd is readable: drain, and call tracer_tick() about ten times a second. Return 0 then, or a status
	 * after host->fail.
	 */
	int (*run)(void *state);

	/** Measure no more. The books of threads that live end here. */
	int (*stop)(void *state, uint64_t t1_ns);

	/**
	 * Move what is still in the back-end into the account, and state the facts of the writer that only it knows: lost things
	 * by host->loss("syscalls", cause, n), everything else by tracer_fact(). Returns 0 or a status after host->fail.
	 */
	int (*finish)(void *state);

	/** Free everything; NULL is fine. */
	void (*close)(void *state);
};

/** The back-ends of this build, best first, ended by NULL. */
extern const struct backend *const backends[];

extern const struct backend backend_bpf;
extern const struct backend backend_perf;
extern const struct backend backend_ptrace;

#endif
