/* SPDX-License-Identifier: MIT */
/*
 * Live objects beside the heap: pointers stay as they are. A pointer has its place in four neighbouring buckets of eight, so no
 * marks of what was removed are needed, and the collector can read the table while the target writes it.
 */
#include "sampler.h"

static uint64_t key_of(const void *p)
{
	return (uint64_t)process_state.slot << 48 | ((uint64_t)(uintptr_t)p & 0xffffffffffffULL);
}

static struct heap_bucket *bucket_of(struct heap_segment *segment, const void *p, uint32_t probe)
{
	struct heap_bucket *buckets = (struct heap_bucket *)(void *)((char *)segment + segment->buckets);
	uint64_t mask = (1ULL << segment->bucket_bits) - 1;

	return &buckets[(heap_bucket_index((uintptr_t)p, segment->bucket_bits) + probe) & mask];
}

/* A byte that has reached its end stays there: its objects are looked up, as all are in exhaustive mode. */
static void count_maybe(const void *p, bool up)
{
	uint8_t *at = &maybe[heap_maybe_index((uintptr_t)p)];
	uint8_t old = __atomic_load_n(at, __ATOMIC_RELAXED);

	while (old != 255 && (up || old != 0) &&
	       !__atomic_compare_exchange_n(at, &old, up ? old + 1 : old - 1, true, __ATOMIC_ACQ_REL,
					    __ATOMIC_RELAXED)) {
	}
}

bool live_insert(struct heap_segment *segment, const void *p, const struct heap_object_facts *live)
{
	for (uint32_t probe = 0; probe < HEAP_PROBES; probe++) {
		struct heap_bucket *bucket = bucket_of(segment, p, probe);

		for (uint32_t i = 0; i < HEAP_BUCKET_SLOTS; i++) {
			uint64_t empty = 0;

			if (__atomic_load_n(&bucket->key[i], __ATOMIC_RELAXED) != 0 ||
			    !__atomic_compare_exchange_n(&bucket->key[i], &empty, 1, false, __ATOMIC_ACQUIRE,
							 __ATOMIC_RELAXED)) {
				continue;
			}
			bucket->facts[i] = *live;
			__atomic_store_n(&bucket->key[i], key_of(p), __ATOMIC_RELEASE);
			count_maybe(p, true);
			return true;
		}
	}
	__atomic_fetch_add(&segment->live_full, 1, __ATOMIC_RELAXED);
	return false;
}

/* Only who frees the object takes its key away: a store will do. */
bool live_remove(struct heap_segment *segment, const void *p, struct heap_object_facts *ret)
{
	uint64_t key = key_of(p);

	for (uint32_t probe = 0; probe < HEAP_PROBES; probe++) {
		struct heap_bucket *bucket = bucket_of(segment, p, probe);

		for (uint32_t i = 0; i < HEAP_BUCKET_SLOTS; i++) {
			if (__atomic_load_n(&bucket->key[i], __ATOMIC_ACQUIRE) == key) {
				*ret = bucket->facts[i];
				__atomic_store_n(&bucket->key[i], 0, __ATOMIC_RELEASE);
				count_maybe(p, false);
				return true;
			}
		}
	}
	return false;
}
