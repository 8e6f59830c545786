/* SPDX-License-Identifier: MIT */
/*
 * Holes in the target's stacks. The kernel copies a stack up to the first page that is not present, and a page of a large
 * buffer that nobody ever wrote to is not present: on a server with 9 KiB of receive buffer in its worker threads, three
 * stacks in four ended there, for good. So after a copy that stopped at such a page, one byte of each page up to the size
 * asked for is read: the kernel then maps the zero page there, which uses no memory and leaves all data as it was,
 * and the next copy goes on. The sample that found the hole stays cut, and is counted as such. Threads that wait when the
 * window begins are seen to beforehand, as far below their stack pointer as above it.
 */
#ifndef LIB_PERF_POPULATE_H
#define LIB_PERF_POPULATE_H

#include <stdint.h>

#define PERF_POPULATE_SLOTS 1024

struct perf_populate {
	uint64_t holes;   /* copies that stopped at a page that could be read then */
	uint64_t refused; /* reads that the kernel did not allow (CAP_SYS_PTRACE) */
	struct {
		uint64_t page;
		uint64_t time_ns;
		int32_t tid;
		uint32_t is_hole;
	} tried[PERF_POPULATE_SLOTS];
};

/** Before the window: the stack of a thread that waits. One that runs, or that we may not read, is left alone. */
void perf_populate_thread(struct perf_populate *populate, int32_t pid, int32_t tid);

/** A copy of `copied` of `asked` bytes from `sp` up was made. Reads at most 17 pages, and no place twice in a second. */
void perf_populate_after(struct perf_populate *populate, int32_t pid, int32_t tid, uint64_t sp,
			 uint64_t copied, uint64_t asked, uint64_t time_ns);

#endif
