/* SPDX-License-Identifier: MIT */
/*
 * Records into a ring that several threads write: a place is reserved by moving the head, filled, and shown by its mark. A ring
 * without room costs the record, and is counted; nobody waits.
 */
#include "sampler.h"

#include <string.h>
#include <time.h>

#define PAGE 4096ULL

uint64_t now_ns(void)
{
	struct timespec now = { 0, 0 };

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static struct heap_record *show(struct heap_segment *segment, uint32_t ring, uint64_t at)
{
	char *data = (char *)segment + segment->ring_data + ring * segment->ring_bytes;

	return (struct heap_record *)(void *)(data + (at & (segment->ring_bytes - 1)));
}

static void commit(struct heap_segment *segment, struct heap_record *record, uint64_t at)
{
	__atomic_store_n(&record->mark, at ^ segment->nonce, __ATOMIC_RELEASE);
}

static struct heap_ring *ring_of(struct heap_segment *segment, uint32_t number)
{
	return (struct heap_ring *)(void *)((char *)segment + segment->rings) + number;
}

/* A place of so many bytes in one piece of this ring; NULL: no room. */
static struct heap_record *reserve_in(struct heap_segment *segment, uint32_t number, uint64_t bytes,
				      uint64_t *ret_at)
{
	struct heap_ring *ring = ring_of(segment, number);
	uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
	uint64_t rest, skip;

	do {
		rest = segment->ring_bytes - (head & (segment->ring_bytes - 1));
		skip = rest < bytes ? rest : 0;
		if (head + skip + bytes - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) >
		    segment->ring_bytes) {
			return NULL;
		}
	} while (!__atomic_compare_exchange_n(&ring->head, &head, head + skip + bytes, true, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	if (skip >= sizeof(struct heap_record)) {
		struct heap_record *pad = show(segment, number, head);

		pad->bytes = (uint32_t)skip;
		pad->kind = HEAP_PAD;
		commit(segment, pad, head);
	}
	*ret_at = head + skip;
	return show(segment, number, *ret_at);
}

/* In the thread's ring, else, in a burst, in the next that has room. */
static struct heap_record *reserve(struct heap_segment *segment, uint32_t number, uint64_t bytes,
				   uint64_t *ret_at)
{
	for (uint32_t i = 0; i < HEAP_RINGS; i++) {
		struct heap_record *record = reserve_in(segment, (number + i) % HEAP_RINGS, bytes, ret_at);

		if (record != NULL) {
			return record;
		}
	}
	__atomic_fetch_add(&ring_of(segment, number % HEAP_RINGS)->lost, 1, __ATOMIC_RELAXED);
	return NULL;
}

uint64_t stack_extent(const struct thread_state *thread, uint64_t sp, uint64_t limit, uint32_t *ret_flags)
{
	uint64_t high;

	if (sp >= thread->stack_low && sp < thread->stack_high) {
		high = thread->stack_high;
		*ret_flags = high - sp > limit ? HEAP_STACK_CUT : 0;
	} else {
		high = (sp & ~(PAGE - 1)) +
		       PAGE; /* a coroutine, a signal stack: this page is all that is sure to be there */
		*ret_flags = HEAP_STACK_UNKNOWN | HEAP_STACK_CUT;
	}
	return (high - sp < limit ? high - sp : limit) & ~7ULL;
}

/* Not memcpy: a sanitizer in the target, or a libc that checks, has views on reading other functions' frames. */
static void copy_stack(void *to, uint64_t from, uint64_t bytes)
{
	uint64_t words = bytes / 8;

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
}

bool record_alloc(struct heap_segment *segment, struct thread_state *thread, const struct sample *sample,
		  const struct caller *caller)
{
	uint32_t flags = 0;
	uint64_t limit = segment->stack_bytes < HEAP_STACK_MAX ? segment->stack_bytes : HEAP_STACK_MAX;
	uint64_t stack_bytes = stack_extent(thread, caller->sp, limit, &flags);
	uint64_t at;
	uint64_t bytes = sizeof(struct heap_alloc) + stack_bytes;
	struct heap_alloc *alloc = (struct heap_alloc *)(void *)reserve(segment, thread->number, bytes, &at);

	if (alloc == NULL) {
		return false;
	}
	alloc->record.bytes = (uint32_t)bytes;
	alloc->record.kind = sample->kind;
	alloc->record.process = (uint16_t)process_state.slot;
	alloc->time_ns = sample->time_ns;
	alloc->id = sample->id;
	alloc->size = sample->size;
	alloc->tid = thread->tid;
	alloc->flags = flags;
	alloc->stack_bytes = (uint32_t)stack_bytes;
	alloc->slack = sample->slack;
	memcpy(&alloc->registers, caller, sizeof(alloc->registers));
	alloc->registers.ip--;
	copy_stack(alloc + 1, caller->sp, stack_bytes);
	commit(segment, &alloc->record, at);
	return true;
}

void record_free(struct heap_segment *segment, struct thread_state *thread, uint64_t id, uint64_t time_ns)
{
	uint64_t at;
	struct heap_free *record =
		(struct heap_free *)(void *)reserve(segment, thread->number, sizeof(struct heap_free), &at);

	if (record == NULL) {
		return;
	}
	record->record.bytes = sizeof(*record);
	record->record.kind = HEAP_FREE;
	record->record.process = (uint16_t)process_state.slot;
	record->time_ns = time_ns;
	record->id = id;
	record->tid = thread->tid;
	record->reserved = 0;
	commit(segment, &record->record, at);
}
