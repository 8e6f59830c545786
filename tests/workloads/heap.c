/* SPDX-License-Identifier: MIT */
/*
 * heap WAY [MIB] [SECONDS] [LEAK_KIB_PER_S] [TRUTH_FILE]
 *
 * Allocates through planted functions and writes, as JSON, how many bytes each of them was given, and how much of that is in use
 * at its end, when it exits without freeing it. Ways:
 *
 * sites     eight functions share MIB out equally, in sizes of 16 B to 4 KiB; 256 objects live at a time, one in 64 kept
 * threads   the same in four threads of MIB / 4 each
 * forks     the same in eight children, one after the other, of MIB / 8 each; truth is their sum
 * realloc   one vector after the other grows to 1 MiB by realloc, MIB in all
 * surface   calloc, posix_memalign, aligned_alloc, reallocarray, strdup, valloc, new blocks by realloc(NULL): MIB each
 * churn     for SECONDS: healthy: objects that are freed soon, a cache that fills in the first tenth, a queue whose objects leave after
 *           a fifth of the time, and, with LEAK_KIB_PER_S > 0, function forgets, which keeps what it was given
 */
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workload.h"

#define SITES   8
#define LIVE    256
#define THREADS 4
#define FORKS   8
#define QUEUE   200000

/* Shared with forked children. */
static struct truth {
	uint64_t bytes[SITES], in_use[SITES];
	uint64_t other, forgotten;
} * truth;

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
SITE(2) SITE(3) SITE(4) SITE(5) SITE(6) SITE(7)

	static void *(*const sites[SITES])(size_t) = { site_0, site_1, site_2, site_3,
						       site_4, site_5, site_6, site_7 };

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static NOINLINE void share_out(uint64_t bytes, uint32_t seed)
{
	void *ring[LIVE] = { NULL };
	uint32_t sizes_of[LIVE] = { 0 };
	uint32_t site_of[LIVE] = { 0 };
	uint64_t given[SITES] = { 0 };
	uint64_t kept[SITES] = { 0 };
	uint32_t random = seed;

	for (uint32_t i = 0, at = 0; given[SITES - 1] < bytes / SITES; i++, at = i % LIVE) {
		uint32_t size = 16u << (next_random(&random) % 8);
		uint32_t site = i % SITES;

		size += next_random(&random) % size;
		if (given[site] + size > bytes / SITES) {
			size = (uint32_t)(bytes / SITES - given[site]);
		}
		if (ring[at] && i / LIVE % 64 != 0) {
			free(ring[at]);
			kept[site_of[at]] -= sizes_of[at];
		}
		ring[at] = sites[site](size);
		sizes_of[at] = size;
		site_of[at] = site;
		given[site] += size;
		kept[site] += size;
	}
	for (uint32_t i = 0; i < SITES; i++) {
		__atomic_fetch_add(&truth->bytes[i], given[i], __ATOMIC_RELAXED);
		__atomic_fetch_add(&truth->in_use[i], kept[i], __ATOMIC_RELAXED);
	}
}

static uint64_t share;

static void *run_thread(void *seed)
{
	share_out(share, (uint32_t)(uintptr_t)seed);
	return NULL;
}

