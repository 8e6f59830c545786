/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Stacks of waits, of who ended them, and of slow calls. When a thread is about to run again after a long wait, its kernel stack is still that of the
 * wait, and is taken there; its user stack lies in another address space, so the thread takes it itself, before it returns to its
 * own code (bpf_task_work, Linux 6.18). Included once, by programs.bpf.c.
 */
#ifndef STRACE_BPF_STACKS_H
#define STRACE_BPF_STACKS_H

#include "state.h"

/* ---- kernel functions that may be missing: with_task_work tells, and the loader never sees the calls without it ---- */

extern int bpf_task_work_schedule_resume_impl(struct task_struct *task, struct bpf_task_work *work, void *map,
					      int (*callback)(struct bpf_map *, void *, void *),
					      void *aux) __ksym __weak;
extern int bpf_copy_from_user_dynptr(struct bpf_dynptr *to, __u32 at, __u32 bytes,
				     const void *from) __ksym __weak;

/* One stack on its way. Claimed by tid; many threads share a place, few of them at once. */
struct work {
	struct bpf_task_work work;
	__u32 tid;
	__u32 reserved;
	struct stack_record record;
};

#define WORKS 4096

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WORKS);
	__type(key, __u32);
	__type(value, struct work);
} works SEC(".maps");

/*
 * Kernels that do not let the sleeper do it: its user stack is copied each time it goes to sleep, and kept until it is known whether
 * the wait was long. Shared by threads with the same low bits.
 */
#define STASHES     8192
#define STASH_BYTES 6144u

struct stash {
	__u32 tid;
	__u32 bytes;
	__u8 stack[STASH_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STASHES);
	__type(key, __u32);
	__type(value, struct stash);
} stashes SEC(".maps");

/* A wait's record with the stack behind it, where its room is fixed. */
#define FIXED_BYTES 16384u

struct fixed_record {
	struct stack_record head;
	__u8 stack[FIXED_BYTES];
};

/* Wake the reader when a quarter is full; else it comes by itself. */
static always_inline __u64 ring_flags(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE) / 4
		       ? BPF_RB_FORCE_WAKEUP
		       : BPF_RB_NO_WAKEUP;
}

static always_inline void copy_regs(__u64 *to, const struct pt_regs *regs)
{
	to[0] = regs->ax;
	to[1] = regs->bx;
	to[2] = regs->cx;
	to[3] = regs->dx;
	to[4] = regs->si;
	to[5] = regs->di;
	to[6] = regs->bp;
	to[7] = regs->sp;
	to[8] = regs->ip;
	to[9] = regs->r8;
	to[10] = regs->r9;
	to[11] = regs->r10;
	to[12] = regs->r11;
	to[13] = regs->r12;
	to[14] = regs->r13;
	to[15] = regs->r14;
	to[16] = regs->r15;
}

/* A second's stacks are spread over it; what was saved up lasts for a tenth of a second. */
static always_inline bool is_paid(__u64 *account, __u64 now)
{
	__u64 credit = *account;

	if (credit + 100000000ull < now) {
		credit = now - 100000000ull;
	}
	if (credit > now) {
		return false;
	}
	*account = credit + stack_gap_ns;
	return true;
}

static long note_end(struct task_struct *task, struct vm_area_struct *area, __u64 *ret_end)
{
	*ret_end = area->vm_end;
	return 0;
}

#define PAGE 4096u

/* Copies the user stack page by page, up to the first that cannot be read. Returns how much. */
static always_inline __u32 copy_stack(struct bpf_dynptr *to, __u64 sp, __u32 wanted)
{
	__u32 done = 0;

	for (int i = 0; i < 17; i++) {
		__u32 bytes = PAGE - ((sp + done) & (PAGE - 1));

		if (done >= wanted) {
			break;
		}
		if (bytes > wanted - done) {
			bytes = wanted - done;
		}
		if (bpf_copy_from_user_dynptr(to, sizeof(struct stack_record) + done, bytes,
					      (void *)(sp + done)) != 0) {
			break;
		}
		done += bytes;
	}
	return done;
}

/* In the thread that waited, before it returns to its own code. */
static int take_user_stack(struct bpf_map *map, void *key, void *value)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct work *work = value;
	struct bpf_dynptr to;
	__u64 end = 0, sp;
	__u32 wanted = stack_bytes;

	if (work->tid != (__u32)task->pid) {
		return 0;
	}
	copy_regs(work->record.regs, regs);
	sp = regs->sp;
	bpf_find_vma(task, sp, note_end, &end, 0);
	if (end > sp && end - sp < wanted) {
		wanted = end - sp;
	}
	if (bpf_ringbuf_reserve_dynptr(&ring, sizeof(struct stack_record) + wanted, 0, &to) != 0) {
		bpf_ringbuf_discard_dynptr(&to, 0);
		count(COUNT_RING_STACKS, 1);
		work->tid = 0;
		return 0;
	}
	work->record.stack_bytes = work->record.is_compat ? 0 : copy_stack(&to, sp, wanted);
	bpf_dynptr_write(&to, 0, &work->record, sizeof(struct stack_record), 0);
	bpf_ringbuf_submit_dynptr(&to, ring_flags());
	work->tid = 0;
	return 0;
}

