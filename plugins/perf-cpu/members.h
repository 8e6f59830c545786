/* SPDX-License-Identifier: MIT */
/*
 * Which processes are the target's, where whatever runs on a CPU is sampled. Known at the start, then by the kernel's records of
 * forks. A sample may be read before the record of the fork that made its process, when they came from different CPUs: then
 * /proc tells whose child it is.
 */
#ifndef PERF_CPU_MEMBERS_H
#define PERF_CPU_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct members {
	uint8_t *state; /* by process number; NULL: everybody belongs */
	uint32_t limit;
	uint64_t others; /* samples of processes that do not belong */
};

/** These processes belong. Returns 0 or -ENOMEM. */
int members_init(struct members *members, const int32_t *pids, size_t count);

/** A process was made. */
void members_fork(struct members *members, int32_t pid, int32_t parent_pid);

/** Whether a sample's process belongs; counts it when not. */
bool members_has(struct members *members, int32_t pid);

void members_finish(struct members *members);

#endif
