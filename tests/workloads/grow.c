/* SPDX-License-Identifier: MIT */
/*
 * grow [--way WAY] [--mib N] [--steps N] [--step-ms N] [--hold-ms N] [--free PCT] [--truth FILE] [--seed N]
 *
 * Grows by N MiB in equal steps and writes, as JSON, how many bytes each planted function touched first, and its own RSS after
 * each step on CLOCK_MONOTONIC. Each step is shared out 70 : 20 : 10 among grow_most, grow_some and grow_little, which touch
 * every page of what they get: their pages are faulted in there and nowhere else.
 *
 * Ways to come by memory: heap (malloc), mmap, arena (own allocator over one mmap), realloc (one block that grows), fork (each step in a
 * child that then ends), read (the kernel touches the pages, in read(2)), file (pages of a mapped file: no growth of anonymous
 * memory), threads (each step in a thread of its own), stack (deep in a thread's stack).
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workload.h"

#define PAGE      4096u
#define MAX_STEPS 4096

struct grow {
	const char *way;
	uint64_t bytes;
	unsigned steps, step_ms, hold_ms, free_pct;
	FILE *truth;
	uint64_t touched[3];
	unsigned char *arena;
	uint64_t arena_used;
	unsigned char *block; /* of realloc */
	uint64_t block_bytes;
	int zero_fd;
	struct {
		uint64_t time_ns, rss;
	} done[MAX_STEPS];
	volatile unsigned sum;
};

static NOINLINE unsigned grow_most(unsigned char *at, uint64_t bytes)
{
	unsigned sum = 1;

	for (uint64_t i = 0; i < bytes; i += PAGE) {
		at[i] = (unsigned char)sum++;
	}
	return sum;
}

static NOINLINE unsigned grow_some(unsigned char *at, uint64_t bytes)
{
	unsigned sum = 2;

	for (uint64_t i = 0; i < bytes; i += PAGE) {
		at[i] = (unsigned char)sum++;
	}
	return sum;
}

static NOINLINE unsigned grow_little(unsigned char *at, uint64_t bytes)
{
	unsigned sum = 3;

	for (uint64_t i = 0; i < bytes; i += PAGE) {
		at[i] = (unsigned char)sum++;
	}
	return sum;
}

/* The kernel writes here: the fault happens in its code, on behalf of the one that calls read. */
static NOINLINE unsigned grow_by_read(int fd, unsigned char *at, uint64_t bytes)
{
	uint64_t done = 0;

	while (done < bytes) {
		ssize_t got = read(fd, at + done, bytes - done);

		if (got <= 0) {
			exit(3);
		}
		done += (uint64_t)got;
	}
	return at[bytes - 1];
}

static NOINLINE unsigned read_pages(const unsigned char *at, uint64_t bytes)
{
	unsigned sum = 0;

	for (uint64_t i = 0; i < bytes; i += PAGE) {
		sum += at[i];
	}
	return sum;
}

static unsigned char *map(uint64_t bytes)
{
	unsigned char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED) {
		exit(2);
	}
	return at;
}

static unsigned char *map_file(uint64_t bytes)
{
	FILE *file = tmpfile();
	unsigned char *at;

	if (!file || ftruncate(fileno(file), (off_t)bytes) != 0) {
		exit(2);
	}
	at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fileno(file), 0);
	fclose(file);
	return at == MAP_FAILED ? NULL : at;
}

/* Memory of the wanted kind: at least `bytes`, at the start of a page. */
static unsigned char *get(struct grow *grow, uint64_t bytes)
{
	unsigned char *at;

	if (strcmp(grow->way, "heap") == 0) {
		at = malloc(bytes + PAGE);
		return at ? at + (PAGE - (uintptr_t)at % PAGE) % PAGE : NULL;
	}
	if (strcmp(grow->way, "realloc") == 0) {
		at = realloc(grow->block, grow->block_bytes + bytes + PAGE);
		if (!at) {
			exit(2);
		}
		grow->block = at;
		at += grow->block_bytes + PAGE - 1;
		at -= (uintptr_t)at % PAGE;
		grow->block_bytes += bytes;
		return at;
	}
	if (strcmp(grow->way, "arena") == 0) {
		at = grow->arena + grow->arena_used;
		grow->arena_used += bytes;
		return at;
	}
	return strcmp(grow->way, "file") == 0 ? map_file(bytes) : map(bytes);
}

static uint64_t part_of(uint64_t bytes, unsigned percent)
{
	return bytes * percent / 100 / PAGE * PAGE;
}

