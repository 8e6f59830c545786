/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the target does with each file, pipe, socket and lock, and the operations of io_uring. A descriptor is told by what is behind it
 * when the call returns, and named when that is first seen: a socket that lives for one request has its peer. Included once.
 */
#ifndef STRACE_BPF_USES_H
#define STRACE_BPF_USES_H

#include "state.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, USES);
	__type(key, struct use_key);
	__type(value, struct use_value);
} uses SEC(".maps");

/* Where a new entry is made: it is too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct use_value);
} new_use SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct uring_key);
	__type(value, __u64);
} urings SEC(".maps");

#define FILE_TYPE   0170000u
#define FILE_SOCKET 0140000u
#define FILE_PIPE   0010000u
#define FILE_PLAIN  0100000u
#define FILE_BLOCKS 0060000u
#define OPEN_DSYNC  010000u /* O_SYNC has it too */
#define FAMILY_UNIX 1
#define FAMILY_IN   2
#define FAMILY_IN6  10
#define TCP_LISTENS 10

/* ---- names ---- */

static always_inline void name_unix(struct use_value *use, struct sock *sk)
{
	struct unix_sock *one = (struct unix_sock *)sk;
	struct unix_address *address = BPF_CORE_READ(one, addr);

	if (!address) { /* the one that connected has none of its own */
		one = (struct unix_sock *)BPF_CORE_READ(one, peer);
		address = one ? BPF_CORE_READ(one, addr) : 0;
	}
	if (address) {
		/* past the family, 2 bytes; a path is 108 bytes at most, unix(7) */
		bpf_probe_read_kernel(use->parts, 108,
				      (char *)address + bpf_core_field_offset(struct unix_address, name) + 2);
		use->part_count = 1;
	}
}

static always_inline void name_socket(struct use_value *use, struct file *file)
{
	struct socket *socket = (struct socket *)BPF_CORE_READ(file, private_data);
	struct sock *sk = socket ? BPF_CORE_READ(socket, sk) : 0;

	if (!sk) {
		return;
	}
	use->type = BPF_CORE_READ(socket, type);
	use->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (use->family == FAMILY_UNIX) {
		name_unix(use, sk);
		return;
	}
	use->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	use->remote_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (use->family == FAMILY_IN6) {
		bpf_core_read(use->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(use->remote, 16, &sk->__sk_common.skc_v6_daddr);
	} else {
		bpf_core_read(use->local, 4, &sk->__sk_common.skc_rcv_saddr);
		bpf_core_read(use->remote, 4, &sk->__sk_common.skc_daddr);
	}
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTENS) {
		use->flags |= USE_LISTENS;
	}
}

/*
 * The folders of a path from the innermost, as far as there is room. Where a mount is left its place stays empty: so each step looks
 * the same to the verifier, whatever was found.
 */
static always_inline void name_path(struct use_value *use, struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct vfsmount *inner = BPF_CORE_READ(file, f_path.mnt);
	struct mount *mount = (struct mount *)((char *)inner - bpf_core_field_offset(struct mount, mnt));

	for (__u32 i = 0; i < USE_PARTS; i++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

		use->part_count = i + 1;
		if (dentry == parent || dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);

			if (above == mount) { /* of what lies nowhere this is all: "[eventfd]" */
				use->flags |= USE_ROOTED;
				bpf_probe_read_kernel_str(use->parts[i], USE_PART_BYTES,
							  BPF_CORE_READ(dentry, d_name.name));
				break;
			}
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = above;
		} else {
			bpf_probe_read_kernel_str(use->parts[i], USE_PART_BYTES,
						  BPF_CORE_READ(dentry, d_name.name));
			dentry = parent;
		}
	}
}

static struct use_value *use_make(const struct use_key *key, struct file *file)
{
	__u32 zero = 0;
	struct use_value *use = bpf_map_lookup_elem(&new_use, &zero);
	struct inode *inode;

	if (!use) {
		return 0;
	}
	__builtin_memset(use, 0, sizeof(*use));
	if (file) {
		inode = BPF_CORE_READ(file, f_inode);
		use->mode = BPF_CORE_READ(inode, i_mode);
		if ((use->mode & FILE_TYPE) == FILE_SOCKET) {
			name_socket(use, file);
		} else if ((use->mode & FILE_TYPE) != FILE_PIPE) {
			name_path(use, file);
		}
	}
	if (bpf_map_update_elem(&uses, key, use, BPF_NOEXIST) == 0) {
		__sync_fetch_and_add(&uses_made, 1);
	}
	use = bpf_map_lookup_elem(&uses, key);
	if (!use) {
		count(COUNT_NO_USE, 1);
	}
	return use;
}

/* ---- which one ---- */

/* From Linux 6.2 on what it returns is read by plain loads, else by a call each. */
extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym __weak;

static always_inline struct file *file_of(struct task_struct *task, __u64 fd)
{
	struct files_struct *files = task->files;
	struct fdtable *table = files ? files->fdt : 0;
	struct file *file = 0;

	if (table && (__u32)fd < table->max_fds) {
		bpf_probe_read_kernel(&file, sizeof(file), table->fd + (__u32)fd);
	}
	return file;
}