static void run_threads(uint64_t bytes)
{
	pthread_t threads[THREADS];

	share = bytes / THREADS;
	for (uintptr_t i = 0; i < THREADS; i++) {
		pthread_create(&threads[i], NULL, run_thread, (void *)(i + 1)); /* NOLINT: a number */
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
}

static void run_forks(uint64_t bytes)
{
	for (uint32_t i = 0; i < FORKS; i++) {
		pid_t child = fork();

		if (child == 0) {
			share_out(bytes / FORKS, i + 1);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
	memset(truth->in_use, 0, sizeof(truth->in_use)); /* the children's memory went with them */
}

static NOINLINE void grow_vector(uint64_t bytes)
{
	char *block = NULL;

	for (uint64_t size = 4096; size <= 1 << 20 && truth->other < bytes; size += size / 2) {
		block = keep(realloc(block, size));
		truth->other += size;
	}
	free(block);
}

static NOINLINE void use_surface(uint64_t bytes)
{
	for (uint64_t done = 0; done < bytes; done += 8192) {
		void *p = NULL;
		char text[1024];

		memset(text, 'x', sizeof(text));
		text[1023] = '\0';
		free(keep(calloc(8, 1024)));
		free(posix_memalign(&p, 64, 8192) == 0 ? keep(p) : NULL);
		free(keep(aligned_alloc(64, 8192)));
		free(keep(memalign(32, 8192)));
		free(keep(valloc(8192)));
		free(keep(reallocarray(NULL, 8, 1024)));
		free(keep(realloc(NULL, 8192)));
		for (int i = 0; i < 8; i++) {
			free(keep(strdup(text)));
		}
	}
	truth->other = 8 * ((bytes + 8191) / 8192) * 8192;
}

/* ---- churn ---- */

static NOINLINE void *comes_and_goes(size_t size)
{
	return keep(malloc(size));
}

static NOINLINE void *fills_cache(size_t size)
{
	return keep(malloc(size));
}

static NOINLINE void *waits_in_queue(size_t size)
{
	return keep(malloc(size));
}

static NOINLINE void *forgets(size_t size)
{
	return keep(malloc(size));
}

static void churn(double seconds, double leak_bytes_per_s, double cache_bytes)
{
	static struct {
		void *p;
		double leaves;
	} queue[QUEUE];
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);
	uint64_t cached = 0, queued = 0, head = 0, tail = 0;
	double now = 0;

	while (now < seconds) {
		struct timespec pause = { 0, 200000 };

		for (int i = 0; i < 40; i++) {
			free(comes_and_goes(256 + (size_t)i * 32));
		}
		for (; (double)cached < cache_bytes * (now < seconds / 10 ? now / (seconds / 10) : 1);
		     cached += 1024) {
			fills_cache(1024);
		}
		for (; (double)truth->forgotten < leak_bytes_per_s * now; truth->forgotten += 512) {
			forgets(512);
		}
		for (; (double)queued < 2e6 * now && tail - head < QUEUE; queued += 768, tail++) {
			queue[tail % QUEUE].p = waits_in_queue(768);
			queue[tail % QUEUE].leaves = now + seconds / 5;
		}
		for (; head < tail && queue[head % QUEUE].leaves < now; head++) {
			free(queue[head % QUEUE].p);
		}
		nanosleep(&pause, NULL);
		now = (double)(clock_ns(CLOCK_MONOTONIC) - begin) / 1e9;
	}
}

static int write_truth(const char *path)
{
	FILE *file = path ? fopen(path, "we") : stdout;

	if (!file) {
		return 1;
	}
	fprintf(file, "{\"sites\": {");
	for (int i = 0; i < SITES; i++) {
		fprintf(file, "%s\"site_%d\": {\"bytes\": %llu, \"in_use\": %llu}", i ? ", " : "", i,
			(unsigned long long)truth->bytes[i], (unsigned long long)truth->in_use[i]);
	}
	fprintf(file, "}, \"other\": %llu, \"forgotten\": %llu}\n", (unsigned long long)truth->other,
		(unsigned long long)truth->forgotten);
	return path ? fclose(file) != 0 : 0;
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "sites";
	uint64_t bytes = (uint64_t)(number_arg(argc, argv, 2, 64) * 1048576);
	double seconds = number_arg(argc, argv, 3, 5);
	double leak = number_arg(argc, argv, 4, 0) * 1024;
	struct timespec pause = { 0, 150000000 };

	truth = mmap(NULL, sizeof(*truth), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (truth == MAP_FAILED) {
		return 1;
	}
	if (strcmp(way, "threads") == 0) {
		run_threads(bytes);
	} else if (strcmp(way, "forks") == 0) {
		run_forks(bytes);
	} else if (strcmp(way, "realloc") == 0) {
		while (truth->other < bytes) {
			grow_vector(bytes);
		}
	} else if (strcmp(way, "surface") == 0) {
		use_surface(bytes);
	} else if (strcmp(way, "churn") == 0) {
		churn(seconds, leak, (double)bytes);
	} else {
		share_out(bytes, 1);
	}
	nanosleep(&pause, NULL); /* long enough to be looked at, however little it did */
	return write_truth(argc > 5 ? argv[5] : NULL);
}
