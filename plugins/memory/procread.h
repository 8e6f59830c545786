/* SPDX-License-Identifier: MIT */
/*
 * What /proc/PID tells of a process's memory, from texts that were read. Nothing here opens or waits: see processes.c.
 * RSS in `status` comes from counters that each CPU keeps back some pages of (64 pages a CPU at most); smaps_rollup is
 * exact, and holds the process's mmap_lock meanwhile.
 */
#ifndef MEMORY_PROCREAD_H
#define MEMORY_PROCREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "tables.h"

/** Bytes, as `status` tells them. */
struct proc_status {
	uint64_t rss, anon, file, shmem, swap, peak_rss;
	bool has_memory; /* false: a kernel thread, or a process that has ended and was not waited for */
};

/** As `stat` tells it: faults of all threads, those that ended too. */
struct proc_stat {
	uint64_t minor_faults, major_faults;
	char state;
};

/** Bytes, as smaps_rollup or one mapping of smaps tells them. */
struct proc_smaps {
	uint64_t size, rss, pss, pss_anon, pss_file, pss_shmem, private_dirty, anon, huge, swap, swap_pss;
};

/** smaps, summed by kind of mapping. */
struct proc_kinds {
	struct proc_smaps by_kind[MAPPING_KINDS];
	uint64_t count[MAPPING_KINDS];
};

/** Each parses a terminated text and returns whether it made sense. */
bool procread_status(const char *text, struct proc_status *ret);
bool procread_stat(const char *text, struct proc_stat *ret);
bool procread_rollup(const char *text, struct proc_smaps *ret);

/** The kind of the mapping that a line of maps or smaps begins; false when the line is none. */
bool procread_mapping(const char *line, uint64_t *ret_start, uint64_t *ret_end, enum mapping_kind *ret);

/** Feed smaps line by line; `current` begins as MAPPING_OTHER and is kept between calls. */
void procread_smaps_line(const char *line, enum mapping_kind *current, struct proc_kinds *to);

/** Word for a kind: "heap (brk)", "anonymous", ... */
const char *procread_kind_word(unsigned kind);

#endif
