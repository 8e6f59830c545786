/* SPDX-License-Identifier: MIT */
/*
 * A "profcore.syscalls/1" artifact as a model in memory, summed over processes. It is hostile input and may be incomplete: what
 * cannot be read is left out, and said (cut).
 */
#ifndef PLUGINS_LIB_SYSCALLS_H
#define PLUGINS_LIB_SYSCALLS_H

#include <stdbool.h>
#include <stdint.h>

#include <profcore/artifact.h>

#define SYSCALLS_ROWS_MAX (1u << 20) /* of each table that is held; later rows are left out, and said to be */

/** A piece of a latency histogram. */
struct syscalls_bucket {
	uint64_t low_ns;
	uint64_t high_ns;
	uint64_t count;
};

struct syscalls_histogram {
	struct syscalls_bucket *buckets;
	uint32_t count;
	uint32_t room;
};

/** One system call, over all processes. */
struct syscalls_call {
	char *name; /* clean; with the ABI when it is not the machine's: "read (i386)" */
	uint64_t calls, errors, total_ns, max_ns;
	uint64_t zeros; /* calls that returned 0 */
	uint64_t waits, blocked_ns, runnable_ns, wait_max_ns;
	char *error; /* the most frequent; NULL for none */
	uint64_t error_count;
	struct syscalls_histogram call_times; /* of calls */
	struct syscalls_histogram wait_times; /* asleep */
};

struct syscalls_wait {
	char *cause;
	uint64_t count, total_ns, max_ns;
};

struct syscalls_thread {
	int32_t pid, tid;
	char *name;
	uint64_t wall_ns, on_cpu_ns, run_queue_ns, preempted_ns, syscall_ns, fault_ns, other_ns;
	int64_t residue_ns;
	uint64_t calls;
	bool is_complete;
};

struct syscalls_slow {
	uint64_t time_ns, duration_ns, blocked_ns;
	int32_t pid, tid;
	char *text; /* "read(3</etc/hosts>, ...) = EAGAIN" */
	char *target;
	char *waker; /* "" when not known */
};

struct syscalls_file {
	char *name;
	uint64_t reads, writes, syncs, others, errors, read_bytes, written_bytes, small, total_ns, blocked_ns,
		max_ns;
	uint64_t sync_writes; /* by descriptors opened with O_SYNC or O_DSYNC */
};

struct syscalls_model {
	struct pfc_artifact about;
	const struct pfc_reader *reader;
	const char *run_id;
	uint64_t t0_ns;
	uint64_t window_ns; /* 0: not known */
	uint32_t rows;      /* of the longest table */
	struct syscalls_call *calls;
	uint32_t call_count;
	struct syscalls_wait *waits;
	uint32_t wait_count;
	struct syscalls_thread *threads;
	uint32_t thread_count;
	struct syscalls_slow *slow; /* the slowest, slowest first */
	uint32_t slow_count;
	uint64_t slow_total; /* rows of that table */
	struct syscalls_file *files;
	uint32_t file_count;
	bool has_files; /* the table is there */
	bool cut;       /* rows could not be read, or were too many */
};

/** Returns 0; PFC_ENOENT when the table `calls` is not there; PFC_ENOMEM. Free with syscalls_finish whatever it returns. */
int syscalls_read(struct syscalls_model *model);
void syscalls_finish(struct syscalls_model *model);

/** The value below which `share` of the observations lie; 0 without any. Sorts the histogram. */
uint64_t syscalls_quantile(struct syscalls_histogram *histogram, double share, uint64_t max_ns);

#endif
