/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the BPF programs and the plugin share: maps' values and records of the ring. Both sides see the same layout: fixed-width
 * types, no holes.
 */
#ifndef STRACE_BPF_SHARED_H
#define STRACE_BPF_SHARED_H

#ifdef __bpf__
#include <linux/types.h>
typedef __u64 u64;
typedef __u32 u32;
typedef __u8 u8;
typedef __s32 s32;
typedef __s64 s64;
#else
#include <stdint.h>
typedef uint64_t u64;
typedef uint32_t u32;
typedef uint8_t u8;
typedef int32_t s32;
typedef int64_t s64;
#endif

#include "../buckets.h"

/* ---- what a thread does ---- */

enum slot_state {
	SLOT_NEW = 0, /* claimed, and not known yet */
	SLOT_ON_CPU,
	SLOT_RUN_QUEUE, /* woken */
	SLOT_PREEMPTED,
	SLOT_BLOCKED,
};

/* As enum wait_cause of account.h. */
enum slot_cause {
	CAUSE_SYSCALL = 0,
	CAUSE_FAULT,
	CAUSE_OTHER,
	CAUSE_RUN_QUEUE,
	CAUSE_PREEMPTED,
	CAUSES,
};

/*
 * Cells are found by a number made of the group and a "key": native calls 0..499, causes of waits, 32-bit calls 512..1011. A
 * number beyond goes to KEY_UNKNOWN.
 */
#define KEY_COUNT   1024u
#define KEY_CALLS   500u
#define KEY_CAUSES  500u /* + cause */
#define KEY_UNKNOWN 511u
#define KEY_COMPAT  512u

#define GROUP_COUNT  1024u /* group 0: processes that came when all others were taken */
#define COMM_LENGTH  16
#define ERROR_PLACES 8
#define PROBES       8u /* places in which a thread's slot may lie */

struct slot {
	u32 tid; /* 0: free */
	u32 tgid;
	u32 group;
	u32 state;    /* enum slot_state */
	u64 since_ns; /* of the state, CLOCK_MONOTONIC */
	u64 start_ns; /* of the book */
	u64 on_cpu_ns;
	u64 wait_ns[CAUSES];
	u64 start_exec_ns; /* the kernel's own account, at start_ns and now */
	u64 exec_ns;
	u64 switches;
	u64 calls;
	u64 woken_ns; /* last waking, whatever it found */
	u64 ran_ns;   /* last switch onto a CPU */
	/* the wait that lasts, or the last one */
	u64 wait_blocked_ns;
	u32 wait_key;
	u32 wait_cause; /* enum slot_cause */
	s32 waker_tid;
	u32 is_waiting; /* 1: off the CPU asleep, or woken from it */
	char waker[COMM_LENGTH];
	/* the system call that lasts; call_ns 0: none */
	u64 call_ns;
	u64 call_blocked_ns;
	u64 call_runnable_ns;
	u32 call_key;
	u32 is_held;  /* launched and not exec'ed yet: its calls are not the target's */
	u32 is_taken; /* its last stack, at the end */
	s32 waker_tgid;
	char comm[COMM_LENGTH];
};

struct group {
	u32 tgid;
	u32 ended;
	char comm[COMM_LENGTH];
};

/* One system call, or cause of waits, of one group on one CPU. */
struct bpf_cell {
	u64 calls;
	u64 errors;
	u64 zeros; /* returned 0 */
	u64 total_ns;
	u64 min_ns;
	u64 max_ns;
	u64 waits;
	u64 blocked_ns;
	u64 runnable_ns;
	u64 max_wait_ns;
	u32 error_number[ERROR_PLACES];
	u64 error_count[ERROR_PLACES];
	u32 call_buckets[BUCKET_COUNT];
	u32 wait_buckets[BUCKET_COUNT];
};

/* ---- counters of the whole, one a CPU ---- */

enum counter {
	COUNT_RING_STACKS = 0, /* stacks that found no room in the ring */
	COUNT_RING_CALLS,      /* slow calls, likewise */
	COUNT_RING_BOOKS,      /* books of threads that ended, likewise */
	COUNT_NO_SLOT,         /* switches and calls of threads that found no slot */
	COUNT_NO_GROUP,        /* processes that went to group 0 */
	COUNT_NO_CELL,         /* calls and waits that went to the cells of group 0 */
	COUNT_RATE,            /* stacks beyond stack_rate */
	COUNT_RATE_NS,         /* and the time they stand for */
	COUNT_BUSY,            /* stacks whose thread had one pending */
	COUNT_BUSY_NS,
	COUNT_RING_WAKERS, /* stacks of wakers that found no room in the ring */
	COUNT_RATE_WAKERS, /* beyond stack_rate */
	COUNT_RATE_CALLS,  /* stacks of slow calls, likewise, or whose thread had another pending */
	COUNT_NO_USE,      /* calls on files and locks that found no room in the table */
	COUNT_UNWOKEN,     /* threads that ran again without a waking that was seen */
	COUNT_UNMATCHED,   /* exits of calls whose entry was not seen, though their thread was */
	COUNT_COMPAT,      /* 32-bit calls */
	COUNT_WAITS,
	COUNT_STACKS,
	COUNT_RUNS, /* runs of the programs, and of every 64th the time */
	COUNT_TIMED_RUNS,
	COUNT_TIMED_NS,
	COUNT_URING,    /* io_uring requests of the target */
	COUNT_NO_URING, /* of these, those that found no room in their table */
	COUNTERS,
};

