/* SPDX-License-Identifier: MIT */
/*
 * attached CALLS_PER_S SECONDS LEAK_KIB_PER_S LOG_FILE [THREADS]
 *
 * Something to attach to. Allocates through eight planted functions at an even rate, 16 B to 4 KiB; what it frees it checks before
 * (exit 3: somebody damaged it). `forgets` keeps what it was given. Every 5 ms a line goes to LOG_FILE: CLOCK_MONOTONIC in ns,
 * calls, bytes, bytes that forgets has, bytes of each of the eight, and the longest time in ns since the last line that a thread
 * did not get on; so the truth of any window can be read from it. CALLS_PER_S of 1e9: as fast as it can. Ends at SIGTERM with 0.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "workload.h"

#define SITES   8
#define LIVE    256
#define THREADS 8

static atomic_ullong calls, forgotten, of_site[SITES], gap;
static atomic_bool is_over;

static NOINLINE void *keep(void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

#define SITE(n)                                                                                              \
	static NOINLINE void *site_##n(size_t size)                                                          \
	{                                                                                                    \
		return keep(malloc(size));                                                                   \
	}
SITE(0)
SITE(1)
SITE(2)
SITE(3)
SITE(4)
SITE(5)
SITE(6)

static NOINLINE void *site_7(size_t size)
{
	return keep(calloc(1, size));
}

static void *(*const sites[SITES])(size_t) = {
	site_0, site_1, site_2, site_3, site_4, site_5, site_6, site_7
};

static NOINLINE void *forgets(size_t size)
{
	return keep(malloc(size));
}

struct block {
	unsigned char *at;
	uint32_t size;
	unsigned char mark;
};

static void check(const struct block *block)
{
	if (block->at[0] != block->mark || block->at[block->size - 1] != block->mark) {
		_exit(3);
	}
}

static void one(struct block *block, uint32_t *random)
{
	uint32_t site;

	*random = *random * 1664525 + 1013904223;
	if (block->at) {
		check(block);
		free(block->at);
	}
	site = *random >> 28 & 7;
	block->size = 16u << (*random >> 20 & 7);
	block->size += (*random >> 8) % block->size;
	block->mark = (unsigned char)(*random >> 12);
	block->at = sites[site](block->size);
	block->at[0] = block->at[block->size - 1] = block->mark;
	atomic_fetch_add(&of_site[site], block->size);
	atomic_fetch_add(&calls, 1);
}

static double rate, leak;

static uint64_t note_gap(uint64_t last)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	unsigned long long longest = atomic_load(&gap);

	while (now - last > longest && !atomic_compare_exchange_weak(&gap, &longest, now - last)) {
	}
	return now;
}

static void *work(void *seed)
{
	struct block ring[LIVE] = { { NULL, 0, 0 } };
	uint32_t random = (uint32_t)(uintptr_t)seed;
	uint64_t began = clock_ns(CLOCK_MONOTONIC), last = began, done = 0, leaked = 0;

	while (!atomic_load(&is_over)) {
		double passed = (double)(clock_ns(CLOCK_MONOTONIC) - began) / 1e9;
		struct timespec pause = { 0, 1000000 };

		for (; (double)done < passed * rate && !atomic_load(&is_over); done++) {
			one(&ring[done % LIVE], &random);
			if (done % 8 == 0) {
				last = note_gap(last);
			}
		}
		for (; (double)leaked < passed * leak * 1024; leaked += 1024) {
			memset(forgets(1024), 1, 1024);
			atomic_fetch_add(&forgotten, 1024);
			atomic_fetch_add(&calls, 1);
		}
		nanosleep(&pause, NULL);
		last = clock_ns(CLOCK_MONOTONIC); /* nothing to do is no gap */
	}
	return NULL;
}

static void tell(FILE *log)
{
	char line[400];
	uint64_t now = clock_ns(CLOCK_MONOTONIC), sum = atomic_load(&forgotten);
	int used;

	for (int i = 0; i < SITES; i++) {
		sum += atomic_load(&of_site[i]);
	}
	used = snprintf(line, sizeof(line), "%llu %llu %llu %llu", (unsigned long long)now,
			(unsigned long long)atomic_load(&calls), (unsigned long long)sum,
			(unsigned long long)atomic_load(&forgotten));
	for (int i = 0; i < SITES; i++) {
		used += snprintf(line + used, sizeof(line) - (size_t)used, " %llu",
				 (unsigned long long)atomic_load(&of_site[i]));
	}
	fprintf(log, "%s %llu\n", line, (unsigned long long)atomic_exchange(&gap, 0));
	fflush(log);
}

static void on_term(int number)
{
	(void)number;
	atomic_store(&is_over, true);
}

int main(int argc, char **argv)
{
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(number_arg(argc, argv, 2, 10) * 1e9);
	unsigned threads = (unsigned)number_arg(argc, argv, 5, 1);
	pthread_t ids[THREADS];
	FILE *log = argc > 4 ? fopen(argv[4], "we") : NULL;

	if (!log || threads < 1 || threads > THREADS) {
		fprintf(stderr, "attached CALLS_PER_S SECONDS LEAK_KIB_PER_S LOG_FILE [THREADS]\n");
		return 2;
	}
	rate = number_arg(argc, argv, 1, 10000) / threads;
	leak = number_arg(argc, argv, 3, 0) / threads;
	signal(SIGTERM, on_term);
	for (unsigned i = 0; i < threads; i++) {
		pthread_create(&ids[i], NULL, work, (void *)(uintptr_t)(i + 1));
	}
	while (!atomic_load(&is_over) && clock_ns(CLOCK_MONOTONIC) < until) {
		struct timespec pause = { 0, 5000000 };

		tell(log);
		nanosleep(&pause, NULL);
	}
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
	}
	tell(log);
	return 0;
}
