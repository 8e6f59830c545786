/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the probes' BPF programs and the plugin share. Both sides see the same layout: fixed-width types, no holes. */
#ifndef MEMORY_PROBES_SHARED_H
#define MEMORY_PROBES_SHARED_H

#ifdef __bpf__
#include <linux/types.h>
typedef __u64 u64;
typedef __u32 u32;
typedef __s32 s32;
typedef __s64 s64;
#else
#include <stdint.h>
typedef uint64_t u64;
typedef uint32_t u32;
typedef int32_t s32;
typedef int64_t s64;
#endif

/** What a function of an allocator takes. ptr, size, count, align: its arguments, in their order. */
enum probe_kind {
	PROBE_NONE = 0,
	PROBE_MALLOC,       /* size */
	PROBE_CALLOC,       /* count, size */
	PROBE_REALLOC,      /* ptr, size */
	PROBE_REALLOCARRAY, /* ptr, count, size */
	PROBE_ALIGNED,      /* align, size */
	PROBE_MEMALIGN_TO,  /* where to put it, align, size */
	PROBE_FREE,         /* ptr */
	PROBE_RUST_REALLOC, /* ptr, size it had, align, size */
	PROBE_KINDS
};

#define PROBE_FUNCTIONS 4096u  /* in all files together */
#define PROBE_THREADS   16384u /* places; threads with the same low bits of their id share one */
#define PROBE_STACK     32768u /* copied of a stack: a server with its buffers on it uses more than 16 KiB */

/** A function that is probed, by the number that is the probe's cookie. */
struct probe_function {
	u32 kind;
	u32 is_stepped; /* the instruction there is executed out of line, which costs more */
	s64 near_low; /* the allocator's own code around it, from the probe's address: calls from there are its own affair */
	s64 near_high;
};

enum probe_counter {
	COUNT_HITS,    /* probes that were hit, on an instruction that the kernel emulates */
	COUNT_STEPPED, /* and on others */
	COUNT_PASSED,  /* likewise of both, while calls were only counted */
	COUNT_PASSED_STEPPED,
	COUNT_RETURNS,
	COUNT_ALLOCS, /* calls that asked for memory, and bytes of these */
	COUNT_BYTES,
	COUNT_FREES,
	COUNT_INSIDE, /* calls of the allocator's own */
	COUNT_SAMPLES,
	COUNT_LOST_ALLOCS, /* no room in the ring */
	COUNT_LOST_FREES,
	COUNT_LIVE_FULL,
	COUNT_FAILED, /* samples that the allocator refused */
	COUNT_COUNTERS
};

enum probe_record_kind { PROBE_RECORD_ALLOC = 1, PROBE_RECORD_FREE = 2, PROBE_RECORD_FAILED = 3 };

/** Registers in the order of heap_taken.regs. */
#define PROBE_REGS 8

struct probe_record {
	u32 kind;
	u32 stack_bytes; /* ALLOC: of the stack behind it */
	u32 tgid;
	u32 tid;
	u64 time_ns;
	u64 id;
	u64 size;
	u64 regs[PROBE_REGS];
};

#endif