static always_inline struct use_value *use_of_file(struct use_key *key, struct task_struct *task, __u64 fd)
{
	struct file *file = file_of(task, fd);
	struct use_value *use;
	struct inode *inode;

	if (!file) {
		return 0;
	}
	key->tgid = task->tgid;
	key->kind = USE_FILE;
	if (bpf_rdonly_cast) {
		struct file *typed = bpf_rdonly_cast(file, bpf_core_type_id_kernel(struct file));

		inode = typed->f_inode;
		key->operations = (__u64)typed->f_op;
		key->number = inode->i_ino;
	} else {
		inode = BPF_CORE_READ(file, f_inode);
		key->operations = (__u64)BPF_CORE_READ(file, f_op);
		key->number = BPF_CORE_READ(inode, i_ino);
	}
	key->inode = (__u64)inode;
	use = bpf_map_lookup_elem(&uses, key);
	return use ? use : use_make(key, file);
}

static always_inline void name_again(struct use_value *use, struct task_struct *task, __u64 fd)
{
	struct file *file = file_of(task, fd);

	if (file && (use->mode & FILE_TYPE) == FILE_SOCKET) {
		name_socket(use, file);
	}
}

/* ---- books ---- */

static always_inline void add_transfer(__u64 *calls, __u64 *bytes, struct use_value *use, long result)
{
	__sync_fetch_and_add(calls, 1);
	if (result > 0) {
		__sync_fetch_and_add(bytes, result);
		if (result <= CALL_SMALL) {
			__sync_fetch_and_add(&use->small, 1);
		}
	}
}

static always_inline void use_add(struct use_value *use, __u8 io, long result, __u64 duration_ns,
				  __u64 blocked_ns, __u64 now)
{
	if (io == 'r') {
		add_transfer(&use->reads, &use->read_bytes, use, result);
	} else if (io == 'w') {
		add_transfer(&use->writes, &use->written_bytes, use, result);
	} else if (io == 's') {
		__sync_fetch_and_add(&use->syncs, 1);
	} else {
		__sync_fetch_and_add(&use->others, 1);
	}
	if (result < 0 && result >= -4095) {
		__sync_fetch_and_add(&use->errors, 1);
	}
	__sync_fetch_and_add(&use->total_ns, duration_ns);
	if (blocked_ns) {
		__sync_fetch_and_add(&use->blocked_ns, blocked_ns);
	}
	if (duration_ns > use->max_ns) {
		use->max_ns = duration_ns;
	}
	use->last_ns = now;
}

/* A write that returns when the disk has the data. */
static always_inline void note_sync_write(struct use_value *use, struct task_struct *task, __u64 fd)
{
	__u32 type = use->mode & FILE_TYPE;
	struct file *file = type == FILE_PLAIN || type == FILE_BLOCKS ? file_of(task, fd) : 0;

	if (file && BPF_CORE_READ(file, f_flags) & OPEN_DSYNC) {
		__sync_fetch_and_add(&use->sync_writes, 1);
	}
}

/* A call on a descriptor or a lock has returned; `key` becomes what it worked on. */
static always_inline void use_call(struct slot *slot, struct task_struct *task, struct pt_regs *regs,
				   const struct call_info *info, struct use_key *key, long result,
				   __u64 duration_ns, __u64 now)
{
	__u64 first = slot->call_key >= KEY_COMPAT ? (__u32)regs->bx : regs->di;
	struct use_key accepted = {};
	struct use_value *use;

	if (info->io == 'l') {
		key->tgid = slot->tgid;
		key->kind = USE_LOCK;
		key->inode = first;
		use = bpf_map_lookup_elem(&uses, key);
		use = use ? use : use_make(key, 0);
	} else {
		use = use_of_file(key, task, first);
	}
	if (!use) {
		return;
	}
	use_add(use, info->io, result, duration_ns, slot->call_blocked_ns, now);
	if (info->io == 'w') {
		note_sync_write(use, task, first);
	}
	if (info->flags & CALL_RENAMES) {
		name_again(use, task, first);
	}
	if (info->flags & CALL_ACCEPTS && result >= 0) {
		use = use_of_file(&accepted, task, result);
		if (use) {
			use->flags |= USE_ACCEPTED;
			use->last_ns = now;
		}
	}
}

/* ---- io_uring ---- */

/* In the thread that hands the request in, or in the kernel's thread that takes it out of the ring for the process. */
SEC("tp_btf/io_uring_submit_req")
int on_uring_submit(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct io_kiocb *request = (void *)ctx[0];
	struct uring_key key = { .tgid = task->tgid };
	__u64 none = 0, *times;

	if (!is_on || !is_current_tracked(task)) {
		return 0;
	}
	count(COUNT_URING, 1);
	key.operation = request->opcode;
	times = bpf_map_lookup_elem(&urings, &key);
	if (!times) {
		bpf_map_update_elem(&urings, &key, &none, BPF_NOEXIST);
		times = bpf_map_lookup_elem(&urings, &key);
	}
	if (times) {
		__sync_fetch_and_add(times, 1);
	} else {
		count(COUNT_NO_URING, 1);
	}
	return 0;
}

#endif
