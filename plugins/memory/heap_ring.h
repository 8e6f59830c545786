/* SPDX-License-Identifier: MIT */
/* Reading the sampler's records: each is copied, then checked; the target may have written anything. */
#ifndef MEMORY_HEAP_RING_H
#define MEMORY_HEAP_RING_H

#include <stdint.h>

#include "heap_segment.h"

struct heap_reader {
	const struct heap_file *file;
	uint64_t tails[HEAP_RINGS];
	uint64_t stalled_ns[HEAP_RINGS]; /* since when a place is reserved and not filled; 0: not */
	uint64_t broken;                 /* records that made no sense, and places never filled */
	_Alignas(8) uint8_t record[sizeof(struct heap_alloc) + HEAP_STACK_MAX + 8];
};

/** What the records are given to. Both texts are valid until return. */
struct heap_sink {
	void *ctx;
	void (*alloc)(void *ctx, const struct heap_alloc *alloc,
		      const void *stack); /* HEAP_ALLOC and HEAP_STACK */
	void (*freed)(void *ctx, const struct heap_free *freed);
};

void heap_reader_init(struct heap_reader *reader, const struct heap_file *file);

/**
 * Everything that is there. now_ns: to notice a place that is never filled. Returns how full the fullest ring was, in percent.
 */
unsigned heap_reader_drain(struct heap_reader *reader, const struct heap_sink *sink, uint64_t now_ns);

/** Records for which a ring had no room, so far. */
uint64_t heap_reader_lost(const struct heap_reader *reader);

#endif
