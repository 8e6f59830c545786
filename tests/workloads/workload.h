/* SPDX-License-Identifier: MIT */
/* What the workloads share: clocks, numbers from the command line, work that costs CPU. */
#ifndef TESTS_WORKLOAD_H
#define TESTS_WORKLOAD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NOINLINE __attribute__((noinline))

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* argv[index], or the default when there is none or it is no number. */
static inline double number_arg(int argc, char **argv, int index, double missing)
{
	char *end;
	double number;

	if (index >= argc) {
		return missing;
	}
	number = strtod(argv[index], &end);
	return end != argv[index] && *end == '\0' ? number : missing;
}

/*
 * About a microsecond of arithmetic on an uint64_t variable. A macro, so that it belongs to the function that it stands in
 * by every way of counting; each step is done, one after the other.
 */
#define SPIN(value)                                                                                          \
	do {                                                                                                 \
		for (unsigned spin_ = 0; spin_ < 400; spin_++) {                                             \
			(value) = (value)*6364136223846793005u + 1442695040888963407u;                       \
			__asm__ volatile("" : "+r"(value));                                                  \
		}                                                                                            \
	} while (0)

#endif
