/* SPDX-License-Identifier: MIT */
/* Single pages of the target: see pages.h. Bits and ioctl are those of the kernel's pagemap document. */
#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_SWAPPED (1ull << 62)
#define PAGEMAP_FILE    (1ull << 61)

/* Debian 12's headers are older than this ioctl. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

struct scan_region {
	uint64_t start, end, categories;
};

#define SCAN_IOCTL   _IOWR('f', 16, struct scan_arg)
#define SCAN_FILE    (1ull << 2)
#define SCAN_PRESENT (1ull << 3)
#define SCAN_SWAPPED (1ull << 4)
#define SCAN_ZERO    (1ull << 5)
#define SCAN_HUGE    (1ull << 6)

#define AROUND_BYTES 65536u /* fault_around_bytes, as kernels have it unless told otherwise */

static uint64_t huge_page_bytes(void)
{
	unsigned long long bytes = 0;
	FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "re");

	if (file) {
		if (fscanf(file, "%llu", &bytes) != 1) {
			bytes = 0;
		}
		fclose(file);
	}
	return bytes;
}

static int open_pagemap(int32_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* One page by the ioctl. False where the kernel does not know it. */
static bool scan(int fd, uint64_t page, uint64_t bytes, uint64_t *ret_categories)
{
	const uint64_t all = SCAN_FILE | SCAN_PRESENT | SCAN_SWAPPED | SCAN_ZERO | SCAN_HUGE;
	struct scan_region region = { 0, 0, 0 };
	struct scan_arg arg = { .size = sizeof(arg),
				.start = page,
				.end = page + bytes,
				.vec = (uint64_t)(uintptr_t)&region,
				.vec_len = 1,
				.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
				.return_mask = all };
	int got = ioctl(fd, SCAN_IOCTL, &arg);

	*ret_categories = got == 1 ? region.categories : 0;
	return got >= 0;
}

void pages_open(struct pages *pages)
{
	long page = sysconf(_SC_PAGESIZE);
	uint64_t categories;
	int fd = open_pagemap(getpid());

	memset(pages, 0, sizeof(*pages));
	for (int i = 0; i < PAGES_SLOTS; i++) {
		pages->slots[i].fd = -1;
	}
	pages->page_bytes = page > 0 ? (uint64_t)page : 4096;
	pages->huge_bytes = huge_page_bytes();
	pages->has_scan =
		fd >= 0 && scan(fd, (uint64_t)(uintptr_t)pages / pages->page_bytes * pages->page_bytes,
				pages->page_bytes, &categories);
	if (fd >= 0) {
		close(fd);
	}
}

static int descriptor_of(struct pages *pages, int32_t pid)
{
	int oldest = 0;

	for (int i = 0; i < PAGES_SLOTS; i++) {
		if (pages->slots[i].pid == pid) {
			pages->slots[i].used = ++pages->clock;
			return pages->slots[i].fd;
		}
		oldest = pages->slots[i].used < pages->slots[oldest].used ? i : oldest;
	}
	if (pages->slots[oldest].fd >= 0) {
		close(pages->slots[oldest].fd);
	}
	pages->slots[oldest].pid = pid;
	pages->slots[oldest].used = ++pages->clock;
	pages->slots[oldest].fd = open_pagemap(pid);
	pages->error = pages->slots[oldest].fd < 0 ? errno : pages->error;
	return pages->slots[oldest].fd;
}

static enum page_state look_by_scan(struct pages *pages, int fd, uint64_t page, uint64_t *ret_bytes)
{
	uint64_t categories;

	if (!scan(fd, page, pages->page_bytes, &categories)) {
		return PAGE_UNKNOWN;
	}
	if ((categories & (SCAN_PRESENT | SCAN_SWAPPED)) == 0) {
		return PAGE_GONE;
	}
	if (categories & SCAN_ZERO) {
		return PAGE_ZERO;
	}
	*ret_bytes = (categories & SCAN_HUGE) && pages->huge_bytes ? pages->huge_bytes : pages->page_bytes;
	return categories & SCAN_FILE ? PAGE_FILE : PAGE_ANON;
}

enum page_state pages_look(struct pages *pages, int32_t pid, uint64_t address, uint64_t *ret_bytes)
{
	uint64_t page = address / pages->page_bytes, entry;
	int fd = descriptor_of(pages, pid);

	*ret_bytes = pages->page_bytes;
	if (fd < 0) {
		return PAGE_UNKNOWN;
	}
	if (pages->has_scan) {
		return look_by_scan(pages, fd, page * pages->page_bytes, ret_bytes);
	}
	if (pread(fd, &entry, sizeof(entry), (off_t)(page * sizeof(entry))) != (ssize_t)sizeof(entry)) {
		return PAGE_UNKNOWN; /* its address space is no more */
	}
	if ((entry & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) == 0) {
		return PAGE_GONE;
	}
	return entry & PAGEMAP_FILE ? PAGE_FILE : PAGE_ANON;
}

uint64_t pages_around(struct pages *pages, int32_t pid, uint64_t address)
{
	uint64_t entries[AROUND_BYTES / 4096], present = 0;
	uint64_t count = AROUND_BYTES / pages->page_bytes;
	uint64_t first = address / AROUND_BYTES * AROUND_BYTES / pages->page_bytes;
	int fd = descriptor_of(pages, pid);

	if (fd < 0 || count <= 1 ||
	    pread(fd, entries, count * sizeof(entries[0]), (off_t)(first * sizeof(entries[0]))) !=
		    (ssize_t)(count * sizeof(entries[0]))) {
		return 1;
	}
	for (uint64_t i = 0; i < count; i++) {
		present +=
			(entries[i] & (PAGEMAP_PRESENT | PAGEMAP_FILE)) == (PAGEMAP_PRESENT | PAGEMAP_FILE);
	}
	return present ? present : 1;
}

void pages_forget(struct pages *pages, int32_t pid)
{
	for (int i = 0; i < PAGES_SLOTS; i++) {
		if (pages->slots[i].pid == pid) {
			if (pages->slots[i].fd >= 0) {
				close(pages->slots[i].fd);
			}
			pages->slots[i].fd = -1;
			pages->slots[i].pid = 0;
			pages->slots[i].used = 0;
		}
	}
}

void pages_close(struct pages *pages)
{
	for (int i = 0; i < PAGES_SLOTS; i++) {
		if (pages->slots[i].fd >= 0) {
			close(pages->slots[i].fd);
		}
		pages->slots[i].fd = -1;
	}
}