static void touch(struct grow *grow, uint64_t bytes)
{
	static const unsigned shares[] = { 70, 20, 10 };
	unsigned char *at = get(grow, bytes);
	unsigned sum = 0;

	if (!at) {
		exit(2);
	}
	for (int i = 0; i < 3; i++) {
		uint64_t part = part_of(bytes, shares[i]);

		if (strcmp(grow->way, "file") == 0) {
			sum += read_pages(at, part);
		} else if (strcmp(grow->way, "read") == 0) {
			sum += grow_by_read(grow->zero_fd, at, part);
		} else {
			sum += i == 0   ? grow_most(at, part)
			       : i == 1 ? grow_some(at, part)
					: grow_little(at, part);
		}
		grow->sum = sum; /* so that no compiler finds the reads useless */
		grow->touched[i] += part;
		at += part;
	}
	if (grow->free_pct &&
	    strcmp(grow->way, "mmap") == 0) { /* what grow_little and part of grow_some touched goes again */
		uint64_t back = bytes * grow->free_pct / 100 / PAGE * PAGE;

		munmap(at - back, back);
	}
}

struct job {
	struct grow *grow;
	uint64_t bytes;
};

static void *touch_in_thread(void *arg)
{
	struct job *job = arg;

	touch(job->grow, job->bytes);
	return NULL;
}

static void pause_ms(unsigned ms)
{
	struct timespec wait = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&wait, NULL);
}

static void step(struct grow *grow, uint64_t bytes)
{
	struct job job = { grow, bytes };
	pthread_t thread;
	pid_t pid;

	if (strcmp(grow->way, "fork") == 0) {
		pid = fork();
		if (pid == 0) {
			touch(grow, bytes);
			pause_ms(grow->step_ms);
			_exit(0);
		}
		for (int i = 0; i < 3; i++) {
			static const unsigned shares[] = { 70, 20, 10 };

			grow->touched[i] += part_of(bytes, shares[i]);
		}
		waitpid(pid, NULL, 0);
	} else if (strcmp(grow->way, "threads") == 0) {
		if (pthread_create(&thread, NULL, touch_in_thread, &job) != 0) {
			exit(2);
		}
		pthread_join(thread, NULL);
	} else {
		touch(grow, bytes);
	}
}

/* smaps_rollup is exact where statm's counters may lag. */
static uint64_t own_rss(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	unsigned long long kib = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file) && sscanf(line, "Rss: %llu kB", &kib) != 1) {
	}
	if (file) {
		fclose(file);
	}
	return kib * 1024;
}

static void write_truth(const struct grow *grow)
{
	fprintf(grow->truth,
		"{\"pid\": %d, \"way\": \"%s\", \"touched\": {\"grow_most\": %llu, \"grow_some\": %llu, "
		"\"grow_little\": %llu}, ",
		(int)getpid(), grow->way, (unsigned long long)grow->touched[0],
		(unsigned long long)grow->touched[1], (unsigned long long)grow->touched[2]);
	fprintf(grow->truth, "\"steps\": [");
	for (unsigned i = 0; i < grow->steps; i++) {
		fprintf(grow->truth, "%s{\"time\": %llu, \"rss\": %llu}", i ? ", " : "",
			(unsigned long long)grow->done[i].time_ns, (unsigned long long)grow->done[i].rss);
	}
	fprintf(grow->truth, "]}\n");
	fflush(grow->truth);
}

static void parse(struct grow *grow, int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		double number = number_arg(argc, argv, i + 1, 0);

		if (strcmp(argv[i], "--way") == 0) {
			grow->way = argv[i + 1];
		} else if (strcmp(argv[i], "--mib") == 0) {
			grow->bytes = (uint64_t)(number * 1024 * 1024);
		} else if (strcmp(argv[i], "--steps") == 0) {
			grow->steps = number < 1 ? 1 : number > MAX_STEPS ? MAX_STEPS : (unsigned)number;
		} else if (strcmp(argv[i], "--step-ms") == 0) {
			grow->step_ms = (unsigned)number;
		} else if (strcmp(argv[i], "--hold-ms") == 0) {
			grow->hold_ms = (unsigned)number;
		} else if (strcmp(argv[i], "--free") == 0) {
			grow->free_pct = (unsigned)number;
		} else if (strcmp(argv[i], "--truth") == 0) {
			grow->truth = fopen(argv[i + 1], "w");
			if (!grow->truth) {
				exit(4);
			}
		}
	}
	grow->truth = grow->truth ? grow->truth : stdout;
}

int main(int argc, char **argv)
{
	static struct grow grow = { .way = "heap", .bytes = 32u << 20, .steps = 16, .step_ms = 50 };

	parse(&grow, argc, argv);
	grow.zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (strcmp(grow.way, "arena") == 0) {
		grow.arena = map(grow.bytes + PAGE * grow.steps);
	}
	for (unsigned i = 0; i < grow.steps; i++) {
		step(&grow, grow.bytes / grow.steps / PAGE * PAGE);
		grow.done[i].time_ns = clock_ns(CLOCK_MONOTONIC);
		grow.done[i].rss = own_rss();
		pause_ms(strcmp(grow.way, "fork") == 0 ? 0 : grow.step_ms);
	}
	write_truth(&grow);
	pause_ms(grow.hold_ms);
	return 0;
}
