/* SPDX-License-Identifier: MIT */
/*
 * What became of single pages of the target: anonymous or of a file, huge or not, still there or gone. Asked of /proc/PID/pagemap,
 * which takes a process's mmap_lock for the time of one page. A descriptor for each process that was asked for last is kept.
 */
#ifndef MEMORY_PAGES_H
#define MEMORY_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#define PAGES_SLOTS 64

enum page_state {
	PAGE_UNKNOWN = 0, /* the process is no more, or may not be asked */
	PAGE_GONE,        /* not present now */
	PAGE_ANON,
	PAGE_FILE, /* of a file or shared memory */
	PAGE_ZERO, /* the shared page of zeroes: read, never written, uses no memory */
};

struct pages {
	struct {
		int32_t pid;
		int fd; /* -1 when it could not be opened */
		uint64_t used;
	} slots[PAGES_SLOTS];
	uint64_t clock;
	uint64_t page_bytes, huge_bytes; /* huge: 0 where there are none */
	bool has_scan;                   /* ioctl PAGEMAP_SCAN, Linux 6.7 */
	int error;                       /* of the last refusal to open */
};

void pages_open(struct pages *pages);

/** The state of the page at an address; *ret_bytes is its size, the huge page's if it is part of one. */
enum page_state pages_look(struct pages *pages, int32_t pid, uint64_t address, uint64_t *ret_bytes);

/** How many pages of its neighbourhood, the aligned 64 KiB that a fault on a file may bring in, are present. At least 1. */
uint64_t pages_around(struct pages *pages, int32_t pid, uint64_t address);

/** Forget the descriptors of a process: it has another address space now. */
void pages_forget(struct pages *pages, int32_t pid);

void pages_close(struct pages *pages);

#endif
