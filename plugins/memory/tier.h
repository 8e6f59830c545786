/* SPDX-License-Identifier: MIT */
/*
 * How the parts of this plugin plug in. A tier is one way to see memory: what the kernel shows of any process (resident),
 * page-fault stacks, mapping calls, a sampler in the target, probes. Each is asked in turn, in the order of the list in
 * plugin.c, and says in the capability plan what it will see, what not, and why.
 *
 * A tier that cannot work says so in the plan (plan_lacks) and returns PFC_OK from probe with `is_off` set: the others
 * go on. It fails only where the user asked for just this tier, or where nothing at all would be left.
 */
#ifndef MEMORY_TIER_H
#define MEMORY_TIER_H

#include <profcore/ext/draft/stacks.h>
#include <profcore/ext/draft/target.h>
#include <profcore/profcore.h>

#include <stdbool.h>
#include <stdint.h>

#include "plan.h"
#include "tables.h"

enum memory_mode { MODE_AUTO, MODE_RESIDENT, MODE_PRELOAD, MODE_UPROBES }; /* in the order of the manifest */

struct tier;
struct processes;

/** Someone who is told of each of the target's processes and mappings as they become known. */
struct process_watcher {
	void *ctx;
	void (*event)(void *ctx, const struct pfc_target_event *event); /* NULL: nobody */
};

/** What the tiers share. */
struct memory {
	const struct pfc_host *host;
	enum memory_mode mode;
	struct plan plan;
	struct tables tables;           /* profcore.memory/1, declared before any tier is prepared */
	struct process_watcher watcher; /* set in probe, told from prepare on */
	char lacks[256]; /* what was wanted and could not be had at all: the timeline is partial; "" */
	struct processes *processes; /* kept by the tier `resident`, which comes first */
	uint64_t sampler_bytes;      /* shared memory that the heap's sampler brought into the target */
	uint64_t t0_ns, t1_ns;
	struct tier *tiers;
	uint32_t tier_count;
};

/** The callbacks of a tier; NULL counts as done. `self` is what create gave. */
struct tier_calls {
	const char *name; /* lower_snake: part of fact names */

	/** Allocate; read options. Returns 0 or what host->fail gave. */
	int32_t (*create)(struct memory *memory, void **ret_self);

	/**
	 * Can this work here? Write a line of the plan (plan_sees, plan_lacks). Sets tier->is_off where it cannot; then no other
	 * callback but destroy follows.
	 */
	int32_t (*probe)(struct tier *tier);

	/** Everything that takes time. The target of a launched run is held and has not begun its exec. */
	int32_t (*prepare)(struct tier *tier);
	int32_t (*start)(struct tier *tier, uint64_t t0_ns);

	/**
	 * A descriptor to wait for in the window, -1 for none. Asked once, after start; `index` counts up from 0 until -1 comes.
	 */
	int (*fd)(struct tier *tier, uint32_t index);

	/** One of its descriptors is readable, or tick_ns passed. Must return soon: all tiers share one thread. */
	int32_t (*tick)(struct tier *tier, uint64_t now_ns);

	/** When it wants its next tick (CLOCK_MONOTONIC); UINT64_MAX: only when a descriptor is readable. */
	uint64_t (*due)(struct tier *tier);

	int32_t (*stop)(struct tier *tier, uint64_t t1_ns);

	/** Drain into outputs and tables, state facts. */
	int32_t (*finish)(struct tier *tier);
	void (*destroy)(struct tier *tier);

	/** Output ports of its own, NULL-terminated: stated absent, with tier->why_off, where the tier is off. */
	const char *const *ports;
};

/** A tier at work. */
struct tier {
	const struct tier_calls *calls;
	struct memory *memory;
	void *self;
	bool is_off;
	char why_off[256]; /* for the fact `absent` of its outputs */
};

/** The tiers, in their order. */
extern const struct tier_calls tier_resident; /* resident.c: /proc and control groups */
extern const struct tier_calls tier_faults;   /* faults.c: page-fault stacks */
extern const struct tier_calls tier_mapcalls; /* mapcalls.c: mmap and its kin */
extern const struct tier_calls
	tier_heap; /* heap.c: the allocator's view; the way to it depends on the mode */

/** Switch a tier off in probe: writes the line of the plan and why_off. Returns PFC_OK. */
int32_t tier_off(struct tier *tier, const char *what, const char *why, const char *remedy);

/** State that an output was not made. */
void tier_absent(const struct memory *memory, const char *port, const char *why);

static inline const struct pfc_host *tier_host(const struct tier *tier)
{
	return tier->memory->host;
}

#endif
