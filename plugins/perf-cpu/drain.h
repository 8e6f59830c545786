/* SPDX-License-Identifier: MIT */
/* The window's loop: rings -> records -> the stack service, in place. Counts what happens on the way. */
#ifndef PERF_CPU_DRAIN_H
#define PERF_CPU_DRAIN_H

#include <profcore/ext/draft/stacks.h>
#include <profcore/profcore.h>

#include <stdbool.h>
#include <stdint.h>

#include "lib/perf/attach.h"
#include "filter.h"
#include "lib/perf/populate.h"
#include "lib/perf/ring.h"
#include "members.h"

struct adapt;
struct perf_cpu;
struct counters;

struct drain {
	const struct pfc_host *host;
	const struct pfc_stacks *stacks;
	struct pfc_stacks_session *session;
	struct perf_attach *attach;         /* the events that are on */
	struct adapt *adapt;                /* NULL: never switches them */
	struct counters *counters;          /* NULL: none */
	int (*step)(struct perf_cpu *self); /* after each tick; NULL: none */
	struct perf_cpu *self;
	struct perf_ring *rings;
	uint32_t ring_count;
	uint64_t lost;    /* by the kernel's own records */
	uint64_t garbled; /* records that made no sense */
	uint64_t compat;  /* samples of 32-bit code, whose user stack was not walked */
	struct perf_populate populate;
	struct filter filter;
	struct members members;
	bool leave_holes;
	uint64_t seen;      /* samples of the target */
	uint64_t throttled; /* times that the kernel paused an event */
	uint64_t weight;    /* sum over the samples */
	uint64_t last_drain_ns;
	uint64_t longest_gap_ns; /* between two looks at the rings: what they must hold */
	uint64_t last_tick_ns;
	uint32_t renewals; /* restarts of the target's container */
	bool warned;       /* of throttling */
};

/** Read all rings once. Returns 0 or the stack service's error. */
int drain_all(struct drain *drain);

/** Read and tick until host->stop_fd is readable. Returns 0, the stack service's error, or PFC_EIO. */
int drain_until_stop(struct drain *drain);

#endif
