/* SPDX-License-Identifier: MIT */
/*
 * The C allocator's functions, as the target calls them. What most calls do is here: count the bytes, look at one byte of a
 * table, and jump to the real function. The rest is reached by a jump too, so that slow.S finds the caller's registers.
 */
#include "sampler.h"

void *slow_malloc(size_t size);
void *slow_calloc(size_t count, size_t size);
void *slow_realloc(void *p, size_t size);
void slow_free(void *p);
int slow_posix_memalign(void **ret, size_t alignment, size_t size);
void *slow_aligned_alloc(size_t alignment, size_t size);
void *slow_memalign(size_t alignment, size_t size);
void *slow_valloc(size_t size);
void *slow_pvalloc(size_t size);
void *slow_reallocarray(void *p, size_t count, size_t size);

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *p, size_t size);
void free(void *p);
int posix_memalign(void **ret, size_t alignment, size_t size);
void *aligned_alloc(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size);
void *valloc(size_t size);
void *pvalloc(size_t size);
void *reallocarray(void *p, size_t count, size_t size);
size_t malloc_usable_size(void *p);
void *profcore_heap_malloc(size_t size);

/* Whether these bytes bring the next sample. */
static inline bool is_due(size_t size)
{
	return UNLIKELY((thread_state.countdown -= (int64_t)size) < 0);
}

static inline bool may_be_ours(const void *p)
{
	return UNLIKELY(maybe[heap_maybe_index((uintptr_t)p)] != 0);
}

EXPORT void *malloc(size_t size)
{
	return is_due(size) ? slow_malloc(size) : real.malloc(size);
}

/* By this name the sampler finds out whether the target's malloc is the one above. */
EXPORT void *profcore_heap_malloc(size_t size) __attribute__((alias("malloc")));

EXPORT void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (UNLIKELY(__builtin_mul_overflow(count, size, &bytes))) {
		return real.calloc(count, size);
	}
	return EITHER(is_due(bytes), real.calloc_nests) ? slow_calloc(count, size) : real.calloc(count, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	return EITHER(is_due(size), may_be_ours(p)) ? slow_realloc(p, size) : real.realloc(p, size);
}

EXPORT void free(void *p)
{
	if (may_be_ours(p)) {
		slow_free(p);
	} else {
		real.free(p);
	}
}

EXPORT int posix_memalign(void **ret, size_t alignment, size_t size)
{
	return EITHER(is_due(size), real.posix_memalign == NULL || real.posix_memalign_nests)
		       ? slow_posix_memalign(ret, alignment, size)
		       : real.posix_memalign(ret, alignment, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	return EITHER(is_due(size), real.aligned_alloc == NULL || real.aligned_alloc_nests)
		       ? slow_aligned_alloc(alignment, size)
		       : real.aligned_alloc(alignment, size);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
	return EITHER(is_due(size), real.memalign == NULL || real.memalign_nests)
		       ? slow_memalign(alignment, size)
		       : real.memalign(alignment, size);
}

EXPORT void *valloc(size_t size)
{
	return EITHER(is_due(size), real.valloc == NULL) ? slow_valloc(size) : real.valloc(size);
}

EXPORT void *pvalloc(size_t size)
{
	return EITHER(is_due(size), real.pvalloc == NULL) ? slow_pvalloc(size) : real.pvalloc(size);
}

/* Not the real one: glibc's calls realloc(), which would come here and be counted again. */
EXPORT void *reallocarray(void *p, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		return slow_reallocarray(p, count, size);
	}
	return EITHER(is_due(bytes), may_be_ours(p)) ? slow_realloc(p, bytes) : real.realloc(p, bytes);
}

EXPORT size_t malloc_usable_size(void *p)
{
	if (UNLIKELY(real_is_early(p))) {
		return real_early_size(p);
	}
	return p != NULL && real.malloc_usable_size != NULL ? real.malloc_usable_size(p) : 0;
}
