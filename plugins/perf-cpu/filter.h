/* SPDX-License-Identifier: MIT */
/* Samples of threads with certain names only. A name is looked up when a thread is first seen, and again each second. */
#ifndef PERF_CPU_FILTER_H
#define PERF_CPU_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#define FILTER_SLOTS 1024

struct filter {
	const char *const *patterns; /* as of a shell: worker-*; borrowed. None: every thread passes */
	uint32_t pattern_count;
	uint64_t dropped; /* samples of other threads */
	uint64_t unnamed; /* samples of threads that had gone before their name was known: dropped too */
	struct {
		int32_t tid; /* 0: empty */
		bool passes;
		uint64_t looked_ns;
	} seen[FILTER_SLOTS];
};

/** Whether a sample of this thread is wanted; counts it when not. */
bool filter_passes(struct filter *filter, int32_t pid, int32_t tid, uint64_t time_ns);

#endif
