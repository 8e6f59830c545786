/* SPDX-License-Identifier: MIT */
/* Holes in the target's stacks: see populate.h. */
#include "populate.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/uio.h>

#define PAGE_BYTES 4096u /* of x86-64, the only machine whose copies are walked */
#define PAGES_MAX  17    /* 64 KiB and a part */
/* A copy may stop a few bytes before the page that it could not read. */
#define SLACK_BYTES 64u
#define AGAIN_NS    1000000000ull

/* Most copies that end early do so at the end of the stack, at the same address again and again. */
static bool was_tried(struct populate *populate, int32_t tid, uint64_t page, uint64_t time_ns)
{
	uint32_t slot = (uint32_t)((page / PAGE_BYTES * 31 + (uint32_t)tid) % POPULATE_SLOTS);

	if (populate->tried[slot].page == page && populate->tried[slot].tid == tid &&
	    time_ns - populate->tried[slot].time_ns < AGAIN_NS) {
		return true;
	}
	populate->tried[slot].page = page;
	populate->tried[slot].tid = tid;
	populate->tried[slot].time_ns = time_ns;
	return false;
}

void populate_after(struct populate *populate, int32_t pid, int32_t tid, uint64_t sp, uint64_t copied, uint64_t asked,
		    uint64_t time_ns)
{
	uint64_t end = sp + copied;
	uint64_t page = (end + SLACK_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	struct iovec remote[PAGES_MAX];
	char bytes[PAGES_MAX];
	struct iovec local = { bytes, 0 };
	unsigned long count = 0;

	/* The first page boundary at or just after the end; a copy that ends elsewhere was not stopped by a page. */
	if (copied >= asked || page < end || was_tried(populate, tid, page, time_ns)) {
		return;
	}
	while (count < PAGES_MAX && page + count * PAGE_BYTES < sp + asked) {
		remote[count] = (struct iovec){ (void *)(uintptr_t)(page + count * PAGE_BYTES), 1 };
		count++;
	}
	local.iov_len = count;
	if (count == 0) {
		return;
	}
	if (process_vm_readv(pid, &local, 1, remote, count, 0) > 0) {
		populate->holes++;
	} else if (errno == EPERM) {
		populate->refused++;
	}
}
