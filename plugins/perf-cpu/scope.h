/* SPDX-License-Identifier: MIT */
/*
 * On what the events are opened. A target that is a control group: on the group. The whole machine: on the CPUs. Else on each
 * thread, unless there are more threads than descriptors: then on the CPUs, and what is not the target's is dropped (members.h).
 */
#ifndef PERF_CPU_SCOPE_H
#define PERF_CPU_SCOPE_H

#include "perf_cpu.h"

/** Choose and open self->attach, and say so. Returns 0; else refusal->status, or with that 0: what host->fail returned. */
int32_t scope_open(struct perf_cpu *self, struct perf_refusal *refusal);

/** Open another set in the scope that was chosen. Returns likewise. */
int32_t scope_open_like(struct perf_cpu *self, struct perf_attach *attach, enum perf_scope scope,
			struct perf_refusal *refusal);

#endif
