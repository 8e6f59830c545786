/* SPDX-License-Identifier: MIT */
/*
 * The heap sampler: preloaded into the target, it stands in front of the allocator. Rules, for every line of it: no locks, no
 * allocation, no libc call that might do either once it is attached; errno is left alone; whatever is odd, the target goes on.
 *
 *   names.c     the allocator's functions as the target calls them: count down, else pass on
 *   more_names.c  operator new and delete, jemalloc's and mimalloc's own
 *   slow.S      where a call is to be looked at: its caller's registers, then slow.c
 *   slow.c      sampled and exhaustive recording around the real call
 *   real.c      the real functions, and memory before they are found
 *   attach.c    the shared file, fork
 *   thread.c    what a thread has: its countdown, the bounds of its stack
 *   record.c    rings; live.c: live objects; tally.c: counters of exhaustive mode
 */
#ifndef MEMORY_SAMPLER_SAMPLER_H
#define MEMORY_SAMPLER_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

#define LIKELY(x)    __builtin_expect(!!(x), 1)
#define UNLIKELY(x)  __builtin_expect(!!(x), 0)
#define EITHER(a, b) (((unsigned)(a) | (unsigned)(b)) != 0) /* both are evaluated, by one branch */
#define EXPORT       __attribute__((visibility("default")))

/** What slow.S leaves on the stack. */
struct caller {
	uint64_t ip, sp, bp, bx, r12, r13, r14, r15;
};

/** The real allocator. Members are NULL where it has no such function. */
struct real {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void (*free)(void *);
	int (*posix_memalign)(void **, size_t, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	void *(*memalign)(size_t, size_t);
	void *(*valloc)(size_t);
	void *(*pvalloc)(size_t);
	size_t (*malloc_usable_size)(void *);
	/* Those that come by functions of ours themselves (musl's calloc calls malloc): always the slow way, which counts once. */
	bool calloc_nests, posix_memalign_nests, aligned_alloc_nests, memalign_nests;
};

extern struct real real;

/** Of one thread. countdown is all that the fast path touches. */
struct thread_state {
	int64_t countdown; /* bytes to the next sample */
	uint64_t random;   /* 0: this thread has not begun */
	uint64_t epoch;    /* of the process when it began: a forked child begins anew */
	uint64_t stack_low, stack_high;
	int32_t tid;
	uint32_t number;   /* which ring */
	uint32_t shard;    /* exhaustive; HEAP_SHARDS: none */
	bool shares_shard; /* counters need locked additions */
	bool is_paused;    /* our own calls */
};

extern __thread struct thread_state thread_state __attribute__((tls_model("initial-exec")));

/** The process. */
struct process_state {
	struct heap_segment *segment; /* NULL: not attached */
	uint8_t *guard;               /* a page that a fork wipes: 1 in the process that made it */
	uint64_t epoch;
	uint32_t slot;
	uint32_t threads;        /* that began */
	uint64_t main_stack_end; /* 0: not known */
};

extern struct process_state process_state;
extern uint8_t *maybe; /* HEAP_MAYBE_BYTES, not 0 where an object may be one of ours; never NULL */

/* real.c */
void real_find(void);
bool real_is_early(const void *p);
size_t real_early_size(const void *p);
/** Let frees of early objects come to the slow path: their bytes in `table` are set for good. */
void real_mark_early(uint8_t *table);
void *real_early_malloc(size_t size);

/* attach.c */
void attach(void);
/** The segment, if this process is to record now; a forked child gets a slot of its own first. */
struct heap_segment *attached(void);
/** Stop for good: the fast paths pass everything on. */
void detach(void);

/* thread.c */
/** The thread's state, begun in this process; NULL: not now. */
struct thread_state *thread_begun(struct heap_segment *segment);
/** Bytes to the next sample. */
int64_t thread_draw(struct thread_state *thread, uint64_t period_bytes);

/* record.c */
uint64_t now_ns(void);
struct sample {
	uint16_t kind;  /* HEAP_ALLOC, HEAP_STACK */
	uint32_t slack; /* as in struct heap_alloc */
	uint64_t id, size, time_ns;
};
/** false: no room. */
bool record_alloc(struct heap_segment *segment, struct thread_state *thread, const struct sample *sample,
		  const struct caller *caller);
void record_free(struct heap_segment *segment, struct thread_state *thread, uint64_t id, uint64_t time_ns);
/** How much of the stack from sp up may be read; *ret_flags: enum heap_alloc_flags. */
uint64_t stack_extent(const struct thread_state *thread, uint64_t sp, uint64_t limit, uint32_t *ret_flags);

/* live.c */
bool live_insert(struct heap_segment *segment, const void *p, const struct heap_object_facts *live);
bool live_remove(struct heap_segment *segment, const void *p, struct heap_object_facts *ret);

/* tally.c */
void tally_alloc(struct heap_segment *segment, struct thread_state *thread, const void *p, size_t size,
		 const struct caller *caller);
void tally_free(struct heap_segment *segment, struct thread_state *thread,
		const struct heap_object_facts *live);

/* sys.h: system calls that leave errno alone */

#endif
