/* SPDX-License-Identifier: MIT */
/*
 * Short lives. An inherited event starts with a whole period to go, so what lives shorter than a period is never sampled: of a
 * program that made 750 processes a second, 2 % of the CPU time was seen. The events count it all, though; where the samples
 * fall far behind that count, events on the CPUs take over, which wait ready (scope = auto, where the kernel allows them).
 */
#ifndef PERF_CPU_WIDEN_H
#define PERF_CPU_WIDEN_H

#include "perf_cpu.h"

/** Open the events on the CPUs, disabled, where they could be needed. Never fails: without them all stays as it is. */
void widen_prepare(struct perf_cpu *self);

/** Look, and switch if it is time to. Called with each tick. Returns 0 or the stack service's error. */
int widen_step(struct perf_cpu *self);

/** For a test: whether samples that weigh so much are far behind what was counted. */
bool widen_is_due(uint64_t weight, uint64_t counted);

#endif
