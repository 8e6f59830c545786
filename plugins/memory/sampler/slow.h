/* SPDX-License-Identifier: MIT */
/* What slow.S calls, and what more_names.c uses. */
#ifndef MEMORY_SAMPLER_SLOW_H
#define MEMORY_SAMPLER_SLOW_H

#include "sampler.h"

/** After the real function: an object of so many bytes, if its bytes brought a sample. p may be NULL: the call failed. */
void heap_note_alloc(void *p, size_t size, const struct caller *caller);

/** Before the real function. */
void heap_note_free(const void *p);

/** Around the real function, which `resize` calls. */
typedef void *(*heap_resize_fn)(void *context);
void *heap_note_resize(void *p, size_t size, const struct caller *caller, heap_resize_fn resize,
		       void *context);

#define SLOW_ARGUMENTS size_t b, size_t c, size_t d, const struct caller *caller

void *do_malloc(size_t size, SLOW_ARGUMENTS);
void *do_calloc(size_t count, size_t size, size_t c, size_t d, const struct caller *caller);
void *do_realloc(void *p, size_t size, size_t c, size_t d, const struct caller *caller);
void *do_reallocarray(void *p, size_t count, size_t size, size_t d, const struct caller *caller);
void do_free(void *p, SLOW_ARGUMENTS);
int do_posix_memalign(void **ret, size_t alignment, size_t size, size_t d, const struct caller *caller);
void *do_aligned_alloc(size_t alignment, size_t size, size_t c, size_t d, const struct caller *caller);
void *do_memalign(size_t alignment, size_t size, size_t c, size_t d, const struct caller *caller);
void *do_valloc(size_t size, SLOW_ARGUMENTS);
void *do_pvalloc(size_t size, SLOW_ARGUMENTS);

#endif
