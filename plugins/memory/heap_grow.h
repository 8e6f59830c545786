/* SPDX-License-Identifier: MIT */
/* Arrays that grow, and a hash, for the parts of the heap's model. */
#ifndef MEMORY_HEAP_GROW_H
#define MEMORY_HEAP_GROW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static inline uint64_t heap_mix(uint64_t x)
{
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ULL;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ULL;
	return x ^ x >> 32;
}

/** Room for one more than `count`, up to `most`; false: there is none. */
static inline bool heap_grow(void **array, uint32_t *room, uint32_t count, uint32_t most, size_t size)
{
	uint32_t wanted = *room ? 2 * *room : 256;
	void *grown;

	if (count < *room) {
		return true;
	}
	if (count >= most) {
		return false;
	}
	wanted = wanted < most ? wanted : most;
	grown = realloc(*array, wanted * size);
	if (!grown) {
		return false;
	}
	*array = grown;
	*room = wanted;
	return true;
}

#endif
