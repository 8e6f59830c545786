/* SPDX-License-Identifier: MIT */
/*
 * loop KIND: the same cheap thing again and again, and every second a line with what one costs, in ns: the fastest hundredth of the
 * batches and their median, and when that second began. A noisy machine spoils the median, hardly the hundredth.
 *
 *   call     getppid               read     1 byte of /dev/zero
 *   switch   a byte to and fro between two threads on one CPU: two switches and four calls a time
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BATCH   100
#define BATCHES 200000

static int to[2], fro[2];

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void *echo(void *unused)
{
	char byte;

	while (read(to[0], &byte, 1) == 1 && write(fro[1], &byte, 1) == 1) {
	}
	return unused;
}

static void once(char kind, int fd)
{
	char byte = 'a';

	if (kind == 'c') {
		syscall(SYS_getppid);
	} else if (kind == 'r') {
		if (read(fd, &byte, 1) != 1) {
			exit(1);
		}
	} else if (write(to[1], &byte, 1) != 1 || read(fro[0], &byte, 1) != 1) {
		exit(1);
	}
}

static int compare(const void *a, const void *b)
{
	double first = *(const double *)a, second = *(const double *)b;

	return (first > second) - (first < second);
}

int main(int argc, char **argv)
{
	static double batches[BATCHES];
	char kind = argc > 1 ? argv[1][0] : 'c';
	int fd = open("/dev/zero", O_RDONLY);
	cpu_set_t cpu;
	pthread_t thread;

	if (kind == 's') {
		CPU_ZERO(&cpu);
		CPU_SET(0, &cpu);
		if (pipe(to) != 0 || pipe(fro) != 0 || sched_setaffinity(0, sizeof(cpu), &cpu) != 0 ||
		    pthread_create(&thread, NULL, echo, NULL) != 0) {
			return 1;
		}
	}
	for (;;) {
		double end = now_ns() + 1e9, before = now_ns();
		size_t count = 0;

		while (before < end && count < BATCHES) {
			double after;

			for (int i = 0; i < BATCH; i++) {
				once(kind, fd);
			}
			after = now_ns();
			batches[count++] = (after - before) / BATCH;
			before = after;
		}
		qsort(batches, count, sizeof(batches[0]), compare);
		printf("%.1f %.1f %.0f\n", batches[count / 100], batches[count / 2], end - 1e9);
		fflush(stdout);
	}
}
