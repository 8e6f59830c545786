/* SPDX-License-Identifier: MIT */
/* Places in an ascending list of addresses, as the requests to readers of names hold them. */
#ifndef CORE_STACKS_ADDRESSES_H
#define CORE_STACKS_ADDRESSES_H

#include <stdint.h>

/** The first address >= value; count where all are below. */
static inline uint32_t addresses_first(const uint64_t *addresses, uint32_t count, uint64_t value)
{
	uint32_t low = 0;
	uint32_t high = count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (addresses[middle] < value) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

#endif
