/* SPDX-License-Identifier: MIT */
/* One stage: what its parts share, in the order of its life: settings.c, prepare.c, drain.c (the window), finish.c. */
#ifndef PERF_CPU_H
#define PERF_CPU_H

#include <profcore/ext/draft/stacks.h>
#include <profcore/profcore.h>

#include "adapt.h"
#include "callgraph.h"
#include "counters.h"
#include "drain.h"
#include "lib/perf/attach.h"
#include "lib/perf/event.h"
#include "lib/perf/ring.h"

#define PORT "stacks"

struct perf_cpu {
	const struct pfc_host *host;
	struct perf_event_wish wish;
	struct callgraph callgraph;
	struct counters wanted; /* the list of which the first that the machine has is sampled */
	struct counters counters;
	struct perf_event event;
	struct perf_ring *rings;
	uint32_t ring_count;
	char *group; /* folder of the target's control group; NULL */
	struct perf_attach attach;
	struct perf_attach
		small; /* the same with smaller copies of the stacks; empty where that is not done */
	struct perf_attach wide; /* on the CPUs, in reserve (widen.h); empty where that is not done */
	struct adapt adapt;
	struct drain drain;
	uint64_t own_cpu_ns;    /* that this process used in the window: rings, walks, writing */
	uint64_t weight_before; /* of the samples taken before the events on the CPUs took over */
	int64_t max_rate;       /* kernel.perf_event_max_sample_rate before the window */
};

/** The option's value; nothing in it where it has none. */
struct pfc_value settings_value(const struct pfc_host *host, const char *key);

/** Read the options. Returns 0 or what host->fail returned. */
int32_t settings_read(struct perf_cpu *self);

/** Choose the event, by really opening it, and read the lists of counters. Returns 0 or what host->fail returned. */
int32_t settings_probe(struct perf_cpu *self);

/** The target as it is now, or a failure that says so. */
int32_t prepare_target(const struct perf_cpu *self, struct pfc_target *ret);

/** Rings, events, counters, the stack service. Returns 0 or what host->fail returned. */
int32_t prepare_all(struct perf_cpu *self);

/** Losses, facts, counters, and the end of the artifact. Returns 0 or what host->fail returned. */
int32_t finish_all(struct perf_cpu *self);

int32_t perf_cpu_fail(const struct perf_cpu *self, const struct perf_refusal *refusal);
void perf_cpu_log(const struct perf_cpu *self, uint32_t level, const char *text);

#endif
