/* SPDX-License-Identifier: MIT */
/*
 * Names beside those of C: operator new and delete, jemalloc's and mimalloc's own functions. An operator new that only calls malloc
 * (libstdc++'s) is passed on, the call is counted there; one that lives in the allocator's own library is counted here.
 *
 * A symbol that is there may mislead a program that asks for it to learn which allocator it runs on. mallctl, without which
 * nobody takes jemalloc for granted, is not among these.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "slow.h"

typedef void *(*get_fn)(size_t a, size_t b, size_t c);
typedef void (*put_fn)(void *p, size_t b, size_t c);
typedef void *(*resize_fn)(void *p, size_t size, size_t c);

/* Slow ways: the real function comes as the fourth argument (slow.S). */
void *slow_get(size_t size, size_t b, size_t c, get_fn get);
void *slow_get_many(size_t count, size_t size, size_t c, get_fn get);
void *slow_get_more(void *p, size_t size, size_t c, resize_fn resize);

/* A function that is found when it is first called. */
struct found {
	const char *name;
	void *function;
	bool is_counted; /* here: not in a malloc that it calls */
};

static void *plain_new(size_t size, size_t b, size_t c)
{
	void *p = real.malloc(size != 0 ? size : 1);

	if (p == NULL) {
		abort(); /* no operator new that could throw is loaded: the program would not see it coming either */
	}
	return p;
}

static void plain_delete(void *p, size_t b, size_t c)
{
	real.free(p);
}

static void *in_library(const char *library, const char *name)
{
	void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);

	return handle != NULL ? dlsym(handle, name) : NULL;
}

static bool same_object(void *a, void *b)
{
	Dl_info first, second;

	return dladdr(a, &first) != 0 && dladdr(b, &second) != 0 && first.dli_fbase == second.dli_fbase;
}

/* Tried once: whether an allocator's own operator new comes by a function that counts already (jemalloc's aligned ones do). */
static bool counts_itself(const struct found *found, void *function)
{
	bool is_aligned = strstr(found->name, "align_val_t") != NULL;
	int64_t before = thread_state.countdown;
	char nothing = 0;
	get_fn get;
	void *p;
	bool is_seen;

	if (strncmp(found->name, "_Zn", 3) != 0) {
		return false;
	}
	memcpy(&get, &function, sizeof(get));
	thread_state.countdown = INT64_MAX / 2;
	p = get(64, is_aligned ? 64 : (size_t)(uintptr_t)&nothing, (size_t)(uintptr_t)&nothing);
	is_seen = thread_state.countdown != INT64_MAX / 2;
	thread_state.countdown = before;
	real.free(p);
	return is_seen;
}

/* A C++ library that was opened later, for itself alone, is not in the list that RTLD_NEXT goes through. */
static void find(struct found *found)
{
	void *function = dlsym(RTLD_NEXT, found->name);
	void *allocator;
	bool is_operator = found->name[0] == '_';

	real_find();
	memcpy(&allocator, &real.malloc, sizeof(allocator));
	if (function == NULL && is_operator) {
		function = in_library("libstdc++.so.6", found->name);
	}
	if (function == NULL && is_operator) {
		function = in_library("libc++abi.so.1", found->name);
	}
	if (function == NULL && is_operator) {
		get_fn get = plain_new;
		put_fn put = plain_delete;

		memcpy(&function, strncmp(found->name, "_Zd", 3) == 0 ? (void *)&put : (void *)&get,
		       sizeof(function));
	}
	found->is_counted =
		!is_operator || (same_object(function, allocator) && !counts_itself(found, function));
	__atomic_store_n(&found->function, function, __ATOMIC_RELEASE);
}

static inline void *function_of(struct found *found)
{
	if (UNLIKELY(__atomic_load_n(&found->function, __ATOMIC_ACQUIRE) == NULL)) {
		find(found);
	}
	return found->function;
}

static inline bool is_due(const struct found *found, size_t size)
{
	return found->is_counted && UNLIKELY((thread_state.countdown -= (int64_t)size) < 0);
}

static inline bool may_be_ours(const void *p)
{
	return UNLIKELY(maybe[heap_maybe_index((uintptr_t)p)] != 0);
}

/* ---- the slow ways ---- */

void *do_get(size_t size, size_t b, size_t c, get_fn get, const struct caller *caller);
void *do_get_many(size_t count, size_t size, size_t c, get_fn get, const struct caller *caller);
void *do_get_more(void *p, size_t size, size_t c, resize_fn resize, const struct caller *caller);

void *do_get(size_t size, size_t b, size_t c, get_fn get, const struct caller *caller)
{
	void *p = get(size, b, c);

	heap_note_alloc(p, size, caller);
	return p;
}

