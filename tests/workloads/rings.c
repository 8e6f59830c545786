/* SPDX-License-Identifier: MIT */
/*
 * rings COUNT: asks a ring of io_uring for so many operations that do nothing and half as many reads of one byte of /dev/zero, and
 * prints how many were completed. By the bare calls: no library is needed. Exit 77: the kernel lets nobody make a ring.
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct ring {
	int fd;
	unsigned char *submit, *complete;
	struct io_uring_sqe *entries;
	struct io_uring_params params;
};

static int ring_open(struct ring *ring)
{
	struct io_uring_params *params = &ring->params;
	size_t submit_bytes, complete_bytes;

	memset(params, 0, sizeof(*params));
	ring->fd = (int)syscall(SYS_io_uring_setup, 4, params);
	if (ring->fd < 0) {
		return -1;
	}
	submit_bytes = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
	complete_bytes = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
	ring->submit =
		mmap(NULL, submit_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->complete =
		mmap(NULL, complete_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_CQ_RING);
	ring->entries = mmap(NULL, params->sq_entries * sizeof(*ring->entries), PROT_READ | PROT_WRITE,
			     MAP_SHARED, ring->fd, IORING_OFF_SQES);
	return ring->submit == MAP_FAILED || ring->complete == MAP_FAILED || ring->entries == MAP_FAILED ? -1
													 : 0;
}

/* One request, and its completion. Returns 1 when it came. */
static int ring_do(struct ring *ring, int operation, int fd, void *to, unsigned bytes)
{
	uint32_t *tail = (uint32_t *)(ring->submit + ring->params.sq_off.tail);
	uint32_t *array = (uint32_t *)(ring->submit + ring->params.sq_off.array);
	uint32_t *head = (uint32_t *)(ring->complete + ring->params.cq_off.head);
	uint32_t at = *tail & (ring->params.sq_entries - 1);
	struct io_uring_sqe *entry = &ring->entries[at];

	memset(entry, 0, sizeof(*entry));
	entry->opcode = (uint8_t)operation;
	entry->fd = fd;
	entry->addr = (uint64_t)(uintptr_t)to;
	entry->len = bytes;
	array[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) {
		return 0;
	}
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return 1;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 100, done = 0, zero = open("/dev/zero", O_RDONLY);
	struct ring ring;
	char byte;

	if (ring_open(&ring) != 0) {
		return 77;
	}
	for (int i = 0; i < count; i++) {
		done += ring_do(&ring, IORING_OP_NOP, -1, NULL, 0);
	}
	for (int i = 0; i < count / 2; i++) {
		done += ring_do(&ring, IORING_OP_READ, zero, &byte, 1);
	}
	printf("%d\n", done);
	return 0;
}
