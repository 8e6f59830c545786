/* SPDX-License-Identifier: MIT */
/* Small questions to /proc and /sys. All bounded: the target chooses some of what is read here. */
#ifndef LIB_PERF_PROCFS_H
#define LIB_PERF_PROCFS_H

#include <stddef.h>
#include <stdint.h>

/** The whole number in a one-line file; `missing` when it cannot be read. */
int64_t perf_procfs_number(const char *path, int64_t missing);

/** A field of /proc/self/status ("CapEff", "Seccomp") read in `base`; `missing` when it is not there. */
uint64_t perf_procfs_self_status(const char *field, int base, uint64_t missing);

/** Numbers in a growing array; zero-initialise, free(items). */
struct perf_id_list {
	int32_t *items;
	size_t count;
	size_t room;
};

/** Returns 0 or -ENOMEM. */
int perf_id_list_add(struct perf_id_list *list, int32_t id);

/** Append the threads of a process. Returns 0, -ESRCH when it is gone, -ENOMEM, or another -errno. */
int perf_procfs_threads(int32_t pid, struct perf_id_list *list);

/** Append the CPUs that are online. Returns 0 or -errno. */
int perf_procfs_online_cpus(struct perf_id_list *list);

/** Append the CPUs of a kernel list text, "0-3,8". Returns 0, -EINVAL (not such a list, or beyond 8192 CPUs), -ENOMEM. */
int perf_procfs_parse_cpus(const char *text, struct perf_id_list *list);

/** The user stack pointer of a thread that waits in the kernel; 0 of one that runs, has gone, or that we may not read. */
uint64_t perf_procfs_stack_pointer(int32_t pid, int32_t tid);

/** The process that made this one, or that took it over; 0 when that cannot be told. */
int32_t perf_procfs_parent(int32_t pid);

/** The name of a thread, without the newline. Returns 0 or -errno. */
int perf_procfs_thread_name(int32_t pid, int32_t tid, char *to, size_t to_bytes);

/** Keep the items that are in `wanted`, too. */
void perf_id_list_intersect(struct perf_id_list *list, const struct perf_id_list *wanted);

#endif