static always_inline void fill_stack(struct stack_record *record, struct slot *slot, struct task_struct *task)
{
	long bytes;

	record->kind = RECORD_STACK;
	record->stack_bytes = 0;
	record->tid = slot->tid;
	record->tgid = slot->tgid;
	record->key = slot->wait_key;
	record->cause = slot->wait_cause;
	record->waker_tid = slot->waker_tid;
	record->waker_tgid = slot->waker_tgid;
	record->woken_ns = slot->waker_tid ? slot->woken_ns : 0;
	record->call_end_ns = 0;
	record->call_ns = 0;
	record->is_compat = is_compat(task);
	record->is_last = 0;
	record->reserved = 0;
	copy_comm(record->waker, slot->waker);
	bytes = bpf_get_task_stack(task, record->kernel_ips, sizeof(record->kernel_ips), 0);
	record->kernel_count = bytes > 0 ? bytes / sizeof(__u64) : 0;
}

static always_inline void stash_keep(__u32 tid, __u64 sp)
{
	__u32 at = tid & (STASHES - 1);
	struct stash *stash = bpf_map_lookup_elem(&stashes, &at);
	__u32 first = PAGE - (sp & (PAGE - 1));

	if (!stash) {
		return;
	}
	stash->tid = tid;
	stash->bytes = 0;
	if (first > PAGE || bpf_probe_read_user(stash->stack, first, (void *)sp) != 0) {
		return;
	}
	stash->bytes = first;
	/* the next page, as far as there is room */
	if (first <= STASH_BYTES - 2048 &&
	    bpf_probe_read_user(stash->stack + first, 2048, (void *)(sp + first)) == 0) {
		stash->bytes = first + 2048;
	}
}

static always_inline void stash_send(struct stack_record *head, struct task_struct *task)
{
	__u32 at = head->tid & (STASHES - 1);
	struct stash *stash = bpf_map_lookup_elem(&stashes, &at);
	struct fixed_record *record =
		bpf_ringbuf_reserve(&ring, sizeof(struct stack_record) + STASH_BYTES, 0);
	__u32 bytes;

	if (!record) {
		count(COUNT_RING_STACKS, 1);
		return;
	}
	copy_regs(head->regs, (struct pt_regs *)bpf_task_pt_regs(task));
	bytes = stash && stash->tid == head->tid && !head->is_compat ? stash->bytes : 0;
	if (bytes && bytes <= STASH_BYTES) {
		bpf_probe_read_kernel(record->stack, bytes, stash->stack);
	}
	head->stack_bytes = bytes;
	bpf_probe_read_kernel(&record->head, sizeof(record->head), head);
	bpf_ringbuf_submit(record, ring_flags());
}

/* `task` is about to run again: its kernel stack is that of the wait. */
static always_inline void stack_take(struct slot *slot, struct task_struct *task, __u64 blocked_ns,
				     __u64 runnable_ns, __u64 now)
{
	__u32 at = slot->tid & (WORKS - 1);
	struct work *work = bpf_map_lookup_elem(&works, &at);

	if (!work) {
		return;
	}
	if (work->tid ==
	    slot->tid) { /* it waits again, and was not back in its own code in between: the same stack */
		work->record.blocked_ns += blocked_ns;
		work->record.runnable_ns += runnable_ns;
		return;
	}
	if (!is_paid(&stack_credit_ns, now)) {
		count(COUNT_RATE, 1);
		count(COUNT_RATE_NS, blocked_ns + runnable_ns);
		return;
	}
	if (__sync_val_compare_and_swap(&work->tid, 0, slot->tid) != 0) {
		count(COUNT_BUSY, 1);
		count(COUNT_BUSY_NS, blocked_ns + runnable_ns);
		return;
	}
	fill_stack(&work->record, slot, task);
	work->record.time_ns = now;
	work->record.blocked_ns = blocked_ns;
	work->record.runnable_ns = runnable_ns;
	count(COUNT_STACKS, 1);
	if (with_task_work) {
		if (bpf_task_work_schedule_resume_impl(task, &work->work, &works, take_user_stack, 0) == 0) {
			return;
		}
		count(COUNT_BUSY, 1);
		count(COUNT_BUSY_NS, blocked_ns + runnable_ns);
	} else {
		stash_send(&work->record, task);
	}
	work->tid = 0;
}

/* It ends before it came back to its own code: its place is free again. */
static always_inline void stack_forget(__u32 tid)
{
	__u32 at = tid & (WORKS - 1);
	struct work *work = bpf_map_lookup_elem(&works, &at);

	if (work && work->tid == tid) {
		work->tid = 0;
	}
}

/*
 * A thread that sleeps at the end of the window: its stacks are those of its wait, and its memory is read from here. The iterator
 * runs again until all had room in the ring.
 */
