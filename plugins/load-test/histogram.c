/* SPDX-License-Identifier: MIT */
#include "histogram.h"

#include <string.h>

static uint32_t bucket_of(uint64_t value_ns)
{
	uint32_t shift;

	if (value_ns < 2 * HISTOGRAM_HALF) {
		return (uint32_t)value_ns;
	}
	if (value_ns >> HISTOGRAM_MAX_BITS) {
		return HISTOGRAM_BUCKETS - 1;
	}
	/* Keep the top HISTOGRAM_SUB_BITS bits, the first of which is 1 and says nothing. */
	shift = 64 - (uint32_t)__builtin_clzll(value_ns) - HISTOGRAM_SUB_BITS;
	return (shift + 1) * HISTOGRAM_HALF + (uint32_t)(value_ns >> shift) - HISTOGRAM_HALF;
}

static uint64_t bucket_middle(uint32_t bucket)
{
	uint32_t shift;
	uint64_t low;

	if (bucket < 2 * HISTOGRAM_HALF) {
		return bucket;
	}
	shift = bucket / HISTOGRAM_HALF - 1;
	low = (uint64_t)(bucket % HISTOGRAM_HALF + HISTOGRAM_HALF) << shift;
	return low + ((1ULL << shift) >> 1);
}

void histogram_reset(struct histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
}

void histogram_add(struct histogram *histogram, uint64_t value_ns)
{
	histogram->buckets[bucket_of(value_ns)]++;
	histogram->count++;
	histogram->sum_ns += (double)value_ns;
	if (value_ns > histogram->max_ns) {
		histogram->max_ns = value_ns;
	}
}

uint64_t histogram_quantile(const struct histogram *histogram, double q)
{
	double wanted = q * (double)histogram->count;
	uint64_t rank = (uint64_t)wanted;
	uint64_t seen = 0;
	uint64_t middle;
	uint32_t i;

	/* The next whole rank, but not because 0.99 * 100 is 99.00000000000001. */
	if (wanted - (double)rank > 1e-6) {
		rank++;
	}
	if (rank == 0) {
		rank = 1;
	}
	if (rank >= histogram->count) {
		return histogram->max_ns;
	}
	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen >= rank) {
			break;
		}
	}
	middle = bucket_middle(i);
	return middle < histogram->max_ns ? middle : histogram->max_ns;
}

double histogram_mean(const struct histogram *histogram)
{
	return histogram->count > 0 ? histogram->sum_ns / (double)histogram->count : 0;
}
