/* SPDX-License-Identifier: MIT */
/*
 * split SECONDS A B C [THREADS]: burn CPU in burn_a, burn_b and burn_c in the given proportions, then print what each took
 * by the threads' own clocks, as JSON. Proportions are kept by CPU time, so the truth follows them closely whatever the
 * machine does.
 */
#include <pthread.h>

#include "workload.h"

#define SLICE_NS    1000000u /* long beside a clock read, short beside a test */
#define PARTS       3
#define MAX_THREADS 64

static NOINLINE uint64_t burn_a(uint64_t value, uint64_t steps)
{
	for (uint64_t i = 0; i < steps; i++) {
		SPIN(value);
	}
	return value;
}

static NOINLINE uint64_t burn_b(uint64_t value, uint64_t steps)
{
	for (uint64_t i = 0; i < steps; i++) {
		SPIN(value);
		value ^= 1;
	}
	return value;
}

static NOINLINE uint64_t burn_c(uint64_t value, uint64_t steps)
{
	for (uint64_t i = 0; i < steps; i++) {
		SPIN(value);
		value ^= 3;
	}
	return value;
}

struct burner {
	double seconds;
	double share[PARTS];
	uint64_t cpu_ns[PARTS];
	uint64_t value;
};

/* The part that is furthest behind its share. */
static int next_part(const struct burner *burner)
{
	double least = 0;
	int part = -1;

	for (int i = 0; i < PARTS; i++) {
		double done = burner->share[i] > 0 ? (double)burner->cpu_ns[i] / burner->share[i] : 0;

		if (burner->share[i] > 0 && (part < 0 || done < least)) {
			part = i;
			least = done;
		}
	}
	return part;
}

static NOINLINE void burn_slice(struct burner *burner, int part, uint64_t steps)
{
	uint64_t began_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	if (part == 0) {
		burner->value = burn_a(burner->value, steps);
	} else if (part == 1) {
		burner->value = burn_b(burner->value, steps);
	} else {
		burner->value = burn_c(burner->value, steps);
	}
	burner->cpu_ns[part] += clock_ns(CLOCK_THREAD_CPUTIME_ID) - began_ns;
}

static void *burn(void *arg)
{
	struct burner *burner = arg;
	uint64_t end_ns = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(burner->seconds * 1e9);

	while (clock_ns(CLOCK_MONOTONIC) < end_ns) {
		burn_slice(burner, next_part(burner), SLICE_NS / 1000);
	}
	return NULL;
}

static void print_truth(const struct burner *burners, unsigned threads)
{
	static const char *const names[PARTS] = { "burn_a", "burn_b", "burn_c" };
	uint64_t cpu_ns[PARTS] = { 0 };
	uint64_t total_ns = 0;

	for (unsigned i = 0; i < threads; i++) {
		for (int part = 0; part < PARTS; part++) {
			cpu_ns[part] += burners[i].cpu_ns[part];
			total_ns += burners[i].cpu_ns[part];
		}
	}
	printf("{\"work_cpu_ns\": %llu, \"functions\": {", (unsigned long long)total_ns);
	for (int part = 0; part < PARTS; part++) {
		printf("%s\"%s\": {\"cpu_ns\": %llu, \"share\": %.6f}", part > 0 ? ", " : "", names[part],
		       (unsigned long long)cpu_ns[part],
		       total_ns > 0 ? (double)cpu_ns[part] / (double)total_ns : 0);
	}
	printf("}}\n");
}

int main(int argc, char **argv)
{
	static struct burner burners[MAX_THREADS];
	pthread_t threads[MAX_THREADS];
	double count = number_arg(argc, argv, 5, 1);
	unsigned thread_count = count >= 1 && count <= MAX_THREADS ? (unsigned)count : 1;

	for (unsigned i = 0; i < thread_count; i++) {
		burners[i].seconds = number_arg(argc, argv, 1, 1);
		for (int part = 0; part < PARTS; part++) {
			burners[i].share[part] = number_arg(argc, argv, 2 + part, 1);
		}
		if (next_part(&burners[i]) < 0) {
			fprintf(stderr, "split: no share is above 0\n");
			return 2;
		}
	}
	for (unsigned i = 1; i < thread_count; i++) {
		if (pthread_create(&threads[i], NULL, burn, &burners[i]) != 0) {
			perror("split: thread");
			return 1;
		}
	}
	burn(&burners[0]);
	for (unsigned i = 1; i < thread_count; i++) {
		pthread_join(threads[i], NULL);
	}
	print_truth(burners, thread_count);
	return 0;
}
