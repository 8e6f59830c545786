/* SPDX-License-Identifier: MIT */
/*
 * Exhaustive mode: every call is counted where it is made, by stack, in counters of the thread's own; only a stack that is new
 * makes a record. A stack's identity is its frame pointers' way up, the innermost return address and the depth: code without
 * frame pointers is told apart by the last two alone. What it looks like is walked once, from a copy, by the collector.
 */
#include "sampler.h"

#include <x86intrin.h>

#define FRAMES_MAX   64
#define STACK_PROBES 32
#define DESCRIBED    1ULL /* low bit of a key: its record was written */

static void add(uint64_t *at, uint64_t value, bool is_shared)
{
	if (UNLIKELY(is_shared)) {
		__atomic_fetch_add(at, value, __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(at, *at + value, __ATOMIC_RELAXED);
	}
}

static void add_class(struct heap_class_count *class, uint64_t bytes, bool is_shared)
{
	add(&class->count, 1, is_shared);
	add(&class->bytes, bytes, is_shared);
}

static uint64_t blend(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

static uint64_t stack_key(const struct thread_state *thread, const struct caller *caller)
{
	uint64_t hash = blend(blend(process_state.slot, caller->ip), thread->stack_high - caller->sp);
	uint64_t frame = caller->bp;
	uint64_t below = caller->sp;

	for (uint32_t i = 0;
	     i < FRAMES_MAX && frame >= below && frame < thread->stack_high - 16 && frame % 8 == 0; i++) {
		const uint64_t *words = (const uint64_t *)(uintptr_t)frame;

		hash = blend(hash, words[1]);
		below = frame + 16;
		frame = words[0];
	}
	return (hash & ~DESCRIBED) | 2;
}

/* The stack's number; 0: the table is full. */
static uint32_t stack_number(struct heap_segment *segment, struct thread_state *thread, size_t size,
			     const struct caller *caller)
{
	uint64_t *keys = (uint64_t *)(void *)((char *)segment + segment->stack_keys);
	bool has_bounds = caller->sp >= thread->stack_low && caller->sp < thread->stack_high;
	uint64_t key = has_bounds ? stack_key(thread, caller)
				  : ((blend(process_state.slot, caller->ip) & ~DESCRIBED) | 2);
	uint32_t at = (uint32_t)(key >> 32);

	for (uint32_t i = 0; i < STACK_PROBES; i++, at++) {
		uint32_t number = at % HEAP_STACKS;
		uint64_t found = __atomic_load_n(&keys[number], __ATOMIC_RELAXED);

		if (number == 0) {
			continue;
		}
		if (LIKELY(found == (key | DESCRIBED))) {
			return number;
		}
		if (found == 0 && __atomic_compare_exchange_n(&keys[number], &found, key, false,
							      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			found = key;
		}
		if (found == key) { /* new, or the ring had no room for it */
			if (record_alloc(segment, thread,
					 &(struct sample){ HEAP_STACK, HEAP_SLACK_UNKNOWN, number, size,
							   now_ns() },
					 caller)) {
				__atomic_store_n(&keys[number], key | DESCRIBED, __ATOMIC_RELEASE);
			}
			return number;
		}
		if (found == (key | DESCRIBED)) {
			return number;
		}
	}
	__atomic_fetch_add(&segment->stacks_full, 1, __ATOMIC_RELAXED);
	return 0;
}

static struct heap_stat *stat_of(struct heap_segment *segment, const struct thread_state *thread,
				 uint64_t stack)
{
	struct heap_stat *stats = (struct heap_stat *)(void *)((char *)segment + segment->stats);

	return &stats[(uint64_t)(thread->shard % HEAP_SHARDS) * HEAP_STACKS + stack % HEAP_STACKS];
}

static struct heap_shard *shard_of(struct heap_segment *segment, const struct thread_state *thread)
{
	return (struct heap_shard *)(void *)((char *)segment + segment->shards) + thread->shard % HEAP_SHARDS;
}

static uint32_t log2_class(uint64_t value)
{
	uint32_t bits = value == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(value);

	return bits < HEAP_LOG2S ? bits : HEAP_LOG2S - 1;
}

void tally_alloc(struct heap_segment *segment, struct thread_state *thread, const void *p, size_t size,
		 const struct caller *caller)
{
	uint32_t stack = stack_number(segment, thread, size, caller);
	struct heap_stat *stat = stat_of(segment, thread, stack);
	struct heap_shard *shard = shard_of(segment, thread);
	bool is_shared = thread->shares_shard;

	live_insert(segment, p, &(struct heap_object_facts){ stack, size, __rdtsc() });
	add(&stat->allocs, 1, is_shared);
	add(&stat->alloc_bytes, size, is_shared);
	add_class(&shard->sizes[log2_class(size)], size, is_shared);
}

void tally_free(struct heap_segment *segment, struct thread_state *thread,
		const struct heap_object_facts *live)
{
	struct heap_stat *stat = stat_of(segment, thread, live->id);
	struct heap_shard *shard = shard_of(segment, thread);
	uint64_t ticks = __rdtsc() - live->time;
	bool is_shared = thread->shares_shard;

	add(&stat->frees, 1, is_shared);
	add(&stat->free_bytes, live->size, is_shared);
	add_class(&shard->lifetimes[log2_class(ticks)], live->size, is_shared);
	if (ticks < segment->temporary_ticks) {
		add(&stat->temporaries, 1, is_shared);
		add(&stat->temporary_bytes, live->size, is_shared);
	}
}
