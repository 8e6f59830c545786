/* SPDX-License-Identifier: MIT */
#include "artifact/residence.h"

#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u

void residence_init(struct residence *residence)
{
	memset(residence, 0, sizeof(*residence));
	pthread_mutex_init(&residence->lock, NULL);
}

static void advise(struct residence *residence, uint64_t offset, uint64_t bytes, int advice)
{
	uint64_t start = offset & ~(uint64_t)(PAGE_BYTES - 1);

	if (bytes > 0) {
		(void)madvise(residence->map + start, (size_t)(offset + bytes - start), advice);
	}
}

void residence_release(struct residence *residence, uint64_t offset, uint64_t bytes)
{
	advise(residence, offset, bytes, MADV_DONTNEED);
}

static int is_held(const struct residence *residence, uint64_t offset)
{
	for (uint32_t i = 0; i < residence->count; i++) {
		if (residence->ranges[(residence->oldest + i) % RESIDENCE_RANGES].offset == offset) {
			return 1;
		}
	}
	return 0;
}

static void let_go_of_oldest(struct residence *residence)
{
	uint32_t at = residence->oldest;

	residence_release(residence, residence->ranges[at].offset, residence->ranges[at].bytes);
	residence->bytes -= residence->ranges[at].bytes;
	residence->oldest = (at + 1) % RESIDENCE_RANGES;
	residence->count--;
}

void residence_touch(struct residence *residence, uint64_t offset, uint64_t bytes)
{
	uint32_t at;

	pthread_mutex_lock(&residence->lock);
	if (!is_held(residence, offset)) {
		while (residence->count > 0 &&
		       (residence->count == RESIDENCE_RANGES || residence->bytes + bytes > RESIDENCE_BYTES)) {
			let_go_of_oldest(residence);
		}
		at = (residence->oldest + residence->count) % RESIDENCE_RANGES;
		residence->ranges[at].offset = offset;
		residence->ranges[at].bytes = bytes;
		residence->count++;
		residence->bytes += bytes;
		advise(residence, offset, bytes, MADV_WILLNEED);
	}
	pthread_mutex_unlock(&residence->lock);
}

void residence_finish(struct residence *residence)
{
	pthread_mutex_destroy(&residence->lock);
}
