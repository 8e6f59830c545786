/* SPDX-License-Identifier: MIT */
/* Holes in the target's stacks: see populate.h. */
#include "populate.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "procfs.h"

#define PAGE_BYTES 4096u /* of x86-64, the only machine whose copies are walked */
#define PAGES_MAX  17    /* 64 KiB and a part */
/* A copy may stop a few bytes before the page that it could not read. */
#define SLACK_BYTES 64u
#define AGAIN_NS    1000000000ull
#define REACH_BYTES (64u * 1024)

/* Read a byte of each page in a range, up to the first that cannot be read. Returns whether there was one that could. */
static bool touch(struct perf_populate *populate, int32_t pid, uint64_t page, uint64_t end)
{
	struct iovec remote[PAGES_MAX];
	char bytes[PAGES_MAX];
	struct iovec local = { bytes, 0 };
	unsigned long count = 0;

	while (count < PAGES_MAX && page + count * PAGE_BYTES < end) {
		remote[count] = (struct iovec){ (void *)(uintptr_t)(page + count * PAGE_BYTES), 1 };
		count++;
	}
	local.iov_len = count;
	if (count == 0) {
		return false;
	}
	if (process_vm_readv(pid, &local, 1, remote, count, 0) > 0) {
		return true;
	}
	populate->refused += errno == EPERM;
	return false;
}

void perf_populate_thread(struct perf_populate *populate, int32_t pid, int32_t tid)
{
	uint64_t sp = perf_procfs_stack_pointer(pid, tid) / PAGE_BYTES * PAGE_BYTES;

	if (sp <= REACH_BYTES) {
		return;
	}
	touch(populate, pid, sp, sp + REACH_BYTES);
	/* Below, from the top down: a stack that grows on demand is not mapped that far, and stays so. */
	for (uint64_t page = sp - PAGE_BYTES; page >= sp - REACH_BYTES; page -= PAGE_BYTES) {
		if (!touch(populate, pid, page, page + PAGE_BYTES)) {
			break;
		}
	}
}

void perf_populate_after(struct perf_populate *populate, int32_t pid, int32_t tid, uint64_t sp,
			 uint64_t copied, uint64_t asked, uint64_t time_ns)
{
	uint64_t end = sp + copied;
	uint64_t page = (end + SLACK_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	uint32_t slot = (uint32_t)((page / PAGE_BYTES * 31 + (uint32_t)tid) % PERF_POPULATE_SLOTS);

	/* The first page boundary at or just after the end; a copy that ends elsewhere was not stopped by a page. */
	if (copied >= asked || page < end) {
		return;
	}
	/* Most copies that end early do so at the end of the stack, at the same address again and again. */
	if (populate->tried[slot].page != page || populate->tried[slot].tid != tid ||
	    time_ns - populate->tried[slot].time_ns >= AGAIN_NS) {
		populate->tried[slot].page = page;
		populate->tried[slot].tid = tid;
		populate->tried[slot].time_ns = time_ns;
		populate->tried[slot].is_hole = touch(populate, pid, page, sp + asked);
	}
	populate->holes += populate->tried[slot].is_hole;
}
