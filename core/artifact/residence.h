/* SPDX-License-Identifier: MIT */
/*
 * How much of a mapped file stays in memory: ranges that were viewed are let go, oldest first, once they exceed a budget.
 * A page that is still in use comes back when it is touched, so this is invisible but for RSS.
 */
#ifndef CORE_ARTIFACT_RESIDENCE_H
#define CORE_ARTIFACT_RESIDENCE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define RESIDENCE_RANGES 128
#define RESIDENCE_BYTES  (8u << 20)

struct residence {
	char *map;
	pthread_mutex_t lock;
	struct {
		uint64_t offset;
		uint64_t bytes;
	} ranges[RESIDENCE_RANGES]; /* a ring */
	uint32_t oldest;
	uint32_t count;
	uint64_t bytes;
};

/** `map` is set once the file is mapped. */
void residence_init(struct residence *residence);
/** [any] A range is about to be used. */
void residence_touch(struct residence *residence, uint64_t offset, uint64_t bytes);
/** [any] Let go of a range now. */
void residence_release(struct residence *residence, uint64_t offset, uint64_t bytes);
void residence_finish(struct residence *residence);

#endif
