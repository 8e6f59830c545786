/* SPDX-License-Identifier: MIT */
/*
 * The accounts: what every back-end fills, and what tables.c writes. Three kinds of books:
 *
 *   cell    per process and system call: how often, how long, with which errors, how much of it off the CPU
 *   wait    per process and cause that is no system call: page faults, the run queue, preemption
 *   thread  per thread: wall = on the CPU + runnable + preempted + blocked by cause (+ residue, which is shown)
 *
 * A back-end that counts in the kernel (bpf) adds whole cells at the end; one that sees each call (perf, ptrace) calls
 * cell_add_call() as it goes. All functions: [owner], one thread at a time. Durations in ns. Nothing here fails silently:
 * a NULL or a false return is lack of memory, and the back-end returns PFC_ENOMEM.
 */
#ifndef STRACE_ACCOUNT_H
#define STRACE_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buckets.h"

/** How a system call's number is to be read. */
enum abi {
	ABI_NATIVE = 0, /* of this machine */
	ABI_I386 = 1,   /* 32-bit code on x86-64: numbers of its own */
	ABI_X32 = 2,    /* nr without bit 30 */
};

/** Number of a call that a back-end could not tell (a number out of any table). */
#define NR_UNKNOWN (-1)

#define CELL_ERRORS 8
#define COMM_BYTES  16

struct cell_error {
	int32_t number; /* errno, > 0 */
	uint64_t count;
};

/** One system call of one process. */
struct cell {
	int32_t pid; /* thread group; 0: processes that could not be told apart, together */
	int32_t nr;
	uint32_t abi;
	uint64_t calls; /* 0 with calls = blocked: they were not counted */
	uint64_t
		errors; /* >= the sum over error[]: more than CELL_ERRORS different ones are not told apart */
	uint64_t zeros; /* calls that returned 0: of poll and its like, nothing was ready */
	uint64_t total_ns;
	uint64_t min_ns;
	uint64_t max_ns;
	uint64_t waits;       /* times off the CPU within such a call, other than by preemption */
	uint64_t blocked_ns;  /* asleep, until woken */
	uint64_t runnable_ns; /* from then on, until on a CPU again */
	uint64_t max_wait_ns; /* longest single time asleep */
	struct cell_error error[CELL_ERRORS];
	uint64_t call_buckets[BUCKET_COUNT]; /* latencies of calls; empty with calls = blocked */
	uint64_t wait_buckets[BUCKET_COUNT]; /* times asleep */
};

/** Causes of waits. WAIT_SYSCALL is in the cells. */
enum wait_cause {
	WAIT_SYSCALL = 0,
	WAIT_FAULT,     /* asleep in a page fault, outside any system call */
	WAIT_OTHER,     /* asleep for another reason outside any system call */
	WAIT_RUN_QUEUE, /* woken, waiting for a CPU */
	WAIT_PREEMPTED, /* had a CPU and had to give it to another, or gave it (sched_yield) */
	WAIT_CAUSES,
};

struct wait {
	int32_t pid;
	enum wait_cause cause; /* never WAIT_SYSCALL */
	uint64_t count;
	uint64_t total_ns;
	uint64_t max_ns;
	uint64_t buckets[BUCKET_COUNT];
};

/** The book of one thread. What a back-end does not know stays 0 and shows up in the residue; is_complete says so. */
struct thread {
	int32_t pid;
	int32_t tid;
	char comm[COMM_BYTES];
	bool ended;       /* it ended within the window */
	bool is_complete; /* the back-end sees every change of state: the residue is an error, not a blind spot */
	uint64_t start_ns; /* CLOCK_MONOTONIC: start of the book (T0, or its birth) */
	uint64_t end_ns;   /* T1, or its end */
	uint64_t on_cpu_ns;
	uint64_t wait_ns[WAIT_CAUSES]; /* by cause; WAIT_SYSCALL: asleep in system calls */
	uint64_t kernel_cpu_ns; /* time on the CPU by the kernel's own account, to compare; 0: not known */
	uint64_t switches;      /* times off a CPU */
	uint64_t calls;         /* system calls; 0 with calls = blocked */
};

/** What one process did with one file, pipe, socket or lock, whatever descriptors it had for it. */
struct file_use {
	int32_t pid;
	char *name;                            /* as fds.h gives it; "futex 0x7f..." for a lock */
	uint64_t reads, writes, syncs, others; /* calls, by what they do */
	uint64_t errors;
	uint64_t read_bytes, written_bytes;
	uint64_t small;       /* of reads and writes: those of at most FILE_SMALL bytes */
	uint64_t sync_writes; /* of writes: by descriptors that were opened with O_SYNC or O_DSYNC */
	uint64_t total_ns, blocked_ns, max_ns;
};

/** How often one process asked a ring of io_uring for one operation. */
struct ring_use {
	int32_t pid;
	uint32_t operation; /* IORING_OP_... */
	uint64_t requests;
};

#define FILE_SMALL 64u
#define FILES_MAX  65536u

struct account;

/** Returns NULL without memory. */
struct account *account_create(void);
void account_destroy(struct account *account);

/** The cell, made when new; valid until the next call of account_cell, then only through it. NULL without memory. */
struct cell *account_cell(struct account *account, int32_t pid, uint32_t abi, int32_t nr);

/** Likewise a wait's and a thread's book. A thread id that comes again after its end begins a new book (account_thread_end). */
struct wait *account_wait(struct account *account, int32_t pid, enum wait_cause cause);
struct thread *account_thread(struct account *account, int32_t pid, int32_t tid);
void account_thread_end(struct account *account, int32_t tid, uint64_t end_ns);

/** Name a process, as long as no better name is known: the first name of a leader wins over none, a later one over the first. */
bool account_name(struct account *account, int32_t pid, const char *comm);
/** Its name, "" when not known. */
const char *account_name_of(const struct account *account, int32_t pid);

/** Likewise what it does with a file; beyond FILES_MAX names all others together, as "(others)". */
struct file_use *account_file(struct account *account, int32_t pid, const char *name);

/** Likewise what it asks io_uring for. */
struct ring_use *account_ring(struct account *account, int32_t pid, uint32_t operation);

/** Count one call: result is what the kernel returned, -errno for a failure (-4095 .. -1). */
void cell_add_call(struct cell *cell, uint64_t duration_ns, int64_t result);
/** Count errors without a call (a back-end that counted both in the kernel). */
void cell_add_errors(struct cell *cell, int32_t number, uint64_t count);
/** Count one time asleep within a call of this kind, and the wait for a CPU after it. */
void cell_add_wait(struct cell *cell, uint64_t blocked_ns, uint64_t runnable_ns);
void wait_add(struct wait *wait, uint64_t duration_ns);

/** Everything there is, in the order in which it was made. */
size_t account_cells(const struct account *account, const struct cell *const **ret);
size_t account_waits(const struct account *account, const struct wait *const **ret);
size_t account_files(const struct account *account, const struct file_use *const **ret);
size_t account_rings(const struct account *account, const struct ring_use *const **ret);
size_t account_threads(const struct account *account, const struct thread *const **ret);

/** The duration below which `share` (0 to 1) of a histogram lies: the middle of its bucket, within [min, max] where max > 0. */
uint64_t buckets_quantile(const uint64_t *buckets, double share, uint64_t min_ns, uint64_t max_ns);

#endif
