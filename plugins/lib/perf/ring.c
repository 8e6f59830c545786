/* SPDX-License-Identifier: MIT */
/* One perf ring: see ring.h. The kernel writes data_head, we write data_tail; both only grow. */
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "event.h"

#define PERF_RING_MIN_BYTES   (64 * 1024)
#define PERF_RECORD_MAX_BYTES (64 * 1024) /* header.size is 16 bits */

static int open_owner(int32_t cpu, uint64_t bytes)
{
	struct perf_event_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.size = sizeof(attr);
	attr.type = PERF_TYPE_SOFTWARE;
	attr.config = PERF_COUNT_SW_DUMMY;
	attr.exclude_kernel = 1;
	attr.exclude_hv = 1;
	attr.disabled = 1;
	attr.watermark = 1;
	attr.wakeup_watermark = (uint32_t)(bytes / 4);
	/* Events share a ring only when they share its clock. */
	attr.use_clockid = 1;
	attr.clockid = CLOCK_MONOTONIC;
	return perf_event_open(&attr, 0, cpu);
}

static uint64_t round_up_pow2(uint64_t bytes)
{
	uint64_t size = PERF_RING_MIN_BYTES;

	while (size < bytes) {
		size *= 2;
	}
	return size;
}

/* The wake-up mark is fixed when the ring is mapped, so each size tried has its own event. 0 or -errno. */
static int try_map(int32_t cpu, uint64_t bytes, struct perf_ring *ret, bool *ret_is_mmap)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	int fd = open_owner(cpu, bytes);
	void *map;

	*ret_is_mmap = fd >= 0;
	if (fd < 0) {
		return fd;
	}
	map = mmap(NULL, page_bytes + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	ret->fd = fd;
	ret->cpu = cpu;
	ret->map = map;
	ret->map_bytes = page_bytes + bytes;
	ret->page = map;
	ret->data = (const uint8_t *)map + page_bytes;
	ret->data_bytes = bytes;
	return 0;
}

int perf_ring_open(int32_t cpu, uint64_t bytes, struct perf_ring *ret, struct perf_refusal *refusal)
{
	struct perf_ring ring = { .fd = -1 };
	uint64_t size = round_up_pow2(bytes);
	struct perf_refusal_facts facts;
	bool is_mmap = false;
	int rc;

	ring.bounce = malloc(PERF_RECORD_MAX_BYTES);
	if (!ring.bounce) {
		return perf_refusal_set(refusal, PFC_ENOMEM, "out of memory", "", "ring of CPU %d", cpu);
	}
	while ((rc = try_map(cpu, size, &ring, &is_mmap)) < 0 && is_mmap && (rc == -EPERM || rc == -ENOMEM) &&
	       size > PERF_RING_MIN_BYTES) {
		size /= 2;
	}
	if (rc < 0) {
		free(ring.bounce);
		perf_refusal_gather(-rc, &facts);
		facts.is_mmap = is_mmap;
		perf_refusal_set(refusal, PFC_EIO, "", "",
				 is_mmap ? "mmap of the ring of CPU %d"
					 : "perf_event_open of the ring "
					   "of CPU %d",
				 cpu);
		perf_refusal_reason(&facts, "dummy", refusal);
		return refusal->status;
	}
	*ret = ring;
	return 0;
}

int perf_ring_over(struct perf_event_mmap_page *page, const void *data, uint64_t data_bytes,
		   struct perf_ring *ret)
{
	struct perf_ring ring = { .fd = -1, .page = page, .data = data, .data_bytes = data_bytes };

	ring.bounce = malloc(PERF_RECORD_MAX_BYTES);
	if (!ring.bounce) {
		return -ENOMEM;
	}
	*ret = ring;
	return 0;
}

/* Give everything before `tail` back to the kernel: no load may move past this store. */
static void publish_tail(struct perf_ring *ring)
{
	__atomic_store_n(&ring->page->data_tail, ring->tail, __ATOMIC_RELEASE);
	ring->published = ring->tail;
}

void perf_ring_begin(struct perf_ring *ring)
{
	/* Records are multiples of 8 bytes; so is the head, or it is not to be trusted. */
	ring->head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE) & ~7ull;
	if (ring->head - ring->tail >
	    ring->data_bytes) { /* never by this kernel: start over rather than read rubbish */
		ring->corrupt++;
		ring->tail = ring->head;
		publish_tail(ring);
	}
}

static const struct perf_event_header *give_up(struct perf_ring *ring)
{
	ring->corrupt++;
	ring->tail = ring->head;
	publish_tail(ring);
	return NULL;
}

const struct perf_event_header *perf_ring_next(struct perf_ring *ring)
{
	uint64_t mask = ring->data_bytes - 1;
	uint64_t left = ring->head - ring->tail;
	uint64_t at = ring->tail & mask;
	const struct perf_event_header *header = (const void *)(ring->data + at);
	uint64_t size;

	/* Head and tail are multiples of 8, so the 8 bytes of a header never wrap. */
	if (left == 0) {
		publish_tail(ring);
		return NULL;
	}
	if (ring->tail - ring->published >= ring->data_bytes / 16) {
		publish_tail(ring);
	}
	size = left < sizeof(*header) ? 0 : header->size;
	if (size < sizeof(*header) || size > left || size % 8 != 0) {
		return give_up(ring);
	}
	if (at + size > ring->data_bytes) {
		uint64_t first = ring->data_bytes - at;

		memcpy(ring->bounce, ring->data + at, first);
		memcpy((uint8_t *)ring->bounce + first, ring->data, size - first);
		header = (const void *)ring->bounce;
	}
	ring->tail += size;
	return header;
}

void perf_ring_close(struct perf_ring *ring)
{
	if (ring->map) {
		munmap(ring->map, ring->map_bytes);
	}
	if (ring->fd >= 0) {
		close(ring->fd);
	}
	free(ring->bounce);
	*ring = (struct perf_ring){ .fd = -1 };
}
