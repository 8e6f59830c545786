// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What runs in the kernel. Where a thread leaves the CPU, its saved registers tell the system call it sleeps in: so blocked time
 * is known by call without a program at any call. With calls = all two more programs count and time each call.
 */
#include "kernel_types.h"

#include <bpf/bpf_tracing.h>

#include "state.h"
#include "stacks.h"
#include "uses.h"
#include "calls.h"

char _license[] SEC("license") = "Dual MIT/GPL";

/* ---- tier 0: switches ---- */

static always_inline void leave_cpu(struct task_struct *task, bool preempted, __u32 task_state, __u64 now)
{
	struct slot *slot = slot_find(task->pid);
	struct pt_regs *regs;

	if (!slot) {
		if (task_state & TASK_DEAD) {
			return;
		}
		slot = slot_make(task, now);
		if (!slot) {
			return;
		}
		slot->state = SLOT_ON_CPU;
	}
	if (slot->state == SLOT_NEW) {
		slot->state = SLOT_ON_CPU;
	}
	slot_settle(slot, now);
	if (task_state & TASK_DEAD) {
		slot_end(slot, task, now);
		return;
	}
	if (now >= from_ns) {
		slot->switches++;
	}
	if (preempted || task_state == 0) {
		slot->state = SLOT_PREEMPTED;
		return;
	}
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	slot->wait_blocked_ns = 0;
	slot->waker_tid = 0;
	slot->waker_tgid = 0;
	slot->waker[0] = 0;
	slot->is_waiting = 1;
	if ((long)regs->orig_ax >= 0) {
		slot->wait_key = key_of(regs->orig_ax, is_compat(task));
		slot->wait_cause = CAUSE_SYSCALL;
	} else { /* it came into the kernel by an exception: while it has memory, that is a page fault */
		slot->wait_cause = task->flags & PF_EXITING ? CAUSE_OTHER : CAUSE_FAULT;
		slot->wait_key = KEY_CAUSES + slot->wait_cause;
	}
	slot->state = SLOT_BLOCKED;
	if (with_stacks && !with_task_work && !is_compat(task)) {
		stash_keep(slot->tid, regs->sp);
	}
}

/* A wait is over: into its cell, and its stack if it was long. */
static always_inline void end_wait(void *ctx, struct slot *slot, struct task_struct *task, __u64 runnable_ns,
				   __u64 now)
{
	__u64 blocked_ns = slot->wait_blocked_ns;

	slot->is_waiting = 0;
	if (now < from_ns || slot->is_held) {
		return;
	}
	count(COUNT_WAITS, 1);
	cell_wait(slot->group, slot->wait_key, blocked_ns, runnable_ns);
	if (slot->call_ns) {
		slot->call_blocked_ns += blocked_ns;
		slot->call_runnable_ns += runnable_ns;
	}
	if (with_stacks && blocked_ns + runnable_ns >= min_wait_ns) {
		stack_take(slot, task, blocked_ns, runnable_ns, now);
	}
}

static always_inline void other_wait(struct slot *slot, __u32 cause, __u64 spent, __u64 now)
{
	if (now >= from_ns && !slot->is_held) {
		cell_wait(slot->group, KEY_CAUSES + cause, spent, 0);
	}
}

static always_inline void take_cpu(void *ctx, struct task_struct *task, __u64 now)
{
	struct slot *slot = slot_find(task->pid);
	__u64 spent;

	if (!slot) {
		slot = slot_make(task, now);
		if (!slot) {
			return;
		}
		slot->state = SLOT_ON_CPU;
		return;
	}
	if (slot->state == SLOT_BLOCKED && slot->woken_ns >= slot->ran_ns && slot->woken_ns) {
		/* woken while it was leaving: it never slept */
		slot->state = SLOT_RUN_QUEUE;
	}
	spent = slot_settle(slot, now);
	if (slot->state == SLOT_BLOCKED) {
		count(COUNT_UNWOKEN, 1);
		slot->wait_blocked_ns = spent;
		end_wait(ctx, slot, task, 0, now);
	} else if (slot->state == SLOT_RUN_QUEUE) {
		other_wait(slot, CAUSE_RUN_QUEUE, spent, now);
		if (slot->is_waiting) {
			end_wait(ctx, slot, task, spent, now);
		}
	} else if (slot->state == SLOT_PREEMPTED) {
		other_wait(slot, CAUSE_PREEMPTED, spent, now);
		if (slot->call_ns) {
			slot->call_runnable_ns += spent;
		}
	}
	slot->state = SLOT_ON_CPU;
	slot->ran_ns = now;
}

SEC("tp_btf/sched_switch")
int on_switch(__u64 *ctx)
{
	bool preempted = ctx[0];
	struct task_struct *prev = (void *)ctx[1];
	struct task_struct *next = (void *)ctx[2];
	bool leaves, takes;
	__u64 now, began;

	if (!is_on) {
		return 0;
	}
	leaves = is_current_tracked(prev);
	takes = is_tracked(next->tgid);
	if (!leaves && !takes) {
		return 0;
	}
	now = bpf_ktime_get_ns();
	began = cost_begin(now);
	if (leaves) {
		leave_cpu(prev, preempted, ctx[3], now);
	}
	if (takes) {
		take_cpu(ctx, next, now);
	}
	cost_end(began);
	return 0;
}

