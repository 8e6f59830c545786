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

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
};

struct file {
	struct inode *f_inode;
	void *f_op;
	void *private_data;
	unsigned int f_flags;
	struct path f_path;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct in6_addr {
	__u64 words[2];
};

struct sock_common {
	__u32 skc_daddr, skc_rcv_saddr;
	__u16 skc_dport, skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
};

struct socket {
	short type;
	struct sock *sk;
};

struct sockaddr_un {
	unsigned short sun_family;
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

struct io_kiocb {
	__u8 opcode;
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
	struct files_struct *files;
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
