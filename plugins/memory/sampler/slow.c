/* SPDX-License-Identifier: MIT */
/*
 * The calls that are looked at. Whether an object is sampled is decided once, when it is allocated; its free only asks. The
 * real function runs first where it allocates, and after the object was forgotten where it frees: no other thread can get the
 * address in between.
 */
#include "sampler.h"

#include <errno.h>
#include <string.h>

#include "slow.h"

/* A distance that is never used up: nothing is to be sampled in this process. */
#define FOREVER (INT64_MAX / 2)

static uint32_t slack_of(void *p, size_t size)
{
	size_t usable = real.malloc_usable_size != NULL ? real.malloc_usable_size(p) : 0;

	return usable < size || usable - size >= HEAP_SLACK_UNKNOWN ? HEAP_SLACK_UNKNOWN
								    : (uint32_t)(usable - size);
}

/* is_real: an object of the allocator in `real`, which can be asked how large it is. */
static void note_alloc(void *p, size_t size, const struct caller *caller, bool is_real)
{
	struct thread_state *thread = &thread_state;
	struct heap_segment *segment;
	bool was_begun;
	uint64_t time_ns, id;

	if (thread->countdown >= 0 || thread->is_paused) {
		return;
	}
	segment = attached();
	if (segment == NULL) {
		thread->countdown = FOREVER;
		return;
	}
	was_begun = thread->epoch == process_state.epoch;
	thread = thread_begun(segment);
	if (segment->flags & HEAP_EXHAUSTIVE) {
		thread->countdown = -1;
		if (p != NULL) {
			tally_alloc(segment, thread, p, size, caller);
		}
		return;
	}
	if (!was_begun) {
		thread->countdown -= (int64_t)size;
		if (thread->countdown >= 0) {
			return;
		}
	}
	thread->countdown = thread_draw(thread, segment->period_bytes);
	time_ns = now_ns();
	if (p == NULL || time_ns > __atomic_load_n(&segment->alive_until_ns, __ATOMIC_RELAXED)) {
		return;
	}
	id = __atomic_add_fetch(&segment->next_id, 1, __ATOMIC_RELAXED);
	live_insert(segment, p, &(struct heap_object_facts){ id, size, time_ns });
	record_alloc(segment, thread,
		     &(struct sample){ HEAP_ALLOC, is_real ? slack_of(p, size) : HEAP_SLACK_UNKNOWN, id, size,
				       time_ns },
		     caller);
}

void heap_note_alloc(void *p, size_t size, const struct caller *caller)
{
	note_alloc(p, size, caller, false);
}

/* Take an object out of the live ones. */
static bool forget(const void *p, struct heap_object_facts *ret)
{
	struct heap_segment *segment =
		p != NULL && maybe[heap_maybe_index((uintptr_t)p)] != 0 ? attached() : NULL;

	return segment != NULL && live_remove(segment, p, ret);
}

static void note_free(const struct heap_object_facts *live)
{
	struct heap_segment *segment = attached();
	struct thread_state *thread = segment != NULL ? thread_begun(segment) : NULL;

	if (thread == NULL) {
		return;
	}
	if (segment->flags & HEAP_EXHAUSTIVE) {
		tally_free(segment, thread, live);
	} else {
		record_free(segment, thread, live->id, now_ns());
	}
}

void heap_note_free(const void *p)
{
	struct heap_object_facts live;

	if (forget(p, &live)) {
		note_free(&live);
	}
}

/* An early object has no place in the real heap. */
static void *move_early(void *p, size_t size)
{
	void *moved = real.malloc(size);
	size_t old = real_early_size(p);

	if (moved != NULL) {
		memcpy(moved, p, old < size ? old : size);
	}
	return moved;
}

struct resize_call {
	void *p;
	size_t count, size;
};

static void *resize_plain(void *context)
{
	const struct resize_call *call = context;

	return real_is_early(call->p) ? move_early(call->p, call->size) : real.realloc(call->p, call->size);
}

void *heap_note_resize(void *p, size_t size, const struct caller *caller, heap_resize_fn resize,
		       void *context)
{
	struct heap_object_facts live;
	bool was_ours = forget(p, &live);
	void *moved = resize(context);
	struct heap_segment *segment;

	if (moved == NULL && size != 0) { /* the old object stays */
		segment = was_ours ? attached() : NULL;
		if (segment != NULL) {
			live_insert(segment, p, &live);
		}
		return NULL;
	}
	if (was_ours) {
		note_free(&live);
	}
	if (moved != NULL) {
		note_alloc(moved, size, caller, resize == resize_plain);
	}
	return moved;
}

#define CALLER const struct caller *caller

/* While a real function runs that may come by one of ours, that one does not count. Gives what is to be put back. */
static int64_t hold(void)
{
	int64_t due = thread_state.countdown;

	thread_state.countdown = FOREVER;
	return due;
}

void *do_malloc(size_t size, size_t b, size_t c, size_t d, CALLER)
{
	void *p = real.malloc(size);

	note_alloc(p, size, caller, true);
	return p;
}

void *do_calloc(size_t count, size_t size, size_t c, size_t d, CALLER)
{
	int64_t due = hold();
	void *p = real.calloc(count, size);

	thread_state.countdown = due;
	note_alloc(p, count * size, caller, true);
	return p;
}

void *do_realloc(void *p, size_t size, size_t c, size_t d, CALLER)
{
	struct resize_call call = { p, 1, size };

	return heap_note_resize(p, size, caller, resize_plain, &call);
}

/* Only where count times size overflows. */
void *do_reallocarray(void *p, size_t count, size_t size, size_t d, CALLER)
{
	errno = ENOMEM;
	return NULL;
}

void do_free(void *p, size_t b, size_t c, size_t d, CALLER)
{
	if (real_is_early(p)) {
		return;
	}
	heap_note_free(p);
	real.free(p);
}

int do_posix_memalign(void **ret, size_t alignment, size_t size, size_t d, CALLER)
{
	int64_t due;
	int error;

	real_find();
	due = hold();
	error = real.posix_memalign != NULL ? real.posix_memalign(ret, alignment, size) : ENOMEM;
	thread_state.countdown = due;
	if (error == 0) {
		note_alloc(*ret, size, caller, true);
	}
	return error;
}

/* The functions that take an alignment and a size and are not there before real_find(), or not in every libc. */
static void *aligned(void *(*const *function)(size_t, size_t), size_t alignment, size_t size, CALLER)
{
	int64_t due;
	void *p;

	real_find();
	due = hold();
	p = *function != NULL ? (*function)(alignment, size) : NULL;
	thread_state.countdown = due;
	note_alloc(p, size, caller, true);
	return p;
}

void *do_aligned_alloc(size_t alignment, size_t size, size_t c, size_t d, CALLER)
{
	return aligned(&real.aligned_alloc, alignment, size, caller);
}

void *do_memalign(size_t alignment, size_t size, size_t c, size_t d, CALLER)
{
	return aligned(&real.memalign, alignment, size, caller);
}

static void *paged(void *(*const *function)(size_t), size_t size, CALLER)
{
	void *p;

	real_find();
	p = *function != NULL ? (*function)(size) : NULL;
	note_alloc(p, size, caller, true);
	return p;
}

void *do_valloc(size_t size, size_t b, size_t c, size_t d, CALLER)
{
	return paged(&real.valloc, size, caller);
}

void *do_pvalloc(size_t size, size_t b, size_t c, size_t d, CALLER)
{
	return paged(&real.pvalloc, size, caller);
}
