/* SPDX-License-Identifier: MIT */
/*
 * churn SECONDS FORKS THREADS [ROUNDS [LIGHT]]: start so many processes and so many threads a second, each of which works for
 * ROUNDS (2000: about 2 ms) in churn_work and ends; then print how many there were, as JSON. LIGHT 1: processes share the memory
 * of their parent (vfork), so that more of them fit into a second. For whatever must follow short-lived processes and threads.
 */
#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workload.h"

static unsigned rounds; /* set once, before all else */
static bool is_light;

static NOINLINE uint64_t churn_work(uint64_t value)
{
	for (unsigned i = 0; i < rounds; i++) {
		SPIN(value);
	}
	return value;
}

static void *thread_main(void *arg)
{
	uint64_t *value = arg;

	*value = churn_work(*value);
	return NULL;
}

static int run_process(uint64_t *value)
{
	uint64_t begun = *value;
	pid_t pid = is_light ? vfork() : fork();

	if (pid == 0) {
		_exit(churn_work(begun) == 0); /* looked at, so that it is done */
	}
	return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static int run_thread(uint64_t *value)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_main, value) != 0) {
		return -1;
	}
	return pthread_join(thread, NULL) == 0 ? 0 : -1;
}

/* How many a second make how many by now. */
static uint64_t due(double rate, uint64_t elapsed_ns)
{
	return (uint64_t)(rate * (double)elapsed_ns / 1e9);
}

int main(int argc, char **argv)
{
	uint64_t end_ns = (uint64_t)(number_arg(argc, argv, 1, 1) * 1e9);
	double fork_rate = number_arg(argc, argv, 2, 50);
	double thread_rate = number_arg(argc, argv, 3, 50);
	uint64_t began_ns = clock_ns(CLOCK_MONOTONIC);
	uint64_t elapsed_ns = 0;
	uint64_t forks = 0;
	uint64_t threads = 0;
	uint64_t value = 1;

	rounds = (unsigned)number_arg(argc, argv, 4, 2000);
	is_light = number_arg(argc, argv, 5, 0) > 0;
	while (elapsed_ns < end_ns) {
		if (forks < due(fork_rate, elapsed_ns) && run_process(&value) == 0) {
			forks++;
		}
		if (threads < due(thread_rate, elapsed_ns) && run_thread(&value) == 0) {
			threads++;
		}
		/* Behind the rate there is no time to rest. */
		if (forks >= due(fork_rate, elapsed_ns) && threads >= due(thread_rate, elapsed_ns)) {
			nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
		}
		elapsed_ns = clock_ns(CLOCK_MONOTONIC) - began_ns;
	}
	printf("{\"forks\": %llu, \"threads\": %llu}\n", (unsigned long long)forks,
	       (unsigned long long)threads);
	return 0;
}
