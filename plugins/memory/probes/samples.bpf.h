// SPDX-License-Identifier: MIT OR GPL-2.0
/* What the programs of heap.bpf.c know and tell: their settings and tables, when the next sample is due, records for the collector. */
#ifndef MEMORY_PROBES_SAMPLES_BPF_H
#define MEMORY_PROBES_SAMPLES_BPF_H

#include "kernel_types.h"

#include <bpf/bpf_tracing.h>

#include "shared.h"

#define always_inline inline __attribute__((always_inline))

/* ---- settings ---- */

#define LOG_BITS 20 /* of the fraction of a logarithm */

const volatile __u64 period_ln2 = 1;       /* mean distance of samples in bytes, times ln 2 */
const volatile __u32 log2_table[257] = {}; /* log2(1 + i / 256) */

__u32 is_counting = 0; /* calls are counted, and nothing else */
__u32 epoch = 1;       /* of the table of samples: what an older one knows is not to be trusted */
__u64 next_id = 1;

/* ---- tables ---- */

struct thread {
	__u32 tid;
	__u32 pending_function;
	__u32 last_function; /* the last that was entered, and where: a function that jumps to another has its place */
	__u32 reserved;
	__u64 last_sp;
	__u64 last_return;
	__s64 countdown;
	__u64 pending_id; /* of a sampled call that has not returned; 0: none */
	__u64 pending_size;
	__u64 pending_to;                  /* where it is told the result; 0: by the register */
	__u64 pending_old, pending_old_id; /* what it frees if it succeeds */
	__u64 time_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PROBE_THREADS);
	__type(key, __u32);
	__type(value, struct thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PROBE_FUNCTIONS);
	__type(key, __u32);
	__type(value, struct probe_function);
} functions SEC(".maps");

struct live_key {
	__u64 address;
	__u64 tgid;
};

struct live {
	__u64 id;
	__u64 epoch;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct live_key);
	__type(value, struct live);
} live_objects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNT_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

static always_inline void count(__u32 which, __u64 more)
{
	__u64 *at = bpf_map_lookup_elem(&counters, &which);

	if (at) {
		*at += more;
	}
}

/* ---- distances ---- */

/* -ln(U) * period, for U uniform in (0, 1]. */
static always_inline __s64 next_distance(void)
{
	__u32 random = bpf_get_prandom_u32();
	__u32 exponent = 31, mantissa, at, fraction;
	__u64 log2;

	if (random == 0) {
		random = 1;
	}
	for (int i = 0; i < 5; i++) { /* the highest bit to the top, by halves */
		__u32 shift = 16u >> i;

		if (random < 1u << (32 - shift)) {
			random <<= shift;
			exponent -= shift;
		}
	}
	mantissa = random << 1;
	at = mantissa >> 24 & 255;
	fraction = mantissa & 0xffffff;
	log2 = ((__u64)exponent << LOG_BITS) + log2_table[at] +
	       (((__u64)(log2_table[at + 1] - log2_table[at]) * fraction) >> 24);
	return (__s64)(((32ull << LOG_BITS) - log2) * period_ln2 >> LOG_BITS) + 1;
}

static always_inline bool is_due(struct thread *thread, __u64 size)
{
	thread->countdown -= size < 1ull << 62 ? (__s64)size : 1ll << 62;
	if (thread->countdown >= 0) {
		return false;
	}
	thread->countdown = next_distance();
	return true;
}

/* ---- records ---- */

#define PAGE 4096u

struct alloc_record {
	struct probe_record head;
	__u8 stack[PROBE_STACK + PAGE]; /* the last page is room for the verifier's idea of the last copy */
};

/* Wake the reader when a quarter is full; else it comes by itself. */
static always_inline __u64 ring_flags(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE) / 4
		       ? BPF_RB_FORCE_WAKEUP
		       : BPF_RB_NO_WAKEUP;
}

static always_inline void send_alloc(struct pt_regs *regs, const struct thread *thread, __u32 tgid)
{
	struct alloc_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	__u64 sp = regs->sp;
	__u32 done = 0;

	if (!record) {
		count(COUNT_LOST_ALLOCS, 1);
		return;
	}
	record->head.kind = PROBE_RECORD_ALLOC;
	record->head.tgid = tgid;
	record->head.tid = thread->tid;
	record->head.time_ns = thread->time_ns;
	record->head.id = thread->pending_id;
	record->head.size = thread->pending_size;
	record->head.regs[0] = regs->bx;
	record->head.regs[1] = regs->bp;
	record->head.regs[2] = regs->sp;
	record->head.regs[3] = regs->ip;
	record->head.regs[4] = regs->r12;
	record->head.regs[5] = regs->r13;
	record->head.regs[6] = regs->r14;
	record->head.regs[7] = regs->r15;
	/* Page by page, up to the first that is not there. */
	for (__u32 i = 0; i <= PROBE_STACK / PAGE; i++) {
		__u32 bytes = PAGE - ((sp + done) & (PAGE - 1));

		if (done >= PROBE_STACK || bytes > PAGE ||
		    bpf_probe_read_user(record->stack + done, bytes, (void *)(sp + done)) != 0) {
			break;
		}
		done += bytes;
	}
	record->head.stack_bytes = done < PROBE_STACK ? done : PROBE_STACK;
	bpf_ringbuf_submit(record, ring_flags());
}

static always_inline void send_end(__u32 kind, const struct thread *thread, __u32 tgid, __u64 id)
{
	struct probe_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNT_LOST_FREES, 1);
		return;
	}
	record->kind = kind;
	record->stack_bytes = 0;
	record->tgid = tgid;
	record->tid = thread->tid;
	record->time_ns = bpf_ktime_get_ns();
	record->id = id;
	record->size = 0;
	bpf_ringbuf_submit(record, ring_flags());
}

#endif