/* ---- records of the ring ---- */

enum record_kind {
	RECORD_STACK = 1,
	RECORD_CALL = 2,
	RECORD_BOOK = 3,
	RECORD_WAKER = 4, /* a stack_record: tid and tgid are the waker's, waker_tid is whom it woke */
};

#define KERNEL_IPS 64
#define USER_REGS  17 /* ax bx cx dx si di bp sp ip r8..r15, as the kernel's perf_regs.h orders them */
#define REGS_MASK  0xff01ffull
#define REG_BX     1
#define REG_DI     5
#define REG_SP     7
#define REG_IP     8
#define TEXT_BYTES 128

struct stack_record {
	u32 kind;
	u32 stack_bytes; /* of user stack after this struct */
	u64 time_ns;     /* when it ran again */
	u64 blocked_ns;
	u64 runnable_ns;
	u32 tid;
	u32 tgid;
	u32 key;
	u32 cause;
	s32 waker_tid;
	u32 kernel_count;
	u32 is_compat;
	u32 is_last; /* the wait still lasts, at the end of the window */
	char waker[COMM_LENGTH];
	s32 waker_tgid;
	u32 reserved;
	u64 woken_ns;
	u64 call_end_ns; /* it is the stack of a slow call too, which ended then; 0: it is not */
	u64 call_ns;     /* how long that took */
	u64 regs[USER_REGS];
	u64 kernel_ips[KERNEL_IPS];
};

/* ---- files, pipes, sockets and locks ---- */

enum use_kind {
	USE_NONE = 0,
	USE_FILE, /* anything that has a descriptor */
	USE_LOCK, /* inode: the address of the futex */
};

/* All descriptors of a process on one inode fall together. What has no inode of its own (epoll, eventfd) is told by its operations. */
struct use_key {
	u32 tgid;
	u32 kind; /* enum use_kind */
	u64 inode;
	u64 operations;
	u64 number;
};

#define USES           16384u
#define USE_PARTS      16u /* folders of a path that are kept from the innermost, and mounts on the way */
#define USE_PART_BYTES 48u
#define USE_ACCEPTED   1u
#define USE_LISTENS    2u
#define USE_ROOTED     4u /* the parts reach the root */

struct use_value {
	u64 reads, writes, syncs, others, errors;
	u64 read_bytes, written_bytes, small;
	u64 sync_writes; /* by descriptors that were opened with O_SYNC or O_DSYNC */
	u64 total_ns, blocked_ns, max_ns;
	u64 last_ns; /* when it was used last */
	u32 mode;    /* of its inode */
	u32 flags;
	u32 family, type;
	u32 local_port, remote_port;
	u8 local[16], remote[16];
	u32 part_count;
	u32 reserved;
	char parts[USE_PARTS][USE_PART_BYTES]; /* of a path; of a unix socket one that is longer */
};

/* What is to be done with a call, by key. */
#define CALL_ACCEPTS 1u /* its result is a descriptor that was accepted */
#define CALL_RENAMES 2u /* its descriptor says something else from now on */
#define CALL_EXECS   4u /* what its text says is gone when it returns */
#define CALL_SMALL   64u

struct call_info {
	u8 text; /* 1 + the argument that points to a text or to data; 0: none */
	u8 io;   /* r, w, s, o: it works on the descriptor args[0]; l: on the lock there; 0: on none */
	u8 flags;
	u8 reserved;
};

struct uring_key {
	u32 tgid;
	u32 operation;
};

struct call_record {
	u32 kind;
	u32 tid;
	u32 tgid;
	u32 key;
	u64 time_ns;
	u64 duration_ns;
	u64 blocked_ns;
	u64 runnable_ns;
	s64 result;
	u64 args[6];
	s32 waker_tid;
	u32 text_bytes; /* 0: none */
	u32 text_arg;
	u32 reserved;
	struct use_key use; /* what it worked on */
	char waker[COMM_LENGTH];
	char text[TEXT_BYTES];
};

struct book_record {
	u32 kind;
	u32 reserved;
	u64 end_ns;
	struct slot slot;
};

#endif