void *do_get_many(size_t count, size_t size, size_t c, get_fn get, const struct caller *caller)
{
	void *p = get(count, size, c);

	heap_note_alloc(p, count * size, caller);
	return p;
}

struct more_call {
	void *p;
	size_t size, c;
	resize_fn resize;
};

static void *resize_more(void *context)
{
	const struct more_call *call = context;

	return call->resize(call->p, call->size, call->c);
}

void *do_get_more(void *p, size_t size, size_t c, resize_fn resize, const struct caller *caller)
{
	struct more_call call = { p, size, c, resize };

	return heap_note_resize(p, size, caller, resize_more, &call);
}

/* ---- the names ---- */

/* The arguments that a function does not have are what happens to be in their registers: nobody looks at them. */
#define GET(symbol)                                                                                          \
	EXPORT void *symbol(size_t size, size_t b, size_t c);                                                \
	void *symbol(size_t size, size_t b, size_t c)                                                        \
	{                                                                                                    \
		static struct found found = { .name = #symbol };                                             \
		get_fn get = (get_fn)function_of(&found);                                                    \
                                                                                                             \
		return is_due(&found, size) ? slow_get(size, b, c, get) : get(size, b, c);                   \
	}
#define PUT(symbol)                                                                                          \
	EXPORT void symbol(void *p, size_t b, size_t c);                                                     \
	void symbol(void *p, size_t b, size_t c)                                                             \
	{                                                                                                    \
		static struct found found = { .name = #symbol };                                             \
		put_fn put = (put_fn)function_of(&found);                                                    \
                                                                                                             \
		if (found.is_counted && may_be_ours(p)) {                                                    \
			heap_note_free(p);                                                                   \
		}                                                                                            \
		put(p, b, c);                                                                                \
	}
#define GET_MANY(symbol)                                                                                     \
	EXPORT void *symbol(size_t count, size_t size, size_t c);                                            \
	void *symbol(size_t count, size_t size, size_t c)                                                    \
	{                                                                                                    \
		static struct found found = { .name = #symbol };                                             \
		get_fn get = (get_fn)function_of(&found);                                                    \
		size_t bytes;                                                                                \
                                                                                                             \
		return !__builtin_mul_overflow(count, size, &bytes) && is_due(&found, bytes)                 \
			       ? slow_get_many(count, size, c, get)                                          \
			       : get(count, size, c);                                                        \
	}
#define GET_MORE(symbol)                                                                                     \
	EXPORT void *symbol(void *p, size_t size, size_t c);                                                 \
	void *symbol(void *p, size_t size, size_t c)                                                         \
	{                                                                                                    \
		static struct found found = { .name = #symbol };                                             \
		resize_fn resize = (resize_fn)function_of(&found);                                           \
                                                                                                             \
		return EITHER(is_due(&found, size), may_be_ours(p)) ? slow_get_more(p, size, c, resize)      \
								    : resize(p, size, c);                    \
	}

/* new and new[], plain, nothrow, aligned, both */
GET(_Znwm)
GET(_Znam)
GET(_ZnwmRKSt9nothrow_t)
GET(_ZnamRKSt9nothrow_t)
GET(_ZnwmSt11align_val_t)
GET(_ZnamSt11align_val_t)
GET(_ZnwmSt11align_val_tRKSt9nothrow_t)
GET(_ZnamSt11align_val_tRKSt9nothrow_t)
PUT(_ZdlPv)
PUT(_ZdaPv)
PUT(_ZdlPvm)
PUT(_ZdaPvm)
PUT(_ZdlPvRKSt9nothrow_t)
PUT(_ZdaPvRKSt9nothrow_t)
PUT(_ZdlPvSt11align_val_t)
PUT(_ZdaPvSt11align_val_t)
PUT(_ZdlPvmSt11align_val_t)
PUT(_ZdaPvmSt11align_val_t)
PUT(_ZdlPvSt11align_val_tRKSt9nothrow_t)
PUT(_ZdaPvSt11align_val_tRKSt9nothrow_t)

/* jemalloc: (size, flags), (p, flags), (p, size, flags) */
GET(mallocx)
GET_MORE(rallocx)
PUT(dallocx)
PUT(sdallocx)

/* mimalloc */
GET(mi_malloc)
GET(mi_zalloc)
GET(mi_malloc_aligned)
GET(mi_zalloc_aligned)
GET_MANY(mi_calloc)
GET_MORE(mi_realloc)
GET_MORE(mi_realloc_aligned)
PUT(mi_free)
PUT(mi_free_size)
PUT(mi_free_aligned)
PUT(mi_free_size_aligned)
