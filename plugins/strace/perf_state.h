/* SPDX-License-Identifier: MIT */
/*
 * The perf back-end's own. Two tracepoints (raw_syscalls:sys_enter and sys_exit) and the kernel's records of context switches, of
 * each thread on each CPU, come through one ring a CPU. perf_stream.c puts them in order of time, perf_calls.c pairs them.
 */
#ifndef STRACE_PERF_STATE_H
#define STRACE_PERF_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kinds.h"
#include "lib/perf/attach.h"
#include "tasks.h"
#include "tracer.h"

enum moment_kind {
	MOMENT_ENTER,
	MOMENT_EXIT,
	MOMENT_OFF, /* off the CPU, to wait */
	MOMENT_PREEMPTED,
	MOMENT_ON,
};

/** One record, as it is needed. */
struct moment {
	uint64_t time_ns;
	int32_t pid;
	int32_t tid;
	uint8_t kind; /* enum moment_kind */
	uint8_t abi;  /* ENTER: enum abi */
	int32_t nr;
	int64_t result; /* EXIT */
	uint64_t args[6];
};

/** A descriptor that became another at some time. */
struct change {
	int32_t pid;      /* 0: empty place */
	int32_t fd;       /* -1: all of the process */
	uint64_t time_ns; /* the last time */
};

/** Those among the moments that are held, open addressing. */
struct changes {
	struct change *places;
	size_t room; /* a power of two */
};

/** Moments that may still be preceded by others. */
struct stream {
	struct moment *moments;
	size_t count;
	size_t room;
};

struct perf_state {
	struct tracer *tracer;
	struct perf_ring *rings;
	uint32_t ring_count;
	struct perf_attach enter;
	struct perf_attach exit; /* with the context switches */
	char *group; /* folder of the control group now, borrowed by the attaches; NULL: threads */
	struct stream stream;
	struct changes changes;
	struct task_table tasks;
	struct call_kinds kinds;
	int32_t held_pid; /* its calls count from its exec on; 0: none */
	uint64_t start_ns;
	uint64_t call_ns; /* what each call costs the target, measured on ourselves */
	uint64_t calls;
	uint64_t unmatched;
	uint64_t unfinished;
	uint64_t compat;
	uint64_t lost;
	uint64_t garbled;
	uint64_t overflow;
	int status; /* first failure of the account or a writer */
};

/* ---- perf_stream.c ---- */

/** Take everything from the rings. Returns 0 or PFC_ENOMEM. */
int stream_drain(struct perf_state *state);
/** Hand on, in order, what is older than before_ns. */
void stream_pass(struct perf_state *state, uint64_t before_ns);

/**
 * Whether a descriptor has become another since, by what the kernel has told so far: names are looked up when records are read,
 * up to a tenth of a second after the call.
 */
bool stream_has_changed(const struct perf_state *state, int32_t pid, int32_t fd, uint64_t since_ns);

/* ---- perf_calls.c ---- */

/** A thread that is there when the window begins, and the call that it waits in. */
void calls_begin(struct perf_state *state, int32_t pid, int32_t tid, uint64_t now_ns);
void calls_take(struct perf_state *state, const struct moment *moment);
/** The window's end: close all books. */
void calls_end(struct perf_state *state, uint64_t now_ns);

#endif
