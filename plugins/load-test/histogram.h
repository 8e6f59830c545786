/* SPDX-License-Identifier: MIT */
/*
 * A log-linear histogram of durations: fixed memory, no allocation when adding. Below 2048 ns each value has its own
 * bucket; above, a bucket is at most 1/1024 of its value wide, so that a percentile is off by 0.05 % at most.
 * Count, mean and maximum are exact.
 */
#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

#include <stdint.h>

/* Values from 2^42 ns (73 minutes) on share the last bucket; the longest timeout is far below. */
#define HISTOGRAM_SUB_BITS 11
#define HISTOGRAM_MAX_BITS 42
#define HISTOGRAM_HALF     (1u << (HISTOGRAM_SUB_BITS - 1))
#define HISTOGRAM_BUCKETS  (2 * HISTOGRAM_HALF + (HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS) * HISTOGRAM_HALF)

struct histogram {
	uint64_t count;
	uint64_t max_ns;
	double sum_ns;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_reset(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t value_ns);

/** The nearest-rank quantile, 0 < q <= 1: the least value that at least q of all are not above. 0 when empty. */
uint64_t histogram_quantile(const struct histogram *histogram, double q);

double histogram_mean(const struct histogram *histogram);

#endif
