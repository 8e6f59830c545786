/* SPDX-License-Identifier: MIT */
/*
 * Samples that wait: for the target's events to catch up with them, and to be put in order of time. Bounded; no allocation
 * per sample once warm.
 */
#ifndef CORE_STACKS_PENDING_H
#define CORE_STACKS_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include <profcore/ext/draft/stacks.h>

#include "stacks/cfi.h"

/** Registers and a piece of stack that could not be walked yet: a mapping may still be announced. */
struct pending_stack {
	uint64_t registers[CFI_REGISTERS];
	uint32_t known;
	uint64_t bytes;
	uint8_t data[];
};

/** Flags of ours beside enum pfc_stack_flags. */
enum pending_flags {
	PENDING_WALKED =
		1 << 16, /* user addresses come from unwind(): adjusted, and `end` says how complete */
};

struct pending {
	uint64_t time_ns, weight;
	uint64_t ips_at; /* in the queue's ips: kernel, then user */
	int32_t pid, tid, cpu;
	uint32_t flags; /* enum pfc_stack_flags */
	uint32_t kernel_count, user_count;
	uint32_t end;               /* enum unwind_end, of a walked one */
	uint64_t space_id;          /* the space it was walked in */
	struct pending_stack *held; /* owned; NULL: none */
};

struct pending_queue {
	struct pending *rows;
	uint32_t count, room;
	uint64_t *ips, *spare; /* two of equal size: what stays is copied over */
	uint64_t ip_count, ip_room;
	uint64_t held_bytes;
	bool is_sorted;
};

/** Copy a sample in. 0; PFC_ENOSPC: full; PFC_ENOMEM. Markers of the perf callchain format are left out. */
int pending_add(struct pending_queue *queue, const struct pfc_stack_sample *sample);

/** Whether a stack of so many bytes may be held; more would be too much memory. */
bool pending_may_hold(const struct pending_queue *queue, uint64_t bytes);

/** Give the newest row a stack to hold. [moved] */
void pending_hold(struct pending_queue *queue, struct pending_stack *stack);

/** Order by time; equal times stay as they came. */
void pending_sort(struct pending_queue *queue);

/** Forget the first `count` rows. */
void pending_drop(struct pending_queue *queue, uint32_t count);

void pending_finish(struct pending_queue *queue);

#endif
