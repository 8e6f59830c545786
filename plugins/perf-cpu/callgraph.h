/* SPDX-License-Identifier: MIT */
/* How callers are found: the choice among the call-graph modes, and what each asks of the events and the rings. */
#ifndef PERF_CPU_CALLGRAPH_H
#define PERF_CPU_CALLGRAPH_H

#include <profcore/ext/draft/stacks.h>
#include <profcore/profcore.h>

#include <stdbool.h>
#include <stdint.h>

#include "lib/perf/event.h"

enum callgraph_mode {
	CALLGRAPH_NONE, /* innermost frame only */
	CALLGRAPH_FP,   /* the kernel follows frame pointers */
	CALLGRAPH_LBR,  /* the CPU's record of calls */
	CALLGRAPH_DWARF /* registers and a copy of the stack, walked by call frame information while recording */
};

struct callgraph {
	enum callgraph_mode mode;
	bool is_auto;
	bool is_fixed;        /* stack_bytes was asked for: do not adapt it */
	uint32_t stack_bytes; /* of a copy, to begin with */
	uint64_t ring_bytes;  /* for each CPU, as asked for; 0: callgraph_ring_bytes decides */
	char note[200];       /* why auto did not take dwarf; "" */
};

/** Read the options call_graph, stack_bytes and ring. `stacks` may be NULL. Returns 0 or what host->fail returned. */
int32_t callgraph_choose(const struct pfc_host *host, const struct pfc_stacks *stacks, struct callgraph *ret);

/** Give up dwarf, as auto may: why is for the log. */
void callgraph_fall_back(struct callgraph *callgraph, const char *why);

/** What the mode asks of the event. */
void callgraph_wish(const struct callgraph *callgraph, struct perf_event_wish *wish);

/** How large a ring for each of so many CPUs has to be. */
uint64_t callgraph_ring_bytes(const struct callgraph *callgraph, const struct perf_event *event, size_t cpus);

/** "dwarf", "fp", "lbr", "none". */
const char *callgraph_name(const struct callgraph *callgraph);

#endif
