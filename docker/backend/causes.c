/* SPDX-License-Identifier: MIT */
#include "causes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RECORD_BYTES 4096
#define FILE_BYTES   (1u << 20) /* records go round in it, so that it does not grow */
#define CHURN_BLOCKS 4000
#define CHURN_LIVE   64
#define LARGE_BYTES  (256u << 10) /* above glibc's mmap threshold: every one maps, faults and unmaps */
#define LEAK_BLOCK   1024

int causes_init(struct causes *causes, const char *folder)
{
	static const char first[RECORD_BYTES];

	pthread_mutex_init(&causes->cache_lock, NULL);
	atomic_init(&causes->file_offset, 0);
	snprintf(causes->file_path, sizeof(causes->file_path), "%s/backend-XXXXXX", folder);
	causes->file = mkostemp(causes->file_path, O_CLOEXEC);
	if (causes->file < 0 || pwrite(causes->file, first, sizeof(first), 0) != (ssize_t)sizeof(first)) {
		fprintf(stderr, "backend: %s: %s; --folder names another place\n", causes->file_path,
			strerror(errno));
		return -1;
	}
	return 0;
}

void causes_finish(struct causes *causes)
{
	if (causes->file >= 0) {
		unlink(causes->file_path);
		close(causes->file);
		causes->file = -1;
	}
	pthread_mutex_destroy(&causes->cache_lock);
}

NOINLINE uint64_t rebuild_cache(struct causes *causes, struct truth *truth, uint64_t seed, uint64_t rounds)
{
	uint64_t asked_ns = truth_clock_ns(CLOCK_MONOTONIC);
	uint64_t got_ns;
	uint64_t cpu_ns;
	uint64_t result;

	pthread_mutex_lock(&causes->cache_lock);
	got_ns = truth_clock_ns(CLOCK_MONOTONIC);
	cpu_ns = truth_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	result = hash_rounds(seed, rounds);
	cpu_ns = truth_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	truth_add(&truth->lock_hold, 1, 0, truth_clock_ns(CLOCK_MONOTONIC) - got_ns);
	pthread_mutex_unlock(&causes->cache_lock);
	truth_add(&truth->lock_wait, 1, 0, got_ns - asked_ns);
	truth_add(&truth->work[WORK_HASH], 1, 0, cpu_ns);
	return result;
}

NOINLINE int append_audit_record(struct causes *causes, struct truth *truth)
{
	char record[RECORD_BYTES];
	uint64_t began_ns = truth_clock_ns(CLOCK_MONOTONIC);
	uint64_t offset = atomic_fetch_add(&causes->file_offset, RECORD_BYTES) % FILE_BYTES;

	memset(record, 'a' + (int)(offset / RECORD_BYTES % 26), sizeof(record));
	if (pwrite(causes->file, record, sizeof(record), (off_t)offset) != (ssize_t)sizeof(record) ||
	    fsync(causes->file) != 0) {
		return errno != 0 ? errno : EIO;
	}
	truth_add(&truth->fsync, 1, sizeof(record), truth_clock_ns(CLOCK_MONOTONIC) - began_ns);
	return 0;
}

/* Sizes spread over 16 bytes to 4 KiB; one in 500 is large. */
static size_t churn_bytes(uint64_t *random)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	if ((*random >> 33) % 500 == 0) {
		return LARGE_BYTES;
	}
	return (size_t)16 << ((*random >> 40) % 9);
}

NOINLINE uint64_t churn_memory(struct truth *truth, uint64_t seed)
{
	unsigned char *live[CHURN_LIVE] = { NULL };
	uint64_t began_ns = truth_clock_ns(CLOCK_MONOTONIC);
	uint64_t random = seed | 1;
	uint64_t bytes = 0;
	uint64_t count = 0;
	uint64_t sum = 0;

	for (unsigned i = 0; i < CHURN_BLOCKS; i++) {
		unsigned char **slot = &live[i % CHURN_LIVE];
		size_t block_bytes = churn_bytes(&random);

		free(*slot);
		*slot = malloc(block_bytes);
		if (*slot == NULL) {
			break;
		}
		for (size_t at = 0; at < block_bytes; at += 4096) {
			(*slot)[at] = (unsigned char)random;
			sum += (*slot)[at];
		}
		bytes += block_bytes;
		count++;
	}
	for (unsigned i = 0; i < CHURN_LIVE; i++) {
		free(live[i]);
	}
	truth_add(&truth->alloc, count, bytes, truth_clock_ns(CLOCK_MONOTONIC) - began_ns);
	return sum;
}

NOINLINE void leak_session(struct truth *truth, uint64_t bytes, uint64_t limit)
{
	for (uint64_t done = 0; done < bytes; done += LEAK_BLOCK) {
		size_t block_bytes = bytes - done < LEAK_BLOCK ? (size_t)(bytes - done) : LEAK_BLOCK;
		/* volatile: a block that nobody looks at could be optimised away with its allocation */
		unsigned char *volatile block = NULL;

		if (atomic_load(&truth->leak.bytes) + block_bytes > limit) {
			break;
		}
		block = malloc(block_bytes);
		if (block == NULL) {
			break;
		}
		block[0] = 1;
		truth_add(&truth->leak, 1, block_bytes, 0);
	}
}

NOINLINE uint64_t read_templates(struct causes *causes, struct truth *truth, uint64_t reads)
{
	uint64_t began_ns = truth_clock_ns(CLOCK_MONOTONIC);
	uint64_t bytes = 0;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < reads; i++) {
		unsigned char byte = 0;

		if (pread(causes->file, &byte, 1, (off_t)(i % RECORD_BYTES)) == 1) {
			bytes++;
		}
		sum += byte;
	}
	truth_add(&truth->reads, reads, bytes, truth_clock_ns(CLOCK_MONOTONIC) - began_ns);
	return sum;
}