/* In the context of the waker, with the wakee's lock held. */
SEC("tp_btf/sched_waking")
int on_waking(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct task_struct *waker;
	struct slot *slot;
	__u64 now, began;

	if (!is_on || !is_tracked(task->tgid)) {
		return 0;
	}
	slot = slot_find(task->pid);
	if (!slot) {
		return 0;
	}
	now = bpf_ktime_get_ns();
	began = cost_begin(now);
	slot->woken_ns = now;
	if (slot->state == SLOT_BLOCKED) {
		slot->wait_blocked_ns = slot_settle(slot, now);
		slot->state = SLOT_RUN_QUEUE;
		/* Who it was is told of long waits only: to find out costs as much as all the rest. */
		if (slot->wait_blocked_ns >= min_wait_ns ||
		    (with_calls && slot->wait_blocked_ns >= slow_ns)) {
			waker = (struct task_struct *)bpf_get_current_task_btf();
			slot->waker_tid = waker->pid == 0 || in_interrupt(ctx, waker) ? -1 : waker->pid;
			slot->waker_tgid = waker->tgid;
			if (slot->waker_tid > 0) {
				read_comm(slot->waker, waker);
			}
			if (with_stacks && slot->waker_tid > 0 && slot->wait_blocked_ns >= min_wait_ns &&
			    now >= from_ns && !slot->is_held) {
				waker_stack(ctx, slot, waker, now);
			}
		}
	}
	cost_end(began);
	return 0;
}

/* ---- births, names, ends ---- */

SEC("tp_btf/sched_process_fork")
int on_fork(__u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0];
	struct task_struct *child = (void *)ctx[1];
	struct slot *slot;

	if (!is_on || !is_current_tracked(parent)) {
		return 0;
	}
	track(child->tgid);
	slot = slot_make(child, bpf_ktime_get_ns());
	if (slot) {
		slot->state = SLOT_RUN_QUEUE;
	}
	return 0;
}

SEC("tp_btf/sched_process_exec")
int on_exec(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	__u32 old_tid = (__u32)ctx[1];
	__u64 now = bpf_ktime_get_ns();
	struct slot *slot;
	struct group *group;
	__u32 tgid, *index;

	if (!is_on || !is_current_tracked(task)) {
		return 0;
	}
	slot = slot_find(old_tid);
	if (slot &&
	    old_tid != (__u32)task->pid) { /* a thread that is not the leader becomes it, within its execve */
		__u64 call_ns = slot->call_ns;
		__u32 call_key = slot->call_key;

		slot_settle(slot, now);
		slot_end(slot, task, now);
		slot = slot_find(task->pid);
		if (slot) {
			slot_end(slot, task, now);
		}
		slot = slot_make(task, now);
		if (slot) {
			slot->state = SLOT_ON_CPU;
			slot->call_ns = call_ns;
			slot->call_key = call_key;
		}
	}
	if (slot && slot->is_held) { /* what it did until now was profcore's doing */
		slot->is_held = 0;
		slot->start_ns = now;
		slot->since_ns = now;
		slot->start_exec_ns = task->se.sum_exec_runtime;
		slot->on_cpu_ns = 0;
		slot->switches = 0;
		slot->calls = 0;
		__builtin_memset(slot->wait_ns, 0, sizeof(slot->wait_ns));
	}
	tgid = task->tgid;
	index = bpf_map_lookup_elem(&group_of, &tgid);
	group = index ? bpf_map_lookup_elem(&groups, index) : 0;
	if (group && *index) {
		read_comm(group->comm, task);
	}
	return 0;
}

/* The last of a process: its id may be given again. Its threads' books end where they leave the CPU for good. */
SEC("tp_btf/sched_process_exit")
int on_exit(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	__u32 tgid = task->tgid;

	if (!is_on || !is_tracked(tgid)) {
		return 0;
	}
	stack_forget(task->pid);
	return 0;
}

SEC("tp_btf/sched_process_free")
int on_free(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	__u32 tgid = task->tgid;

	if (is_on && task->pid == task->tgid && is_tracked(tgid)) {
		untrack(tgid);
		bpf_map_delete_elem(&group_of, &tgid);
	}
	return 0;
}

/* ---- the start and the end: all threads of the target, one by one ---- */

SEC("iter/task")
int list_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct slot *slot;
	struct pt_regs *regs;
	__u32 state = SLOT_ON_CPU;

	if (!task || task->flags & PF_EXITING || !is_tracked(task->tgid) || slot_find(task->pid)) {
		return 0;
	}
	slot = slot_make(task, bpf_ktime_get_ns());
	if (!slot) {
		return 0;
	}
	if (!task->on_rq) {
		regs = (struct pt_regs *)bpf_task_pt_regs(task);
		state = SLOT_BLOCKED;
		slot->is_waiting = 1;
		slot->wait_cause = CAUSE_FAULT;
		slot->wait_key = KEY_CAUSES + CAUSE_FAULT;
		if ((long)regs->orig_ax >= 0) {
			slot->wait_cause = CAUSE_SYSCALL;
			slot->wait_key = key_of(regs->orig_ax, is_compat(task));
		}
	} else if (!task->on_cpu) {
		state = SLOT_PREEMPTED;
	}
	__sync_val_compare_and_swap(&slot->state, SLOT_NEW, state);
	return 0;
}

/* After the programs were switched off: names, the kernel's own account, stacks of waits that last. */
SEC("iter.s/task")
int close_books(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct slot *slot;

	if (!task || !is_tracked(task->tgid)) {
		return 0;
	}
	slot = slot_find(task->pid);
	if (!slot) {
		return 0;
	}
	slot->exec_ns = task->se.sum_exec_runtime;
	read_comm(slot->comm, task);
	if (with_stacks && slot->state == SLOT_BLOCKED && !slot->is_held) {
		stack_of_sleeper(slot, task);
	}
	return 0;
}
