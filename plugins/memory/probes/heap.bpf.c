// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What runs in the kernel when a probe on an allocator's function is hit. A sample is decided on where memory is asked for: bytes
 * are counted down to it, by exponential distances. Only a sampled call needs its result, and only an address in the table of
 * samples makes a free more than a look-up.
 */
#include "samples.bpf.h"

char _license[] SEC("license") = "Dual MIT/GPL";

/* ---- calls ---- */

static always_inline struct thread *this_thread(__u32 tid)
{
	__u32 at = tid & (PROBE_THREADS - 1);
	struct thread *thread = bpf_map_lookup_elem(&threads, &at);

	if (thread && thread->tid != tid) {
		thread->countdown = thread->tid ? thread->countdown : next_distance();
		thread->tid = tid;
		thread->last_sp = 0;
		thread->pending_id = 0;
	}
	return thread;
}

/* Of another function of the same allocator: called by it, or jumped to. */
static always_inline bool is_inside(struct pt_regs *regs, const struct probe_function *function, __u32 number,
				    struct thread *thread)
{
	__u64 sp = regs->sp;
	__u64 caller = 0;
	__s64 distance;
	bool jumped;

	if (bpf_probe_read_user(&caller, sizeof(caller), (void *)sp) != 0) {
		return false;
	}
	distance = (__s64)(caller - regs->ip);
	if (distance >= function->near_low && distance < function->near_high) {
		return true;
	}
	jumped = thread->last_sp == sp && thread->last_return == caller && thread->last_function != number;
	thread->last_sp = jumped ? 0 : sp;
	thread->last_return = caller;
	thread->last_function = number;
	return jumped;
}

static always_inline __u64 times(__u64 a, __u64 b)
{
	return a >> 32 || b >> 32 ? 0 : a * b; /* what overflows fails */
}

/* Frees a sampled object, if it is one. Returns its id, or 0. */
static always_inline __u64 known(__u64 address, __u32 tgid)
{
	struct live_key key = { address, tgid };
	struct live *live = bpf_map_lookup_elem(&live_objects, &key);

	return live && live->epoch == epoch ? live->id : 0;
}

static always_inline void end_object(const struct thread *thread, __u64 address, __u32 tgid, __u64 id)
{
	struct live_key key = { address, tgid };

	bpf_map_delete_elem(&live_objects, &key);
	send_end(PROBE_RECORD_FREE, thread, tgid, id);
}

/* Whether the call's return is wanted. */
static always_inline bool enter(struct pt_regs *regs, __u32 number)
{
	struct probe_function *function;
	struct thread *thread;
	__u64 size, old = 0, old_id = 0, to = 0;
	__u64 di = regs->di, si = regs->si, dx = regs->dx, cx = regs->cx;
	__u64 pid_tgid;
	__u32 tgid;

	/* Read here: the compiler would choose among addresses of registers, which the verifier does not allow. */
	__asm__ volatile("" : "+r"(di), "+r"(si), "+r"(dx), "+r"(cx));
	function = bpf_map_lookup_elem(&functions, &number);
	if (!function) {
		return false;
	}
	if (is_counting) {
		count(function->is_stepped ? COUNT_PASSED_STEPPED : COUNT_PASSED, 1);
		return false;
	}
	count(function->is_stepped ? COUNT_STEPPED : COUNT_HITS, 1);
	pid_tgid = bpf_get_current_pid_tgid();
	tgid = pid_tgid >> 32;
	thread = this_thread(pid_tgid);
	if (!thread) {
		return false;
	}
	if (is_inside(regs, function, number, thread)) {
		count(COUNT_INSIDE, 1);
		return false;
	}
	switch (function->kind) {
	case PROBE_MALLOC:
		size = di;
		break;
	case PROBE_CALLOC:
		size = times(di, si);
		break;
	case PROBE_REALLOC:
		old = di;
		size = si;
		break;
	case PROBE_REALLOCARRAY:
		old = di;
		size = times(si, dx);
		break;
	case PROBE_ALIGNED:
		size = si;
		break;
	case PROBE_MEMALIGN_TO:
		to = di;
		size = dx;
		break;
	case PROBE_RUST_REALLOC:
		old = di;
		size = cx;
		break;
	case PROBE_FREE:
		old = di;
		if (!old) {
			return false;
		}
		count(COUNT_FREES, 1);
		old_id = known(old, tgid);
		if (old_id) {
			end_object(thread, old, tgid, old_id);
		}
		return false;
	default:
		return false;
	}
	if (old) {
		count(COUNT_FREES, 1);
		old_id = known(old, tgid);
		if (size == 0) { /* it frees */
			if (old_id) {
				end_object(thread, old, tgid, old_id);
			}
			return false;
		}
	}
	count(COUNT_ALLOCS, 1);
	count(COUNT_BYTES, size);
	thread->pending_id = 0;
	if (is_due(thread, size)) {
		thread->pending_id = __sync_fetch_and_add(&next_id, 1);
		thread->pending_size = size;
		thread->pending_to = to;
		thread->time_ns = bpf_ktime_get_ns();
		count(COUNT_SAMPLES, 1);
		send_alloc(regs, thread, tgid);
	}
	thread->pending_old = old;
	thread->pending_old_id = old_id;
	thread->pending_function = number;
	return thread->pending_id || old_id;
}

static always_inline void leave(struct pt_regs *regs, __u32 number)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u32 tgid = pid_tgid >> 32;
	struct thread *thread = this_thread(pid_tgid);
	struct live_key key = { regs->ax, tgid };
	struct live live;

	count(COUNT_RETURNS, 1);
	if (!thread || (!thread->pending_id && !thread->pending_old_id) ||
	    thread->pending_function != number) {
		return;
	}
	if (thread->pending_to && (regs->ax != 0 || bpf_probe_read_user(&key.address, sizeof(key.address),
									(void *)thread->pending_to) != 0)) {
		key.address = 0;
	}
	if (thread->pending_old_id && key.address) {
		end_object(thread, thread->pending_old, tgid, thread->pending_old_id);
	}
	if (thread->pending_id && !key.address) {
		count(COUNT_FAILED, 1);
		send_end(PROBE_RECORD_FAILED, thread, tgid, thread->pending_id);
	} else if (thread->pending_id) {
		live = (struct live){ thread->pending_id, epoch };
		if (bpf_map_update_elem(&live_objects, &key, &live, BPF_ANY) != 0) {
			count(COUNT_LIVE_FULL, 1);
			send_end(PROBE_RECORD_FAILED, thread, tgid, thread->pending_id);
		}
	}
	thread->pending_id = 0;
	thread->pending_old_id = 0;
}

/* ---- Linux 6.13 and newer: one program, which says at the entry whether it wants the return ---- */

extern bool bpf_session_is_return(void) __ksym __weak;

SEC("kprobe")
int on_session(struct pt_regs *regs)
{
	if (bpf_session_is_return()) {
		leave(regs, bpf_get_attach_cookie(regs));
		return 0;
	}
	return !enter(regs, bpf_get_attach_cookie(regs));
}

/* ---- older ones: every return is seen. By one link for all functions (6.6), or an event for each ---- */

SEC("kprobe")
int on_enter(struct pt_regs *regs)
{
	enter(regs, bpf_get_attach_cookie(regs));
	return 0;
}

SEC("kretprobe")
int on_leave(struct pt_regs *regs)
{
	leave(regs, bpf_get_attach_cookie(regs));
	return 0;
}
