/* SPDX-License-Identifier: MIT */
/*
 * Events that are counted, not sampled: one for each counter and place. A place is a thread of the target, whose events what it
 * creates inherits; or a CPU, where the target is a control group or the whole machine. Groups are those in braces, and hardware
 * events that make a ratio (instructions per cycle, a miss rate): the kernel runs a group's members at the same time when it
 * has too few counters and takes turns; the count is then scaled from the time that it ran. Members are read one by one:
 * inherited events cannot be read as a group on every kernel.
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
	char name[96];    /* as asked for, where spec.name would borrow a word of a group */
	int32_t leader;   /* counter that leads its group, -1: none or itself */
	bool is_explicit; /* the group was asked for */
	bool is_parted;   /* it did not fit into its group */
	bool is_off;      /* this machine lacks it */
	int *fds;         /* one for each place, -1: none */
	uint64_t past[3]; /* value, enabled, running of a control group that was made anew since */
};

/** perf_event_open(2); returns a descriptor or -errno. */
typedef int (*counters_open_fn)(void *ctx, const struct perf_event_attr *attr, int32_t pid, int32_t cpu,
				int group_fd, unsigned long flags);
/** read(2) of one; false: it failed. */
typedef bool (*counters_read_fn)(void *ctx, int fd, struct counter_value *ret);

struct counters {
	struct counter items[COUNTERS_MAX];
	uint32_t count;
	size_t place_count;
	size_t late; /* threads found late, taken to have inherited */
	bool kernel;
	bool user;
	char missing[512]; /* names of what the machine lacks, "a, b" */
	char parted[256];  /* names of what did not fit into the group it was asked in */
	counters_open_fn open;
	counters_read_fn read;
	void *ctx;
};

void counters_init(struct counters *counters);

/**
 * Add a list of words, which may have braces around some: {cycles,instructions}:u. `option` is whose list it is. A word that
 * is there already is left out. Words are borrowed. Returns 0, or refusal->status.
 */
int counters_parse(struct counters *counters, const char *option, const char *const *words,
		   uint32_t word_count, struct perf_refusal *refusal);

/** After the last list: who makes a ratio with whom, where no braces say so. */
void counters_pair(struct counters *counters);

/** Open where `attach` is, disabled. Returns 0 or refusal->status; what the machine lacks is no error. */
int counters_open(struct counters *counters, const struct perf_attach *attach, struct perf_refusal *refusal);

/** The control group was made anew: keep what was counted, and open and switch on in the new one. */
void counters_renew(struct counters *counters, const struct perf_attach *attach);

void counters_control(const struct counters *counters, bool is_on);

/** The sum over the threads. False when it counts nothing here. */
bool counters_sum(const struct counters *counters, uint32_t counter, struct counter_value *ret);

/** A row for the sampled event, then one for each counter that this machine has. Returns 0 or the writer's error. */
int counters_write(const struct counters *counters, const struct perf_event *sampled,
		   const struct counter_value *total, const struct pfc_writer *writer);

void counters_close(struct counters *counters);

#endif
