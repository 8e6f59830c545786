/* SPDX-License-Identifier: MIT */
#include "artifact/residence.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u

void residence_init(struct residence *residence)
{
	memset(residence, 0, sizeof(*residence));
	pthread_mutex_init(&residence->lock, NULL);
}

static void advise(const struct residence *residence, uint64_t offset, uint64_t end, int advice)
{
	uint64_t start = offset & ~(uint64_t)(PAGE_BYTES - 1);

	if (end > residence->map_bytes) {
		end = residence->map_bytes;
	}
	if (end > start) {
		(void)madvise(residence->map + start, (size_t)(end - start), advice);
	}
}

void residence_release(struct residence *residence, uint64_t offset, uint64_t bytes)
{
	advise(residence, offset, offset + bytes, MADV_DONTNEED);
}

/* Folios are aligned in the file: so are spans. */
static void let_go_of_oldest(struct residence *residence)
{
	uint64_t start = residence->spans[residence->oldest] * RESIDENCE_SPAN_BYTES;

	advise(residence, start, start + RESIDENCE_SPAN_BYTES, MADV_DONTNEED);
	residence->oldest = (residence->oldest + 1) % RESIDENCE_SPANS;
	residence->count--;
}

static bool is_held(const struct residence *residence, uint64_t span)
{
	for (uint32_t i = 0; i < residence->count; i++) {
		if (residence->spans[(residence->oldest + i) % RESIDENCE_SPANS] == span) {
			return true;
		}
	}
	return false;
}

void residence_touch(struct residence *residence, uint64_t offset, uint64_t bytes)
{
	uint64_t last = (offset + bytes) / RESIDENCE_SPAN_BYTES;
	bool is_new = false;

	pthread_mutex_lock(&residence->lock);
	for (uint64_t span = offset / RESIDENCE_SPAN_BYTES; span <= last; span++) {
		if (is_held(residence, span)) {
			continue;
		}
		if (residence->count == RESIDENCE_SPANS) {
			let_go_of_oldest(residence);
		}
		residence->spans[(residence->oldest + residence->count) % RESIDENCE_SPANS] = span;
		residence->count++;
		is_new = true;
	}
	if (is_new) { /* read all of it at once when it is not in the page cache */
		advise(residence, offset, offset + bytes, MADV_WILLNEED);
	}
	pthread_mutex_unlock(&residence->lock);
}

void residence_finish(struct residence *residence)
{
	pthread_mutex_destroy(&residence->lock);
}
