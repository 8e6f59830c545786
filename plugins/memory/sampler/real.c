/* SPDX-License-Identifier: MIT */
/*
 * The real allocator: the next one in the loader's order. dlsym() may itself allocate (glibc's calloc for its error state), and
 * constructors run before ours: until the functions are found, memory comes from a small static piece that is never reused.
 */
#include "sampler.h"

#include <dlfcn.h>
#include <string.h>

#define EARLY_BYTES 65536
#define EARLY_MAX   256 /* objects */

static _Alignas(16) unsigned char early[EARLY_BYTES];
static size_t early_used;
static void *early_objects[EARLY_MAX];
static uint32_t early_count;
static bool is_finding;

bool real_is_early(const void *p)
{
	return (uintptr_t)p - (uintptr_t)early < EARLY_BYTES;
}

size_t real_early_size(const void *p)
{
	return ((const size_t *)p)[-2];
}

/* One thread as a rule; the additions are atomic all the same. */
void *real_early_malloc(size_t size)
{
	size_t room = (size + 31) & ~(size_t)15; /* 16 bytes in front hold the size */
	size_t at;
	uint32_t number;
	size_t *object;

	if (size > EARLY_BYTES) {
		return NULL;
	}
	at = __atomic_fetch_add(&early_used, room, __ATOMIC_RELAXED);
	number = __atomic_fetch_add(&early_count, 1, __ATOMIC_RELAXED);
	if (at + room > EARLY_BYTES || number >= EARLY_MAX) {
		return NULL;
	}
	object = (size_t *)(void *)(early + at);
	object[0] = size;
	early_objects[number] = object + 2;
	maybe[heap_maybe_index((uintptr_t)(object + 2))] = 255;
	return object + 2;
}

void real_mark_early(uint8_t *table)
{
	for (uint32_t i = 0; i < early_count && i < EARLY_MAX; i++) {
		table[heap_maybe_index((uintptr_t)early_objects[i])] = 255;
	}
}

/* Data and function pointers have the same size here, which POSIX wants for dlsym. */
static void find(void *ret, const char *name)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	memcpy(ret, &symbol, sizeof(symbol));
}

static void *early_calloc(size_t count, size_t size)
{
	return size != 0 && count > EARLY_BYTES / size ? NULL : real_early_malloc(count * size);
}

static void *early_realloc(void *p, size_t size)
{
	void *grown = real_early_malloc(size);

	if (grown != NULL && p != NULL && real_is_early(p)) {
		size_t old = real_early_size(p);

		memcpy(grown, p, old < size ? old : size);
	}
	return grown;
}

static void early_free(void *p)
{
	(void)p;
}

/* What is called before anything was found. */
static void *first_malloc(size_t size)
{
	real_find();
	return real.malloc(size);
}

static void *first_calloc(size_t count, size_t size)
{
	real_find();
	return real.calloc(count, size);
}

static void *first_realloc(void *p, size_t size)
{
	real_find();
	return real.realloc(p, size);
}

static void first_free(void *p)
{
	real_find();
	real.free(p);
}

struct real real = {
	.malloc = first_malloc, .calloc = first_calloc, .realloc = first_realloc, .free = first_free
};

/* Whether p came by a function of ours: each counts its bytes. Frees p. */
static bool came_by_ours(void *p)
{
	bool is_counted = thread_state.countdown != INT64_MAX / 2;

	thread_state.countdown = INT64_MAX / 2;
	real.free(p);
	return p != NULL && is_counted;
}

static void find_nests(void)
{
	int64_t before = thread_state.countdown;
	void *p = NULL;

	thread_state.countdown = INT64_MAX / 2;
	real.calloc_nests = came_by_ours(real.calloc(1, 64));
	real.aligned_alloc_nests = real.aligned_alloc != NULL && came_by_ours(real.aligned_alloc(64, 64));
	real.memalign_nests = real.memalign != NULL && came_by_ours(real.memalign(64, 64));
	if (real.posix_memalign != NULL && real.posix_memalign(&p, 64, 64) == 0) {
		real.posix_memalign_nests = came_by_ours(p);
	}
	thread_state.countdown = before;
}

void real_find(void)
{
	struct real found;

	if (__atomic_exchange_n(&is_finding, true, __ATOMIC_ACQ_REL)) {
		return;
	}
	real.malloc = real_early_malloc;
	real.calloc = early_calloc;
	real.realloc = early_realloc;
	real.free = early_free;
	memset(&found, 0, sizeof(found));
	find(&found.malloc, "malloc");
	find(&found.calloc, "calloc");
	find(&found.realloc, "realloc");
	find(&found.free, "free");
	find(&found.posix_memalign, "posix_memalign");
	find(&found.aligned_alloc, "aligned_alloc");
	find(&found.memalign, "memalign");
	find(&found.valloc, "valloc");
	find(&found.pvalloc, "pvalloc");
	find(&found.malloc_usable_size, "malloc_usable_size");
	if (found.malloc != NULL && found.calloc != NULL && found.realloc != NULL && found.free != NULL) {
		real = found;
		find_nests();
	}
	attach();
}

__attribute__((constructor)) static void begin(void)
{
	real_find();
}
