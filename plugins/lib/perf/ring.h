/* SPDX-License-Identifier: MIT */
/*
 * One perf ring: the pages that the kernel fills for one CPU. The ring belongs to a dummy event of our own process, so that
 * it (and its wake-ups) outlives every thread of the target; the sampling events of that CPU write into it.
 */
#ifndef LIB_PERF_RING_H
#define LIB_PERF_RING_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>

#include "refusal.h"

struct perf_ring {
	int fd; /* pollable; -1 when not open */
	int32_t cpu;
	void *map; /* control page, then data */
	uint64_t map_bytes;
	struct perf_event_mmap_page *page;
	const uint8_t *data;
	uint64_t data_bytes; /* a power of two */
	uint64_t head;       /* end of what this drain reads */
	uint64_t tail;       /* start of what was not read yet */
	uint64_t published;  /* the tail that the kernel knows */
	uint64_t corrupt;    /* records that made no sense: the rest of that drain was thrown away */
	uint64_t lost;       /* for the caller, as the records say */
	uint64_t *bounce;    /* 64 KiB: a record that wraps is put together here */
};

/**
 * Open the ring of a CPU, with at least `bytes` of data. When locked memory is short, it takes what it can get, down to
 * 64 KiB: compare data_bytes.
 *
 * Returns: 0, or refusal->status.
 */
int perf_ring_open(int32_t cpu, uint64_t bytes, struct perf_ring *ret, struct perf_refusal *refusal);

/** For a test: a ring over memory of the caller. data_bytes is a power of two, a multiple of 8. */
int perf_ring_over(struct perf_event_mmap_page *page, const void *data, uint64_t data_bytes,
		   struct perf_ring *ret);

/** Begin a drain: everything that is there now. */
void perf_ring_begin(struct perf_ring *ring);

/**
 * The next record, contiguous and 8-byte aligned, or NULL at the end. Valid until the next call; the space of earlier ones
 * goes back to the kernel now and then, and all of it at the end.
 */
const struct perf_event_header *perf_ring_next(struct perf_ring *ring);

void perf_ring_close(struct perf_ring *ring);

#endif
