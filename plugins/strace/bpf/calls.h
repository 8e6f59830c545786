/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Tier 1: every call counted and timed, and the slow ones one by one. Included once, by programs.bpf.c. */
#ifndef STRACE_BPF_CALLS_H
#define STRACE_BPF_CALLS_H

#include "stacks.h"
#include "uses.h"

#define NR_RT_SIGRETURN 15
#define NR_EXECVE       59
#define NR_EXECVEAT     322

/* What execve was asked to run: when it returns, the memory that said it is gone. */
struct exec_path {
	__u64 address;
	__u32 bytes;
	__u32 reserved;
	char text[TEXT_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct exec_path);
} exec_paths SEC(".maps");

static always_inline void keep_exec_path(const struct pt_regs *regs, __u32 tgid, bool is_second)
{
	struct exec_path path = { .address = is_second ? regs->si : regs->di };
	long bytes = bpf_probe_read_user_str(path.text, sizeof(path.text), (void *)path.address);

	path.bytes = bytes > 0 ? bytes : 0;
	bpf_map_update_elem(&exec_paths, &tgid, &path, BPF_ANY);
}

/* What a pointer argument points to, of those calls where that says more than its address. */
static always_inline void read_text(struct call_record *record, const struct call_info *info)
{
	const struct exec_path *path;
	__u64 address;
	__u32 bytes;

	record->text_bytes = 0;
	record->text_arg = 0;
	if (!info || info->text == 0 || info->text > 3) {
		return;
	}
	record->text_arg = info->text - 1;
	if (info->flags & CALL_EXECS) {
		path = bpf_map_lookup_elem(&exec_paths, &record->tgid);
		if (path) {
			record->args[record->text_arg & 1] = path->address;
			record->text_bytes = path->bytes;
			__builtin_memcpy(record->text, path->text, TEXT_BYTES);
		}
		return;
	}
	address = info->text == 1 ? record->args[0] : info->text == 2 ? record->args[1] : record->args[2];
	bytes = PAGE - (address & (PAGE - 1));
	if (bytes > TEXT_BYTES) {
		bytes = TEXT_BYTES;
	}
	if (address && bpf_probe_read_user(record->text, bytes, (void *)address) == 0) {
		record->text_bytes = bytes;
	}
}

static always_inline void slow_call(struct slot *slot, struct pt_regs *regs, const struct call_info *info,
				    const struct use_key *use, long result, __u64 duration_ns)
{
	struct call_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNT_RING_CALLS, 1);
		return;
	}
	record->kind = RECORD_CALL;
	record->tid = slot->tid;
	record->tgid = slot->tgid;
	record->key = slot->call_key;
	record->time_ns = slot->call_ns;
	record->duration_ns = duration_ns;
	record->blocked_ns = slot->call_blocked_ns;
	record->runnable_ns = slot->call_runnable_ns;
	record->result = result;
	record->args[0] = slot->call_key >= KEY_COMPAT ? regs->bx : regs->di;
	record->args[1] = slot->call_key >= KEY_COMPAT ? regs->cx : regs->si;
	record->args[2] = regs->dx;
	record->args[3] = slot->call_key >= KEY_COMPAT ? regs->si : regs->r10;
	record->args[4] = slot->call_key >= KEY_COMPAT ? regs->di : regs->r8;
	record->args[5] = slot->call_key >= KEY_COMPAT ? regs->bp : regs->r9;
	record->waker_tid = slot->call_blocked_ns ? slot->waker_tid : 0;
	read_text(record, info);
	record->reserved = 0;
	__builtin_memcpy(&record->use, use, sizeof(*use));
	copy_comm(record->waker, slot->waker);
	bpf_ringbuf_submit(record, ring_flags());
}

SEC("tp_btf/sys_enter")
int on_sys_enter(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct slot *slot;

	if (!is_on || !is_current_tracked(task)) {
		return 0;
	}
	slot = slot_find(task->pid);
	if (!slot) {
		slot = slot_make(task, bpf_ktime_get_ns());
		if (!slot) {
			return 0;
		}
		slot->state = SLOT_ON_CPU;
	}
	slot->call_key = key_of(ctx[1], is_compat(task));
	if (slot->call_key == NR_EXECVE || slot->call_key == NR_EXECVEAT) {
		keep_exec_path((struct pt_regs *)ctx[0], task->tgid, slot->call_key == NR_EXECVEAT);
	}
	slot->call_blocked_ns = 0;
	slot->call_runnable_ns = 0;
	slot->call_ns = bpf_ktime_get_ns();
	return 0;
}

static always_inline void cell_call(struct bpf_cell *cell, __u64 duration_ns)
{
	__u32 bucket = bucket_of(duration_ns);

	if (cell->calls == 0 || duration_ns < cell->min_ns) {
		cell->min_ns = duration_ns;
	}
	if (duration_ns > cell->max_ns) {
		cell->max_ns = duration_ns;
	}
	cell->calls++;
	cell->total_ns += duration_ns;
	if (bucket < BUCKET_COUNT) {
		cell->call_buckets[bucket]++;
	}
}

static always_inline void cell_error(struct bpf_cell *cell, __u32 number)
{
	cell->errors++;
	for (__u32 i = 0; i < ERROR_PLACES; i++) {
		if (cell->error_number[i] == number || cell->error_number[i] == 0) {
			cell->error_number[i] = number;
			cell->error_count[i]++;
			return;
		}
	}
}

SEC("tp_btf/sys_exit")
int on_sys_exit(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct pt_regs *regs = (void *)ctx[0];
	long result = ctx[1];
	struct use_key use = {};
	struct call_info *info;
	struct bpf_cell *cell;
	struct slot *slot;
	__u64 now, began, duration_ns;
	__u32 key;

	if (!is_on || !is_tracked(task->tgid)) {
		return 0;
	}
	slot = slot_find(task->pid);
	if (!slot) {
		return 0;
	}
	if (slot->call_ns ==
	    0) { /* a new thread's first return, or one that was within a call at the start */
		if (slot->calls) {
			count(COUNT_UNMATCHED, 1);
		}
		return 0;
	}
	now = bpf_ktime_get_ns();
	if (slot->call_ns < from_ns || slot->is_held) {
		slot->call_ns = 0;
		return 0;
	}
	began = cost_begin(now);
	duration_ns = now - slot->call_ns;
	slot->calls++;
	key = slot->call_key;
	if (key >= KEY_COMPAT) {
		count(COUNT_COMPAT, 1);
	}
	cell = cell_find(slot->group, key);
	if (cell) {
		cell_call(cell, duration_ns);
		cell->zeros += result == 0;
		if (result < 0 && result >= -4095 && slot->call_key != NR_RT_SIGRETURN) {
			cell_error(cell, -result);
		}
	}
	info = bpf_map_lookup_elem(&infos, &key);
	if (info && info->io) {
		use_call(slot, task, regs, info, &use, result, duration_ns, now);
	}
	if (duration_ns >= slow_ns) {
		slow_call(slot, regs, info, &use, result, duration_ns);
		if (with_stacks) {
			call_stack(slot, task, duration_ns, now);
		}
	}
	slot->call_ns = 0;
	cost_end(began);
	return 0;
}

#endif
