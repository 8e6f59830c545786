/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The log-linear histogram of durations: 8 buckets for each power of two, so a bucket is at most 1/8 of its lower bound wide.
 * Plain arithmetic without types of any library: the BPF programs use the same lines.
 */
#ifndef STRACE_BUCKETS_H
#define STRACE_BUCKETS_H

#define BUCKET_COUNT 320u /* up to 2^42 ns, 73 minutes; what is longer goes to the last */

/* Position of the highest set bit; value > 0. Clang 14 has no instruction for it in BPF. */
static inline __attribute__((always_inline)) unsigned bucket_log2(unsigned long long value)
{
	unsigned shift, result;

	result = (value > 0xffffffffull) << 5;
	value >>= result;
	shift = (value > 0xffff) << 4;
	value >>= shift;
	result |= shift;
	shift = (value > 0xff) << 3;
	value >>= shift;
	result |= shift;
	shift = (value > 0xf) << 2;
	value >>= shift;
	result |= shift;
	shift = (value > 0x3) << 1;
	value >>= shift;
	result |= shift;
	return result | (unsigned)(value >> 1);
}

static inline __attribute__((always_inline)) unsigned bucket_of(unsigned long long ns)
{
	unsigned log, index;

	if (ns < 8) {
		return (unsigned)ns;
	}
	log = bucket_log2(ns);
	index = (log - 2) * 8 + (unsigned)((ns >> (log - 3)) & 7);
	return index < BUCKET_COUNT ? index : BUCKET_COUNT - 1;
}

/* The least duration of a bucket. The next bucket's is its end. */
static inline unsigned long long bucket_low(unsigned index)
{
	return index < 8 ? index : (8ull + index % 8) << (index / 8 - 1);
}

#endif
