/* SPDX-License-Identifier: MIT */
/* The heap by probes: what its files share. */
#ifndef MEMORY_PROBES_WAY_H
#define MEMORY_PROBES_WAY_H

#include "../heap.h"
#include "budget.h"
#include "fit.h"
#include "follow.h"
#include "probes.h"

/** Counters at one moment. */
struct probe_counts {
	uint64_t values[COUNT_COUNTERS];
};

/** Samples of a slice, kept until it is known for how much they stand. */
struct slice {
	uint8_t *records;
	size_t used, room;
	uint64_t lost;
	bool with_frees;
	struct probe_counts began, ended;
	double began_cpu_ns, began_raw_ns; /* and CPU time, and cost by calibration */
	double cpu_ns, raw_ns;             /* in it, once it ended */
};

struct heap_probed {
	struct heap *heap;
	struct probes probes;
	struct follow follow;
	struct probe_costs costs;
	struct budget budget;
	struct fit fit;
	struct probe_counts first; /* at T0 */
	struct slice slice;
	uint32_t slices; /* how often they were off in between, plus one */
	bool is_on;
	bool was_on; /* at the window's end */
	uint32_t attaches;
	bool has_begun;
	bool is_whole;     /* so far nothing was missed, for long enough to take records as they come */
	bool is_unsettled; /* a slice ended, and it is not known yet for how long it stands */
	double covers_from_net_ns; /* from here on nothing is represented yet */
	uint64_t covers_from_ns;
	double deathless_net_ns; /* what slices without probes on frees stand for, since one with them */
	uint64_t on_since_ns, on_ns;
	double counted_bytes, counted_calls, counted_frees; /* of slices, each times what it stands for */
	double calls_per_s, predicted_pct;                  /* as counted before the window */
	uint64_t attach_ns, attach_ns_max;                  /* how long it took to put the probes in place */
};

/* ---- slices.c ---- */
/** Put the probes in place; they only count yet. */
void slices_start(struct heap_probed *probed);
/** The window begins. */
void slices_begin(struct heap_probed *probed, uint64_t now_ns);
/** Look at the account, and switch if it says so. */
void slices_look(struct heap_probed *probed, uint64_t now_ns);
void slices_stop(struct heap_probed *probed, uint64_t now_ns);
/** After the window: what the last one stands for. */
void slices_settle(struct heap_probed *probed);
/** A record of the ring. */
void slices_record(void *ctx, const struct probe_record *record, const void *stack);

struct probe_counts probe_counts_now(const struct heap_probed *probed);

#endif