static always_inline void stack_of_sleeper(struct slot *slot, struct task_struct *task)
{
	__u64 since = slot->since_ns > from_ns ? slot->since_ns : from_ns;
	struct fixed_record *record;
	struct pt_regs *regs;
	__u32 done = 0;
	__u64 sp;

	if (until_ns <= since || until_ns - since < min_wait_ns || slot->is_taken) {
		return;
	}
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		sleepers_left++;
		return;
	}
	slot->is_taken = 1;
	fill_stack(&record->head, slot, task);
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	copy_regs(record->head.regs, regs);
	record->head.time_ns = until_ns;
	record->head.blocked_ns = until_ns - since;
	record->head.runnable_ns = 0;
	record->head.is_last = 1;
	sp = regs->sp;
	for (int i = 0; i < 5 && !record->head.is_compat; i++) {
		__u32 bytes = PAGE - ((sp + done) & (PAGE - 1));

		if (done > FIXED_BYTES - PAGE || bytes > PAGE ||
		    bpf_copy_from_user_task(record->stack + done, bytes, (void *)(sp + done), task, 0) != 0) {
			break;
		}
		done += bytes;
	}
	record->head.stack_bytes = done;
	count(COUNT_STACKS, 1);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

/* ---- of a thread that runs: its user stack as far as two pages ---- */

#define LIVE_BYTES 8192u

struct live_record {
	struct stack_record head;
	__u8 stack[LIVE_BYTES];
};

static always_inline void copy_live(struct live_record *record, struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u64 sp = regs->sp;
	__u32 first = PAGE - (sp & (PAGE - 1));

	copy_regs(record->head.regs, regs);
	record->head.is_compat = is_compat(task);
	record->head.stack_bytes = 0;
	if (record->head.is_compat || first > PAGE ||
	    bpf_probe_read_user(record->stack, first, (void *)sp) != 0) {
		return;
	}
	record->head.stack_bytes = first;
	if (bpf_probe_read_user(record->stack + first, PAGE, (void *)(sp + first)) == 0) {
		record->head.stack_bytes = first + PAGE;
	}
}

/* Who ends a long wait, in the middle of doing it. Its own stack is known here and nowhere else. */
static always_inline void waker_stack(void *ctx, const struct slot *slot, struct task_struct *waker,
				      __u64 now)
{
	struct live_record *record;
	long bytes;

	if (!is_paid(&waker_credit_ns, now)) {
		count(COUNT_RATE_WAKERS, 1);
		return;
	}
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		count(COUNT_RING_WAKERS, 1);
		return;
	}
	__builtin_memset(&record->head, 0, sizeof(record->head));
	record->head.kind = RECORD_WAKER;
	record->head.tid = waker->pid;
	record->head.tgid = waker->tgid;
	record->head.waker_tid = slot->tid;
	record->head.time_ns = now;
	record->head.blocked_ns = slot->wait_blocked_ns;
	read_comm(record->head.waker, waker);
	/* without the two innermost frames, which are those of BPF itself */
	bytes = bpf_get_stack(ctx, record->head.kernel_ips, sizeof(record->head.kernel_ips), 2);
	record->head.kernel_count = bytes > 0 ? bytes / sizeof(__u64) : 0;
	if (!(waker->flags & PF_KTHREAD) && is_tracked(waker->tgid)) {
		copy_live(record, waker);
	}
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

/* ---- of a call that was slow, at its end ---- */

static always_inline void call_stack_now(struct work *work, struct task_struct *task)
{
	struct live_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNT_RATE_CALLS, 1);
		return;
	}
	bpf_probe_read_kernel(&record->head, sizeof(record->head), &work->record);
	copy_live(record, task);
	bpf_ringbuf_submit(record, ring_flags());
}

/* Its last wait's stack is on its way, and is this call's too; else it kept the CPU, or waited shorter. */
static always_inline void call_stack(struct slot *slot, struct task_struct *task, __u64 duration_ns,
				     __u64 now)
{
	__u32 at = slot->tid & (WORKS - 1);
	struct work *work = bpf_map_lookup_elem(&works, &at);

	if (!work) {
		return;
	}
	if (work->tid != slot->tid) {
		if (!is_paid(&stack_credit_ns, now) ||
		    __sync_val_compare_and_swap(&work->tid, 0, slot->tid) != 0) {
			count(COUNT_RATE_CALLS, 1);
			return;
		}
		__builtin_memset(&work->record, 0, sizeof(work->record));
		work->record.kind = RECORD_STACK;
		work->record.tid = slot->tid;
		work->record.tgid = slot->tgid;
		work->record.key = slot->call_key;
		work->record.is_compat = is_compat(task);
		work->record.time_ns = now;
		work->record.call_end_ns = now;
		work->record.call_ns = duration_ns;
		if (!with_task_work) {
			call_stack_now(work, task);
			work->tid = 0;
		} else if (bpf_task_work_schedule_resume_impl(task, &work->work, &works, take_user_stack,
							      0) != 0) {
			count(COUNT_RATE_CALLS, 1);
			work->tid = 0;
		}
		return;
	}
	work->record.call_end_ns = now;
	work->record.call_ns = duration_ns;
}

#endif
