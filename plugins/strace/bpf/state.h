/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Maps, settings, and how slots, groups and cells are found. Included once, by programs.bpf.c. */
#ifndef STRACE_BPF_STATE_H
#define STRACE_BPF_STATE_H

#include "kernel_types.h"
#include "shared.h"

/* ---- settings: constants when the programs are loaded, so what is off costs nothing ---- */

const volatile __u32 slot_mask = 65535;
const volatile __u32 tgid_limit = 32768;
const volatile __u32 cell_limit = 4096; /* the first KEY_COUNT belong to group 0 */
const volatile __u64 min_wait_ns = 1000000;
const volatile __u64 slow_ns = 1000000;
const volatile __u32 stack_bytes = 32768;
const volatile __u64 stack_gap_ns = 500000; /* 1 / stack_rate */
const volatile __u8 with_calls = 0;
const volatile __u8 with_group = 0; /* a control group is the target */
const volatile __u8 with_stacks = 1;
const volatile __u8 with_task_work = 0;  /* the kernel lets the sleeper take its own stack */
const volatile __u8 with_prev_state = 1; /* sched_switch tells it (Linux 5.18) */
const volatile __u32 group_level = 0;

/* ---- what changes while they run ---- */

__u32 is_on = 0;
__u64 from_ns = 0;       /* nothing before this counts */
__u64 until_ns = 0;      /* the end, once it is known */
__u32 sleepers_left = 0; /* that found no room in the ring */
__u64 group_id = 0;      /* of the control group; another one after a restart */
__u32 cells_used = 0;    /* set to what is reserved when they are loaded */
__u32 groups_used = 0;
__u64 stack_credit_ns = 0; /* the time up to which stacks have been paid for */
__u64 waker_credit_ns = 0; /* likewise of wakers' */
__u64 uses_made = 0;       /* entries of the table of files and locks that were ever made */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 512);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} tracked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GROUP_COUNT);
	__type(key, __u32);
	__type(value, __u32);
} group_of SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GROUP_COUNT);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct group);
} groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GROUP_COUNT *KEY_COUNT);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
} cell_of SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct bpf_cell);
} cells SEC(".maps");

/* By key. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KEY_COUNT);
	__type(key, __u32);
	__type(value, struct call_info);
} infos SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} ring SEC(".maps");

#define always_inline inline __attribute__((always_inline))

static always_inline void count(__u32 which, __u64 by)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &which);

	if (value) {
		*value += by;
	}
}

/* What the programs cost, of every 64th run: 0 for the others. */
static always_inline __u64 cost_begin(__u64 now)
{
	__u32 which = COUNT_RUNS;
	__u64 *runs = bpf_map_lookup_elem(&counters, &which);

	return runs && ((*runs)++ & 63) == 0 ? now : 0;
}

static always_inline void cost_end(__u64 began)
{
	if (began) {
		count(COUNT_TIMED_RUNS, 1);
		count(COUNT_TIMED_NS, bpf_ktime_get_ns() - began);
	}
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} where SEC(".maps");

#define THREAD_BYTES 16384u /* of a kernel stack on x86-64 */

/*
 * Whether this runs in an interrupt that fell upon `task`: in the kernel's code interrupts have stacks of their own, and the arguments of
 * a program lie on the stack; in the program's own code they run on the thread's, which then is in no system call. (preempt_count would
 * say it, but its place differs between kernels.) The address goes through a map, because the verifier lets nobody compare it otherwise.
 */
static always_inline bool in_interrupt(const void *ctx, struct task_struct *task)
{
	__u32 zero = 0;
	volatile __u64 *at = bpf_map_lookup_elem(&where, &zero);
	struct pt_regs *regs;

	if (!at) {
		return false;
	}
	*at = (__u64)ctx;
	if (*at - (__u64)task->stack >= THREAD_BYTES) {
		return true;
	}
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	return !(task->flags & (PF_KTHREAD | PF_EXITING)) && (long)regs->orig_ax < 0;
}

/* ---- the set of processes ---- */

static always_inline bool is_tracked(__u32 tgid)
{
	__u32 word = tgid >> 6;
	__u64 *bits = bpf_map_lookup_elem(&tracked, &word);

	return bits && (*bits >> (tgid & 63) & 1);
}

static always_inline void track(__u32 tgid)
{
	__u32 word = tgid >> 6;
	__u64 *bits = bpf_map_lookup_elem(&tracked, &word);

	if (bits) {
		__sync_fetch_and_or(bits, 1ull << (tgid & 63));
	}
}

static always_inline void untrack(__u32 tgid)
{
	__u32 word = tgid >> 6;
	__u64 *bits = bpf_map_lookup_elem(&tracked, &word);

	if (bits) {
		__sync_fetch_and_and(bits, ~(1ull << (tgid & 63)));
	}
}

/* Of the running task: whether it belongs to the target, also by its control group. */
static always_inline bool is_current_tracked(struct task_struct *task)
{
	if (is_tracked(task->tgid)) {
		return true;
	}
	if (with_group && !(task->flags & PF_KTHREAD) &&
	    bpf_get_current_ancestor_cgroup_id(group_level) == group_id) {
		track(task->tgid);
		return true;
	}
	return false;
}

/* ---- groups and cells ---- */

static always_inline void copy_comm(char *to, const char *from)
{
	__builtin_memcpy(to, from, COMM_LENGTH);
}

static always_inline void read_comm(char *to, struct task_struct *task)
{
	bpf_probe_read_kernel_str(to, COMM_LENGTH, task->comm);
}

