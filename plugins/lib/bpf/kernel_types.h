/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The few members of the kernel's structs that the programs read, by name: libbpf finds where they really are when it loads them
 * (CO-RE). No dump of a kernel's types is needed.
 */
#ifndef LIB_BPF_KERNEL_TYPES_H
#define LIB_BPF_KERNEL_TYPES_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

struct thread_info {
	__u32 status; /* x86: TS_COMPAT */
};

struct sched_entity {
	__u64 sum_exec_runtime;
};

struct signal_struct {
	atomic_t live;
};

struct task_struct {
	struct thread_info thread_info;
	void *stack;
	unsigned int flags;
	int on_cpu;
	int on_rq;
	struct sched_entity se;
	int pid;
	int tgid;
	struct task_struct *group_leader;
	struct signal_struct *signal;
	char comm[16];
};

struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip;
	unsigned long flags, sp;
};

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
};

struct bpf_map {
	__u32 id;
};

struct bpf_iter__task {
	struct task_struct *task;
};

#pragma clang attribute pop

struct bpf_task_work {
	__u64 opaque;
} __attribute__((aligned(8)));

#define TS_COMPAT  0x2u
#define TASK_DEAD  0x80u
#define PF_EXITING 0x4u
#define PF_KTHREAD 0x200000u

#endif
