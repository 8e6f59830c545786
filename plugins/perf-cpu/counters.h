/* SPDX-License-Identifier: MIT */
/*
 * Events that are counted, not sampled: one for each thread and counter, inherited by what the threads create. Hardware
 * events that make a ratio (instructions per cycle, a miss rate) share a group, so that the kernel runs them at the same
 * time when it has too few counters and takes turns; the count is then scaled from the time that it ran.
 *
 * A thread that was found late is taken to have inherited: nothing tells the other case. Their number is a fact.
 */
#ifndef PERF_CPU_COUNTERS_H
#define PERF_CPU_COUNTERS_H

#include <profcore/profcore.h>

#include <stdbool.h>
#include <stdint.h>

#include "lib/perf/attach.h"
#include "lib/perf/spec.h"

#define COUNTERS_MAX 32

/** What read(2) gives of a counter. */
struct counter_value {
	uint64_t value;
	uint64_t enabled_ns;
	uint64_t running_ns; /* less than enabled_ns: it took turns; 0: it never ran */
};

struct counter {
	struct perf_event_spec spec;
	int32_t partner; /* counter of the same group that is its leader, or -1 */
	bool is_off;     /* this machine lacks it */
	int *fds;        /* one for each thread, -1: none */
};

/** perf_event_open(2) with a group; returns a descriptor or -errno. */
typedef int (*counters_open_fn)(void *ctx, const struct perf_event_attr *attr, int32_t tid, int group_fd);
/** read(2) of one; false: it failed. */
typedef bool (*counters_read_fn)(void *ctx, int fd, struct counter_value *ret);

struct counters {
	struct counter items[COUNTERS_MAX];
	uint32_t count;
	size_t thread_count;
	size_t late; /* threads found late, taken to have inherited */
	bool kernel;
	char missing[256]; /* names of what the machine lacks, "a, b" */
	counters_open_fn open;
	counters_read_fn read;
	void *ctx;
};

/** The list of words. Returns 0, or refusal->status. */
int counters_parse(struct counters *counters, const char *const *words, uint32_t word_count,
		   struct perf_refusal *refusal);

/** Who makes a ratio with whom: sets `partner`. */
void counters_pair(struct counters *counters);

/** Open on the threads that `attach` found, disabled. Returns 0 or refusal->status; what the machine lacks is no error. */
int counters_open(struct counters *counters, const struct perf_attach *attach, struct perf_refusal *refusal);

void counters_control(const struct counters *counters, bool is_on);

/** The sum over the threads. False when it counts nothing here. */
bool counters_sum(const struct counters *counters, uint32_t counter, struct counter_value *ret);

/** A row for the sampled event, then one for each counter that this machine has. Returns 0 or the writer's error. */
int counters_write(const struct counters *counters, const struct perf_event *sampled,
		   const struct counter_value *total, const struct pfc_writer *writer);

void counters_close(struct counters *counters);

#endif
