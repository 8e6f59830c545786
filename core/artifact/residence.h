/* SPDX-License-Identifier: MIT */
/*
 * How much of a mapped file stays in memory: what was viewed is let go, oldest first, beyond a budget. A page
 * that is still in use comes back when it is touched, so this is invisible but for RSS.
 *
 * Counted in spans of 2 MiB: a fault may map all of the page cache's folio around it (Linux 6.18 does;
 * earlier ones map 64 KiB), and a folio reaches no further than its page table.
 */
#ifndef CORE_ARTIFACT_RESIDENCE_H
#define CORE_ARTIFACT_RESIDENCE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define RESIDENCE_SPAN_BYTES (2u << 20)
#define RESIDENCE_SPANS      8

struct residence {
	char *map;
	uint64_t map_bytes;
	pthread_mutex_t lock;
	uint64_t spans[RESIDENCE_SPANS]; /* a ring of span numbers */
	uint32_t oldest;
	uint32_t count;
};

/** `map` and `map_bytes` are set once the file is mapped. */
void residence_init(struct residence *residence);
/** [any] A range of the file is about to be used. */
void residence_touch(struct residence *residence, uint64_t offset, uint64_t bytes);
/** [any] Let go of a range now. */
void residence_release(struct residence *residence, uint64_t offset, uint64_t bytes);
void residence_finish(struct residence *residence);

#endif
