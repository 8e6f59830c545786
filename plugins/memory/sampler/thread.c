/* SPDX-License-Identifier: MIT */
/*
 * What a thread has. It begins with its first call that is looked at; threads made by pthread_create() learn before that where
 * their stack lies, without which only the rest of a page of it could be copied.
 */
#include "sampler.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include "sys.h"

#define MAIN_STACK_MAX (128ULL << 20) /* the kernel keeps this much free below the stack at least */

__thread struct thread_state thread_state __attribute__((tls_model("initial-exec")));

static pthread_key_t exit_key;
static bool has_exit_key;

/* splitmix64: a good start from a poor seed. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* xorshift64*: 53 good bits, in (0, 1]. */
static double uniform(struct thread_state *thread)
{
	uint64_t x = thread->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	thread->random = x;
	return (double)((x * 0x2545f4914f6cdd1dULL >> 11) + 1) * 0x1p-53;
}

/* -ln(u) for u in (0, 1]: by the exponent, and the series of atanh on [sqrt(1/2), sqrt(2)); error below 1e-9. No libm. */
static double minus_log(double u)
{
	uint64_t bits;
	int exponent;
	double m, z, z2;

	memcpy(&bits, &u, sizeof(bits));
	exponent = (int)(bits >> 52) - 1023;
	bits = (bits & 0xfffffffffffffULL) | 0x3ff0000000000000ULL;
	memcpy(&m, &bits, sizeof(m));
	if (m > 1.4142135623730951) {
		m *= 0.5;
		exponent++;
	}
	z = (m - 1) / (m + 1);
	z2 = z * z;
	return -(exponent * 0.6931471805599453 +
		 2 * z * (1 + z2 * (1.0 / 3 + z2 * (1.0 / 5 + z2 * (1.0 / 7 + z2 * (1.0 / 9 + z2 / 11))))));
}

int64_t thread_draw(struct thread_state *thread, uint64_t period_bytes)
{
	return (int64_t)(minus_log(uniform(thread)) * (double)period_bytes) + 1;
}

static void find_main_stack(struct thread_state *thread)
{
	struct rlimit limit = { 0, 0 };
	uint64_t bytes = MAIN_STACK_MAX;

	if (sys_call(SYS_prlimit64, 0, RLIMIT_STACK, 0, (long)&limit, 0, 0) == 0 && limit.rlim_cur < bytes) {
		bytes = limit.rlim_cur;
	}
	thread->stack_high = process_state.main_stack_end;
	thread->stack_low = thread->stack_high > bytes ? thread->stack_high - bytes : 0;
}

static bool try_shard(struct heap_shard *shard, uint64_t owner)
{
	uint64_t nobody = 0;

	if (__atomic_load_n(&shard->owner, __ATOMIC_RELAXED) != 0 ||
	    !__atomic_compare_exchange_n(&shard->owner, &nobody, owner, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED)) {
		return false;
	}
	__atomic_store_n(&shard->last, owner, __ATOMIC_RELAXED);
	return true;
}

/* A shard of counters for this thread alone, while there are any; first those that nobody had: the collector may still have to read
 * what a thread left behind. */
static void take_shard(struct heap_segment *segment, struct thread_state *thread)
{
	struct heap_shard *shards = (struct heap_shard *)(void *)((char *)segment + segment->shards);
	uint64_t owner = (uint64_t)process_state.slot << 32 | (uint32_t)thread->tid;

	thread->shares_shard = false;
	for (uint32_t i = 0; i < 2 * (HEAP_SHARDS - 1); i++) {
		struct heap_shard *shard = &shards[i % (HEAP_SHARDS - 1)];

		thread->shard = i % (HEAP_SHARDS - 1);
		if ((i >= HEAP_SHARDS - 1 || __atomic_load_n(&shard->last, __ATOMIC_RELAXED) == 0) &&
		    try_shard(shard, owner)) {
			return;
		}
	}
	thread->shard = HEAP_SHARDS - 1; /* for all that come later */
	thread->shares_shard = true;
}

static void leave(void *value)
{
	struct thread_state *thread = &thread_state;
	struct heap_segment *segment = process_state.segment;

	(void)value;
	if (segment != NULL && thread->epoch == process_state.epoch && !thread->shares_shard &&
	    thread->shard < HEAP_SHARDS) {
		struct heap_shard *shards = (struct heap_shard *)(void *)((char *)segment + segment->shards);

		__atomic_store_n(&shards[thread->shard].owner, 0, __ATOMIC_RELEASE);
	}
	thread->epoch = 0; /* calls of later destructors begin anew */
}

struct thread_state *thread_begun(struct heap_segment *segment)
{
	struct thread_state *thread = &thread_state;

	if (UNLIKELY(thread->is_paused)) {
		return NULL;
	}
	if (LIKELY(thread->epoch == process_state.epoch)) {
		return thread;
	}
	thread->is_paused = true;
	thread->tid = (int32_t)sys_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
	thread->random = mix(segment->nonce ^ now_ns() ^ (uint64_t)thread->tid << 32);
	thread->random += thread->random == 0;
	thread->number = __atomic_fetch_add(&process_state.threads, 1, __ATOMIC_RELAXED);
	thread->countdown = thread_draw(thread, segment->period_bytes);
	if (thread->stack_high == 0 && thread->tid == (int32_t)sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0)) {
		find_main_stack(thread);
	}
	if (segment->flags & HEAP_EXHAUSTIVE) {
		take_shard(segment, thread);
		if (__atomic_load_n(&has_exit_key, __ATOMIC_ACQUIRE)) {
			pthread_setspecific(exit_key, thread);
		}
	}
	thread->epoch = process_state.epoch;
	thread->is_paused = false;
	return thread;
}

/* ---- threads as they begin ---- */

struct start {
	void *(*routine)(void *);
	void *argument;
};

static void find_own_stack(struct thread_state *thread)
{
	pthread_attr_t attributes;
	void *low = NULL;
	size_t bytes = 0;

	if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
		return;
	}
	if (pthread_attr_getstack(&attributes, &low, &bytes) == 0) {
		thread->stack_low = (uint64_t)(uintptr_t)low;
		thread->stack_high = thread->stack_low + bytes;
	}
	pthread_attr_destroy(&attributes);
}

/* Ends in a jump to the routine: no frame of ours stays on the stack. */
static void *start_thread(void *argument)
{
	struct start start = *(struct start *)argument;
	struct thread_state *thread = &thread_state;

	thread->is_paused = true;
	real.free(argument);
	find_own_stack(thread);
	thread->is_paused = false;
	thread->countdown = 0;
	return start.routine(start.argument);
}

EXPORT int pthread_create(pthread_t *ret, const pthread_attr_t *attributes, void *(*routine)(void *),
			  void *argument)
{
	static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	struct start *start;
	int error;

	if (__atomic_load_n(&next, __ATOMIC_ACQUIRE) == NULL) {
		void *symbol = dlsym(RTLD_NEXT, "pthread_create");

		__atomic_store_n((void **)(void *)&next, symbol, __ATOMIC_RELEASE);
	}
	start = process_state.segment != NULL ? real.malloc(sizeof(*start)) : NULL;
	if (start == NULL) {
		return next(ret, attributes, routine, argument);
	}
	*start = (struct start){ routine, argument };
	error = next(ret, attributes, start_thread, start);
	if (error != 0) {
		real.free(start);
	}
	return error;
}

__attribute__((constructor)) static void make_exit_key(void)
{
	if (pthread_key_create(&exit_key, leave) == 0) {
		__atomic_store_n(&has_exit_key, true, __ATOMIC_RELEASE);
	}
}
