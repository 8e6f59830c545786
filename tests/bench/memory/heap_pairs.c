/* SPDX-License-Identifier: MIT */
/*
 * Pairs of malloc and free, and what one costs: sizes of 64 B to 4 KiB, 256 objects live, eight call paths of four to eleven
 * frames. Prints, as JSON, what a pair cost each thread in CPU time and in all in wall time, in ns; and the tenth percentile of each
 * thread's SLICES slices: what the pair costs when nothing else gets in the way.
 * Usage: heap_pairs PAIRS [THREADS [FILE]]
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LIVE        256
#define THREADS_MAX 64
#define SLICES      40

struct cost {
	double all_ns, slice_ns; /* CPU time of a pair */
};

static long pairs;

static __attribute__((noinline)) void *leaf(size_t size)
{
	void *p = malloc(size);

	*(volatile char *)p = 1;
	__asm__ volatile("" : : "r"(p) : "memory");
	return p;
}

static __attribute__((noinline)) void *down(int depth, size_t size)
{
	void *p = depth > 0 ? down(depth - 1, size) : leaf(size);

	__asm__ volatile("" : "+r"(p));
	return p;
}

static double clock_now(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void *work(void *result)
{
	static const uint16_t sizes[16] = { 64,  64,  96,  128, 128,  192,  256,  256,
					    384, 512, 512, 768, 1024, 1536, 2048, 4096 };
	void *ring[LIVE] = { NULL };
	uint32_t random = 12345;
	double slices[SLICES];
	double begin = clock_now(CLOCK_THREAD_CPUTIME_ID), last = begin;
	struct cost *cost = result;
	long left = pairs / SLICES;
	int count = 0;

	for (long i = 0; i < pairs; i++) {
		random = random * 1664525 + 1013904223;
		free(ring[i % LIVE]);
		ring[i % LIVE] = down((int)(random >> 29), sizes[random >> 20 & 15]);
		if (--left == 0) {
			double now = clock_now(CLOCK_THREAD_CPUTIME_ID);

			slices[count++ % SLICES] = (now - last) / (double)(pairs / SLICES);
			last = now;
			left = pairs / SLICES;
		}
	}
	cost->all_ns = (clock_now(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)pairs;
	qsort(slices, SLICES, sizeof(*slices), by_size);
	cost->slice_ns = slices[SLICES / 10];
	for (int i = 0; i < LIVE; i++) {
		free(ring[i]);
	}
	return NULL;
}

static void print_list(FILE *file, const char *name, const struct cost *costs, int threads, bool slices)
{
	fprintf(file, "\"%s\": [", name);
	for (int i = 0; i < threads; i++) {
		fprintf(file, "%s%.2f", i > 0 ? ", " : "", slices ? costs[i].slice_ns : costs[i].all_ns);
	}
	fprintf(file, "], ");
}

static int tell(const char *path, const struct cost *costs, int threads, double wall_ns)
{
	FILE *file = path ? fopen(path, "we") : stdout;

	if (!file) {
		return 1;
	}
	fprintf(file, "{");
	print_list(file, "cpu_ns", costs, threads, false);
	print_list(file, "slice_ns", costs, threads, true);
	fprintf(file, "\"wall_ns\": %.2f}\n", wall_ns);
	return path ? fclose(file) != 0 : 0;
}

int main(int argc, char **argv)
{
	int threads = argc > 2 ? atoi(argv[2]) : 1;
	pthread_t ids[THREADS_MAX];
	struct cost costs[THREADS_MAX];
	double begin;

	pairs = argc > 1 ? atol(argv[1]) : 10000000;
	if (pairs < LIVE || threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "usage: heap_pairs PAIRS [THREADS [FILE]]\n");
		return 2;
	}
	begin = clock_now(CLOCK_MONOTONIC);
	for (int i = 1; i < threads; i++) {
		if (pthread_create(&ids[i], NULL, work, &costs[i]) != 0) {
			return 1;
		}
	}
	work(&costs[0]);
	for (int i = 1; i < threads; i++) {
		pthread_join(ids[i], NULL);
	}
	return tell(argc > 3 ? argv[3] : NULL, costs, threads,
		    (clock_now(CLOCK_MONOTONIC) - begin) / (double)pairs);
}
