/* SPDX-License-Identifier: MIT */
/*
 * Bounded reading of /proc. What it says about a process was chosen by that process: lengths are cut, numbers are checked,
 * and every read goes through a handful of text files whose form the kernel fixes.
 */
#ifndef CORE_TARGET_PROCFS_H
#define CORE_TARGET_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Longest comm that the kernel keeps, with its NUL. */
#define PROCFS_COMM_BYTES 16

struct proc_stat {
	int32_t pid;
	int32_t ppid;
	int32_t pgrp;
	char state; /* 'Z', 'R', ... */
	bool kernel_thread;
	char comm[PROCFS_COMM_BYTES];
	uint64_t start_ticks; /* since boot; with the pid, the identity of a process */
	uint64_t start_code;  /* 0 or 1 when we may not see it */
};

/** An executable mapping. */
struct proc_map {
	uint64_t start;
	uint64_t length;
	uint64_t offset;
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
	const char *path; /* "//anon" when it has none */
};

/** Read a file below /proc, cut at to_bytes - 1 and terminated. Returns its bytes or -errno. */
ssize_t procfs_read(char *to, size_t to_bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** Read a link below /proc, terminated; cut ones are refused. Returns its bytes or -errno. */
ssize_t procfs_link(char *to, size_t to_bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** Returns 0 or -errno (-ESRCH when there is no such process or thread). */
int procfs_stat(int32_t pid, struct proc_stat *ret);

/** The numbers among the names in a folder, ascending; the caller frees. At most 4 million. Returns 0 or -errno. */
int procfs_numbers(const char *folder, int32_t **ret, size_t *ret_count);

/** Every executable mapping of a process. Returns 0 or -errno. */
int procfs_maps(int32_t pid, void (*each)(void *ctx, const struct proc_map *map), void *ctx);

/** Command line with spaces between the words, control bytes replaced; "" for none. */
void procfs_cmdline(int32_t pid, char *to, size_t to_bytes);

/** The command that gives this program the rights it needs, all at once, as setcap replaces what a file had. */
void procfs_setcap_command(char *to, size_t to_bytes);

/** When a process with these start_ticks started, on CLOCK_MONOTONIC, to a tick (10 ms); negative before boot's zero. */
int64_t procfs_start_ns(uint64_t start_ticks);

uint64_t procfs_now_ns(void);

#endif
