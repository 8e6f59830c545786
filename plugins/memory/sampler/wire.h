/* SPDX-License-Identifier: MIT */
/*
 * What the heap sampler, inside the target, and its collector share: one sealed memory file that all processes of the target
 * map. The collector makes it; the target opens it by the path in HEAP_ENV and may then write what it likes: everything in it
 * is hostile to the collector, which copies before it looks and checks every number.
 */
#ifndef MEMORY_SAMPLER_WIRE_H
#define MEMORY_SAMPLER_WIRE_H

#include <stdint.h>

#define HEAP_ENV                                                                                             \
	"PROFCORE_HEAP" /* "/proc/PID/fd/N:NONCE": where the file is, and the hex number that it must show */
#define HEAP_MAGIC   0x70616568636f7270ULL
#define HEAP_VERSION 1U

#define HEAP_LINE         64U
#define HEAP_RINGS        64U    /* threads share them by number */
#define HEAP_SHARDS       64U    /* of counters, exhaustive: one a thread while they last */
#define HEAP_PROCESSES    65535U /* that were seen in a run; slot 0 is none */
#define HEAP_MAYBE_BYTES  262144U
#define HEAP_BUCKET_SLOTS 8U
#define HEAP_PROBES       4U     /* buckets that a pointer may be in */
#define HEAP_STACKS       65536U /* exhaustive: distinct stacks, all processes */
#define HEAP_LOG2S        48U    /* classes of a histogram: by powers of two */
#define HEAP_STACK_MAX    65536U /* most bytes of a stack in a record */

enum heap_flags {
	HEAP_EXHAUSTIVE = 1,
};

enum heap_kind {
	HEAP_PAD = 1,   /* nothing: the rest of this lap */
	HEAP_ALLOC = 2, /* struct heap_alloc */
	HEAP_FREE = 3,  /* struct heap_free */
	HEAP_STACK =
		4, /* struct heap_alloc, exhaustive: id is the number of a stack, seen for the first time */
};

/** The start of a record. It is written last: mark is its position in the ring's endless stream, xor the nonce. */
struct heap_record {
	uint64_t mark;
	uint32_t bytes; /* with this header and the copied stack, a multiple of 8 */
	uint16_t kind;
	uint16_t process; /* slot */
};

/** Registers where the allocator's caller goes on; ip is inside the call. */
struct heap_registers {
	uint64_t ip, sp, bp, bx, r12, r13, r14, r15;
};

#define HEAP_SLACK_UNKNOWN UINT32_MAX

enum heap_alloc_flags {
	HEAP_STACK_UNKNOWN = 1, /* not the thread's own stack: no more than the page was copied */
	HEAP_STACK_CUT = 2,     /* there is more stack than was copied */
};

struct heap_alloc {
	struct heap_record record;
	uint64_t time_ns;
	uint64_t id;
	uint64_t size; /* as asked for */
	int32_t tid;
	uint32_t flags;
	uint32_t stack_bytes;
	uint32_t slack; /* usable bytes beyond size; HEAP_SLACK_UNKNOWN */
	struct heap_registers registers;
	/* the stack follows */
};

struct heap_free {
	struct heap_record record;
	uint64_t time_ns;
	uint64_t id;
	int32_t tid;
	uint32_t reserved;
};

struct heap_ring {
	_Alignas(HEAP_LINE) uint64_t head; /* producers; in bytes, never wraps */
	uint64_t lost;                     /* records without room */
	_Alignas(HEAP_LINE) uint64_t tail; /* the collector */
	/* data: at heap_segment.ring_data */
};

/** What is known of a live object. */
struct heap_object_facts {
	uint64_t id;   /* sampled: the record's; exhaustive: number of the stack */
	uint64_t size; /* as asked for */
	uint64_t time; /* sampled: ns; exhaustive: ticks of the time-stamp counter */
};

/** Live objects by address: sampled ones, or all. The keys have a line of the cache: a search looks at nothing else. */
struct heap_bucket {
	_Alignas(HEAP_LINE)
		uint64_t key[HEAP_BUCKET_SLOTS]; /* process slot << 48 | address; 0: free; 1: being written */
	struct heap_object_facts facts[HEAP_BUCKET_SLOTS];
};

struct heap_process {
	int32_t pid;
	uint32_t flags; /* enum heap_process_flags */
	uint64_t start_ns;
	char allocator[48]; /* file name of the object that malloc leads to */
};

enum heap_process_flags {
	HEAP_PROCESS_SHADOWED = 1, /* the program may have a malloc of its own in front of ours */
};

/** Exhaustive: what one shard saw of one stack. */
struct heap_stat {
	uint64_t allocs, alloc_bytes, frees, free_bytes, temporaries, temporary_bytes;
};

struct heap_class_count {
	uint64_t count, bytes;
};

/** Exhaustive: of one shard. */
struct heap_shard {
	_Alignas(HEAP_LINE) uint64_t owner; /* process slot << 32 | tid; 0: free */
	uint64_t last;                      /* the last owner; 0: threads that share it */
	struct heap_class_count sizes[HEAP_LOG2S];
	struct heap_class_count lifetimes[HEAP_LOG2S]; /* by ticks */
};

struct heap_segment {
	uint64_t magic;
	uint32_t version;
	uint32_t flags; /* enum heap_flags */
	uint64_t bytes; /* of the whole file */
	uint64_t nonce;
	uint64_t period_bytes;    /* mean distance of samples */
	uint64_t temporary_ticks; /* exhaustive: an object that lives shorter is a temporary one */
	uint32_t stack_bytes;     /* most that is copied of a stack */
	uint32_t bucket_bits;     /* log2 of the number of buckets */
	uint64_t ring_bytes;      /* data of one ring, a power of two */
	/* where things are in the file */
	uint64_t rings, ring_data, maybe_table, buckets, processes, stack_keys, stats, shards;

	_Alignas(HEAP_LINE) uint64_t
		alive_until_ns; /* the collector's promise: past it, nothing is recorded */
	uint32_t enabled;
	_Alignas(HEAP_LINE) uint64_t next_id;
	uint32_t next_process;
	uint32_t processes_refused;
	uint64_t live_full; /* objects that found no room in their buckets */
	uint64_t
		stacks_full; /* exhaustive: calls whose stack found no room, counted with their call site only */
};

/**
 * A byte for 64 of the heap, neighbours beside each other: each free looks at one, and a small heap has its bytes in a few lines
 * of the cache. (Spread by a hash over 64 KiB they cost each free a miss of the first level, some 5 ns.)
 */
static inline uint32_t heap_maybe_index(uint64_t address)
{
	return (uint32_t)((address >> 6 ^ address >> 24) & (HEAP_MAYBE_BYTES - 1));
}

/** Neighbours stay neighbours, so that a small heap touches a small part of the table; far regions are spread. */
static inline uint64_t heap_bucket_index(uint64_t address, uint32_t bits)
{
	uint64_t region = (address >> (7 + bits)) * 0x9e3779b97f4a7c15ULL >> 20;

	return ((address >> 7) + region) & ((1ULL << bits) - 1);
}

#endif
