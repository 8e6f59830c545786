/* SPDX-License-Identifier: MIT */
/*
 * How much of the user stack each sample copies. A size is fixed when an event is opened, so there are two sets of events:
 * one that copies the most the kernel gives, one that copies ADAPT_SMALL_BYTES. The window begins with the large one; when
 * the walks show that the small one is enough, it takes over; when a walk runs into the end of a small copy, the large one
 * comes back for good. Both sets are inherited by new threads, so none is missed, whichever is on.
 */
#ifndef PERF_CPU_ADAPT_H
#define PERF_CPU_ADAPT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/perf/attach.h"
#include "drain.h"

/* 24 KiB held every stack of a tokio server whose deepest used 19 KiB; 16 KiB cut one in eight. */
#define ADAPT_SMALL_BYTES (24u * 1024)

struct adapt {
	struct perf_attach *large;
	struct perf_attach *small; /* NULL: the size is fixed */
	struct drain *drain;
	uint64_t start_ns;
	uint64_t complete_before; /* walks at the switch to small */
	uint64_t cut_before;      /* by the end of the copy, holes aside */
	uint32_t switches;
	bool is_settled;
};

/** Look at the walks so far and switch if they say so. Call it after each tick. Returns 0 or the stack service's error. */
int adapt_step(struct adapt *adapt, uint64_t now_ns);

/**
 * For a test: the decision alone. complete and cut count the walks since the last switch, max_bytes is the most that any
 * needed.
 */
enum adapt_verdict {
	ADAPT_STAY,
	ADAPT_SHRINK,
	ADAPT_GROW,
	ADAPT_SETTLE, /* stay, and ask no more */
};

enum adapt_verdict adapt_decide(bool is_small, uint64_t complete, uint64_t cut, uint64_t max_bytes,
				uint64_t passed_ns);

#endif