static __u32 group_find(struct task_struct *task)
{
	__u32 tgid = task->tgid;
	__u32 *known = bpf_map_lookup_elem(&group_of, &tgid);
	struct group *group;
	__u32 index;

	if (known) {
		return *known;
	}
	index = __sync_fetch_and_add(&groups_used, 1);
	if (index >= GROUP_COUNT) {
		__sync_fetch_and_add(&groups_used, -1);
		count(COUNT_NO_GROUP, 1);
		index = 0;
	}
	/* Two of its threads at once: the first one's number holds, the other's is never used. */
	if (bpf_map_update_elem(&group_of, &tgid, &index, BPF_NOEXIST) != 0) {
		known = bpf_map_lookup_elem(&group_of, &tgid);
		return known ? *known : 0;
	}
	group = bpf_map_lookup_elem(&groups, &index);
	if (group && index) {
		group->tgid = tgid;
		bpf_probe_read_kernel_str(group->comm, COMM_LENGTH, BPF_CORE_READ(task, group_leader, comm));
	}
	return index;
}

static always_inline struct bpf_cell *cell_find(__u32 group, __u32 key)
{
	__u32 at = (group & (GROUP_COUNT - 1)) * KEY_COUNT + (key & (KEY_COUNT - 1));
	__u32 *index = bpf_map_lookup_elem(&cell_of, &at);
	__u32 cell = key & (KEY_COUNT - 1);

	if (index && group) {
		if (*index == 0) {
			__u32 fresh = __sync_fetch_and_add(&cells_used, 1);

			if (fresh < cell_limit) {
				__sync_val_compare_and_swap(index, 0, fresh);
			} else {
				__sync_fetch_and_add(&cells_used, -1);
			}
		}
		if (*index) {
			cell = *index;
		} else {
			count(COUNT_NO_CELL, 1);
		}
	}
	return bpf_map_lookup_elem(&cells, &cell);
}

static always_inline void cell_wait(__u32 group, __u32 key, __u64 blocked_ns, __u64 runnable_ns)
{
	struct bpf_cell *cell = cell_find(group, key);
	__u32 bucket = bucket_of(blocked_ns);

	if (!cell) {
		return;
	}
	cell->waits++;
	cell->blocked_ns += blocked_ns;
	cell->runnable_ns += runnable_ns;
	if (blocked_ns > cell->max_wait_ns) {
		cell->max_wait_ns = blocked_ns;
	}
	if (bucket < BUCKET_COUNT) {
		cell->wait_buckets[bucket]++;
	}
}

/* ---- slots ---- */

static always_inline struct slot *slot_find(__u32 tid)
{
	for (__u32 i = 0; i < PROBES; i++) {
		__u32 at = (tid + i) & slot_mask;
		struct slot *slot = bpf_map_lookup_elem(&slots, &at);

		if (slot && slot->tid == tid) {
			return slot;
		}
	}
	return 0;
}

/* A slot for a thread that has none; its state is SLOT_NEW. NULL when all its places are taken. */
static struct slot *slot_make(struct task_struct *task, __u64 now)
{
	__u32 tid = task->pid;

	for (__u32 i = 0; i < PROBES; i++) {
		__u32 at = (tid + i) & slot_mask;
		struct slot *slot = bpf_map_lookup_elem(&slots, &at);

		if (slot && slot->tid == 0 && __sync_val_compare_and_swap(&slot->tid, 0, tid) == 0) {
			slot->tgid = task->tgid;
			slot->start_ns = now;
			slot->since_ns = now;
			slot->ran_ns = now;
			slot->start_exec_ns = task->se.sum_exec_runtime;
			slot->group = group_find(task);
			return slot;
		}
	}
	count(COUNT_NO_SLOT, 1);
	return 0;
}

/* Free it: all else first, the id last. */
static always_inline void slot_free(struct slot *slot)
{
	__u32 tid = slot->tid;

	__builtin_memset((char *)slot + sizeof(tid), 0, sizeof(*slot) - sizeof(tid));
	__sync_val_compare_and_swap(&slot->tid, tid, 0);
}

/* Add the time in the present state to the book; returns it. Nothing before from_ns counts. */
static always_inline __u64 slot_settle(struct slot *slot, __u64 now)
{
	__u64 since = slot->since_ns > from_ns ? slot->since_ns : from_ns;
	__u64 spent = now > since ? now - since : 0;
	__u32 cause = slot->wait_cause;

	slot->since_ns = now > slot->since_ns ? now : slot->since_ns;
	if (slot->state == SLOT_ON_CPU) {
		slot->on_cpu_ns += spent;
	} else if (slot->state == SLOT_RUN_QUEUE) {
		slot->wait_ns[CAUSE_RUN_QUEUE] += spent;
	} else if (slot->state == SLOT_PREEMPTED) {
		slot->wait_ns[CAUSE_PREEMPTED] += spent;
	} else if (slot->state == SLOT_BLOCKED && cause < CAUSES) {
		slot->wait_ns[cause] += spent;
	}
	return spent;
}

/* The book of a thread that ends, or that becomes another: to the plugin. */
static always_inline void slot_end(struct slot *slot, struct task_struct *task, __u64 now)
{
	struct book_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNT_RING_BOOKS, 1);
	} else {
		slot->exec_ns = task->se.sum_exec_runtime;
		read_comm(slot->comm, task);
		record->kind = RECORD_BOOK;
		record->reserved = 0;
		record->end_ns = now;
		__builtin_memcpy(&record->slot, slot, sizeof(*slot));
		bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	}
	slot_free(slot);
}

/* ---- calls ---- */

static always_inline bool is_compat(struct task_struct *task)
{
	return task->thread_info.status & TS_COMPAT;
}

static always_inline __u32 key_of(__u64 nr, bool compat)
{
	if (nr >= KEY_CALLS) {
		return KEY_UNKNOWN + (compat ? KEY_COMPAT : 0);
	}
	return (__u32)nr + (compat ? KEY_COMPAT : 0);
}

#endif
