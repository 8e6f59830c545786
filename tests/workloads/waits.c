/* SPDX-License-Identifier: MIT */
/*
 * waits [ROUNDS [PAUSE]]: wait in known ways, each in a function of its own, and say as JSON how long each took by the clock around
 * it. PAUSE seconds come first, for those who attach. All waits but the writes of save() are of the function that names them:
 *
 *   nap()       sleeps 5 ms                    save()       writes a block and has it put on the disk
 *   queue_up()  waits for a lock that another thread holds for 4 ms at a time, asleep: hold_lock()
 *   fetch()     reads a byte from a pipe that another thread fills after 3 ms: answer()
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "workload.h"

static uint64_t nap_ns, save_ns, save_off_ns, queue_ns, fetch_ns, hold_ns, answer_ns, sleep_off_ns[3];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t meet;
static int asks[2], answers[2];
static long rounds = 50;

/* Time that passed for this thread without the CPU. */
static inline uint64_t off_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC) - clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static inline __attribute__((always_inline)) void sleep_ms(long ms, uint64_t *sum)
{
	struct timespec left = { 0, ms * 1000000 };
	uint64_t began = off_ns();

	clock_nanosleep(CLOCK_MONOTONIC, 0, &left, NULL);
	*sum += off_ns() - began;
}

static NOINLINE void nap(void)
{
	sleep_ms(5, &sleep_off_ns[0]);
	__asm__ volatile("" ::: "memory"); /* no tail call: this function is on the stack while it waits */
}

static NOINLINE void save(int fd)
{
	char block[4096];
	uint64_t began;

	memset(block, 'x', sizeof(block));
	if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block)) {
		exit(1);
	}
	began = off_ns();
	if (fsync(fd) != 0) {
		exit(1);
	}
	save_off_ns += clock_ns(CLOCK_MONOTONIC) - clock_ns(CLOCK_THREAD_CPUTIME_ID) -
		       began; /* without the CPU that it took */
	__asm__ volatile("" ::: "memory");
}

static NOINLINE void queue_up(void)
{
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
	__asm__ volatile("" ::: "memory");
}

static NOINLINE void fetch(void)
{
	char byte = 'a';

	if (write(asks[1], &byte, 1) != 1 || read(answers[0], &byte, 1) != 1) {
		exit(1);
	}
	__asm__ volatile("" ::: "memory");
}

static void *hold_lock(void *unused)
{
	for (long i = 0; i < rounds; i++) {
		uint64_t began;

		pthread_mutex_lock(&lock);
		pthread_barrier_wait(&meet);
		began = clock_ns(CLOCK_MONOTONIC);
		sleep_ms(4, &sleep_off_ns[1]);
		hold_ns += clock_ns(CLOCK_MONOTONIC) - began;
		pthread_mutex_unlock(&lock);
		pthread_barrier_wait(&meet);
	}
	return unused;
}

static void *answer(void *unused)
{
	char byte;

	while (read(asks[0], &byte, 1) == 1) {
		uint64_t began = clock_ns(CLOCK_MONOTONIC);

		sleep_ms(3, &sleep_off_ns[2]);
		answer_ns += clock_ns(CLOCK_MONOTONIC) - began;
		if (write(answers[1], &byte, 1) != 1) {
			exit(1);
		}
	}
	return unused;
}

#define MEASURE(sum, call)                                                                                   \
	do {                                                                                                 \
		uint64_t began_ = clock_ns(CLOCK_MONOTONIC);                                                 \
		call;                                                                                        \
		(sum) += clock_ns(CLOCK_MONOTONIC) - began_;                                                 \
	} while (0)

int main(int argc, char **argv)
{
	char path[] = "waits.XXXXXX";
	pthread_t holder, answerer;
	int fd = mkstemp(path);
	uint64_t began;

	rounds = (long)number_arg(argc, argv, 1, 50);
	if (fd < 0 || unlink(path) != 0 || pipe(asks) != 0 || pipe(answers) != 0) {
		return 1;
	}
	if (argc > 2) {
		usleep((useconds_t)(number_arg(argc, argv, 2, 0) * 1e6));
	}
	pthread_barrier_init(&meet, NULL, 2);
	began = clock_ns(CLOCK_MONOTONIC);
	pthread_create(&holder, NULL, hold_lock, NULL);
	pthread_create(&answerer, NULL, answer, NULL);
	for (long i = 0; i < rounds; i++) {
		pthread_barrier_wait(&meet);
		MEASURE(queue_ns, queue_up());
		pthread_barrier_wait(&meet);
		MEASURE(nap_ns, nap());
		MEASURE(save_ns, save(fd));
		MEASURE(fetch_ns, fetch());
	}
	pthread_join(holder, NULL);
	close(asks[1]);
	pthread_join(answerer, NULL);
	printf("{\"rounds\": %ld, \"nap\": %llu, \"save\": %llu, \"save_off\": %llu, \"queue_up\": %llu, "
	       "\"fetch\": %llu, "
	       "\"hold_lock\": %llu, \"answer\": %llu, \"sleep_off\": %llu, \"wall\": %llu}\n",
	       rounds, (unsigned long long)nap_ns, (unsigned long long)save_ns,
	       (unsigned long long)save_off_ns, (unsigned long long)queue_ns, (unsigned long long)fetch_ns,
	       (unsigned long long)hold_ns, (unsigned long long)answer_ns,
	       (unsigned long long)(sleep_off_ns[0] + sleep_off_ns[1] + sleep_off_ns[2]),
	       (unsigned long long)(clock_ns(CLOCK_MONOTONIC) - began));
	return 0;
}
