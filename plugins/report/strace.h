/* SPDX-License-Identifier: MIT */
/*
 * The text of a profcore.syscalls/1 artifact: system calls, waits, slow calls, files and peers, the books of the threads, and
 * what of all this can be trusted. strace_read.c reads the artifact, hostile like any other; the rest prints.
 */
#ifndef PLUGINS_REPORT_STRACE_H
#define PLUGINS_REPORT_STRACE_H

#include <stdbool.h>
#include <stdint.h>

#include <profcore/profcore.h>

#include "lib/text.h"

#define STRACE_ROWS_MAX (1u << 20) /* of each table that is held; later rows are left out, and said to be */

/** A piece of a latency histogram. */
struct strace_bucket {
	uint64_t low_ns;
	uint64_t high_ns;
	uint64_t count;
};

struct strace_histogram {
	struct strace_bucket *buckets;
	uint32_t count;
	uint32_t room;
};

/** One system call, over all processes. */
struct strace_call {
	char *name; /* clean; with the ABI when it is not the machine's: "read (i386)" */
	uint64_t calls, errors, total_ns, max_ns;
	uint64_t waits, blocked_ns, runnable_ns, wait_max_ns;
	char *error; /* the most frequent; NULL for none */
	uint64_t error_count;
	struct strace_histogram call_times; /* of calls */
	struct strace_histogram wait_times; /* asleep */
};

struct strace_wait {
	char *cause;
	uint64_t count, total_ns, max_ns;
};

struct strace_thread {
	int32_t pid, tid;
	char *name;
	uint64_t wall_ns, on_cpu_ns, run_queue_ns, preempted_ns, syscall_ns, fault_ns, other_ns;
	int64_t residue_ns;
	uint64_t calls;
	bool is_complete;
};

struct strace_slow {
	uint64_t time_ns, duration_ns, blocked_ns;
	int32_t pid, tid;
	char *text; /* "read(3</etc/hosts>, ...) = EAGAIN" */
	char *target;
	char *waker; /* "" when not known */
};

struct strace_file {
	char *name;
	uint64_t reads, writes, syncs, others, errors, read_bytes, written_bytes, small, total_ns, blocked_ns,
		max_ns;
};

struct strace_model {
	struct pfc_artifact about;
	const struct pfc_reader *reader;
	const char *run_id;
	uint64_t t0_ns;
	uint64_t window_ns; /* 0: not known */
	uint32_t rows;      /* of the longest table */
	struct strace_call *calls;
	uint32_t call_count;
	struct strace_wait *waits;
	uint32_t wait_count;
	struct strace_thread *threads;
	uint32_t thread_count;
	struct strace_slow *slow; /* the slowest, slowest first */
	uint32_t slow_count;
	uint64_t slow_total; /* rows of that table */
	struct strace_file *files;
	uint32_t file_count;
	bool has_files; /* the table is there */
	bool cut;       /* rows could not be read, or were too many */
};

/** Returns 0; PFC_ENOENT when the table `calls` is not there; PFC_ENOMEM. Free with strace_finish whatever it returns. */
int strace_read(struct strace_model *model);
void strace_finish(struct strace_model *model);

/** The value below which `share` of the observations lie; 0 without any. Sorts the histogram. */
uint64_t strace_quantile(struct strace_histogram *histogram, double share, uint64_t max_ns);

/** Everything but the stacks. */
void strace_print(struct strace_model *model, struct text *to);

/** The heaviest stacks of a profcore.stacks/1 artifact of the same stage. Returns 0 or PFC_ENOMEM. */
int strace_print_stacks(const struct strace_model *model, const struct pfc_reader *stacks, struct text *to);

/** Write the document `strace` of the artifact at port `syscalls`. Returns 0 or what host->fail gave. */
int32_t strace_report(const struct pfc_host *host, const struct pfc_reader *reader);

#endif
