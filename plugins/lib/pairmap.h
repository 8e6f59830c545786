/* SPDX-License-Identifier: MIT */
/* A hash map from 64-bit keys (often two row numbers) to 32-bit values. It only grows. */
#ifndef PLUGINS_LIB_PAIRMAP_H
#define PLUGINS_LIB_PAIRMAP_H

#include <stdbool.h>
#include <stdint.h>

/** Zero-initialise; free with pairmap_finish. */
struct pairmap {
	struct pairmap_slot {
		uint64_t key;
		uint32_t value;
		uint32_t used;
	} * slots;
	uint32_t room; /* a power of two, or 0 */
	uint32_t count;
};

static inline uint64_t pairmap_key(uint32_t high, uint32_t low)
{
	return (uint64_t)high << 32 | low;
}

/** Mix all bits of a key into all bits of the result. */
uint64_t pairmap_mix(uint64_t key);

/**
 * The value of a key, put in as `missing` when it was not there.
 *
 * Returns: where the value is, valid until the next call; NULL when memory ran out. *ret_new may be NULL.
 */
uint32_t *pairmap_at(struct pairmap *map, uint64_t key, uint32_t missing, bool *ret_new);

void pairmap_finish(struct pairmap *map);

#endif
