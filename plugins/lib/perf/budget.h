/* SPDX-License-Identifier: MIT */
/* Descriptors: what events on many threads need, and what this process may have. Known before anything is opened. */
#ifndef LIB_PERF_BUDGET_H
#define LIB_PERF_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "refusal.h"

/** The descriptors that the process may open, after the limit was raised to `wanted` as far as that is allowed. */
uint64_t perf_budget_limit(uint64_t wanted);

/** What an event on each of these threads and CPUs needs, with what the process has open besides. */
uint64_t perf_budget_wanted(size_t threads, uint32_t cpus, size_t elsewhere);

/** Returns 0, or refusal->status when they are more than the limit. */
int perf_budget_check(size_t threads, uint32_t cpus, size_t elsewhere, struct perf_refusal *refusal);

#endif
