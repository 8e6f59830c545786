/* SPDX-License-Identifier: MIT */
/*
 * One stop of one traced thread. The rules of ptrace(2) for seized tracees: a stop for a signal passes the signal on; a group
 * stop (SIGSTOP and the like) stays one (PTRACE_LISTEN); after an exec the thread goes by its leader's number.
 */
#include "ptrace.h"

#include "uses.h"

#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define X32_BIT 0x40000000
#define NR_MAX  65535
/* Being stopped looks like a wait of some microseconds: below this a wait is not told apart from it. */
#define WAIT_MIN_NS 50000u

static void keep_status(struct tracing *tracing, int status)
{
	if (tracing->status == PFC_OK) {
		tracing->status = status;
	}
}

/* ---- books ---- */

void stop_begin_book(struct tracing *tracing, struct task *task, uint64_t now_ns)
{
	struct account *account = tracing->tracer->account;
	struct thread *book = account_thread(account, task->pid, task->tid);
	char comm[COMM_BYTES];

	if (!book) {
		keep_status(tracing, PFC_ENOMEM);
		return;
	}
	task_comm(task->pid, task->tid, comm);
	if (book->start_ns == 0) {
		book->start_ns = now_ns;
		memcpy(book->comm, comm, sizeof(comm));
	}
	if (task->tid == task->pid && !account_name(account, task->pid, comm)) {
		keep_status(tracing, PFC_ENOMEM);
	}
	task->has_first = task_schedstat(task, &task->first_cpu_ns, &task->first_queue_ns);
}

void stop_end_book(struct tracing *tracing, struct task *task, uint64_t now_ns, bool has_ended)
{
	struct account *account = tracing->tracer->account;
	struct thread *book;
	uint64_t cpu_ns, queue_ns;

	if (!task->counts || !tracing->is_on) {
		return;
	}
	book = account_thread(account, task->pid, task->tid);
	if (!book) {
		keep_status(tracing, PFC_ENOMEM);
		return;
	}
	if (task->has_first && task_schedstat(task, &cpu_ns, &queue_ns)) {
		book->on_cpu_ns += cpu_ns - task->first_cpu_ns;
		book->kernel_cpu_ns = book->on_cpu_ns;
		book->wait_ns[WAIT_RUN_QUEUE] += queue_ns - task->first_queue_ns;
	}
	tracing->unfinished += task->in_call;
	book->end_ns = now_ns;
	if (has_ended) {
		account_thread_end(account, task->tid, now_ns);
	}
}

/* ---- stacks ---- */

struct times {
	uint64_t duration_ns; /* less what tracing adds */
	uint64_t blocked_ns;  /* 0: not told apart from our own cost */
	uint64_t runnable_ns;
};

#ifdef __x86_64__
/* Registers in the order of asm/perf_regs.h: ax bx cx dx si di bp sp ip flags cs ss, then r8 to r15 as bits 16 to 23. */
#define REGS_MASK 0xff0fffull

static void order_regs(const struct user_regs_struct *from, uint64_t to[20])
{
	const uint64_t ordered[20] = { from->rax, from->rbx, from->rcx, from->rdx, from->rsi,
				       from->rdi, from->rbp, from->rsp, from->rip, from->eflags,
				       from->cs,  from->ss,  from->r8,  from->r9,  from->r10,
				       from->r11, from->r12, from->r13, from->r14, from->r15 };

	memcpy(to, ordered, sizeof(ordered));
}

static size_t copy_memory(int32_t tid, uint64_t address, void *to, size_t bytes)
{
	struct iovec local = { to, bytes };
	struct iovec remote = { (void *)(uintptr_t)address, bytes }; // NOLINT: an address of the target
	ssize_t got = process_vm_readv(tid, &local, 1, &remote, 1, 0);

	return got > 0 ? (size_t)got : 0;
}

/* The copy may end early, at the end of the stack's mapping: then half as much, down to a page. */
static size_t copy_stack(int32_t tid, uint64_t address, void *to, size_t bytes)
{
	size_t got = 0;

	while (got == 0 && bytes >= 64) {
		got = copy_memory(tid, address, to, bytes);
		bytes /= 2;
	}
	return got;
}

static int keep_wait(struct tracing *tracing, const struct task *task, const struct times *times,
		     uint64_t now_ns)
{
	struct long_wait wait = { .time_ns = now_ns,
				  .blocked_ns = times->blocked_ns,
				  .runnable_ns = times->runnable_ns,
				  .pid = task->pid,
				  .tid = task->tid,
				  .cause = WAIT_SYSCALL,
				  .nr = task->nr,
				  .abi = task->abi };

	if (kinds_of(&tracing->kinds, task->abi, task->nr)->is_lock) {
		wait.lock = task->args[0];
	}
	return tracer_long_wait(tracing->tracer, &wait);
}

/* The thread stands at the call's end: its stack is the one that waited. */
static void keep_stack(struct tracing *tracing, const struct task *task, const struct times *times,
		       uint64_t now_ns)
{
	const struct settings *settings = &tracing->tracer->settings;
	struct pfc_stack_sample sample = { .struct_size = sizeof(sample),
					   .pid = task->pid,
					   .tid = task->tid,
					   .cpu = -1,
					   .regs_mask = REGS_MASK };
	struct user_regs_struct regs;
	struct iovec area = { &regs, sizeof(regs) };
	uint64_t ordered[20];

	if (task->abi == ABI_I386 || ptrace(PTRACE_GETREGSET, task->tid, 1 /* NT_PRSTATUS */, &area) < 0 ||
	    area.iov_len != sizeof(regs)) {
		return;
	}
	order_regs(&regs, ordered);
	sample.regs = ordered;
	sample.stack = tracing->stack;
	sample.stack_bytes = copy_stack(task->tid, regs.rsp, tracing->stack, settings->stack_bytes);
	if (times->blocked_ns && times->blocked_ns >= settings->min_wait_ns) {
		sample.time_ns = now_ns;
		sample.weight = times->blocked_ns;
		keep_status(tracing, tracer_stack(tracing->tracer, STACKS_OFF_CPU, &sample));
		keep_status(tracing, keep_wait(tracing, task, times, now_ns));
	}
	if (times->duration_ns >= settings->slow_ns) {
		sample.time_ns = task->enter_ns + times->duration_ns;
		sample.weight = times->duration_ns;
		keep_status(tracing, tracer_stack(tracing->tracer, STACKS_SLOW, &sample));
	}
}
#else
static void keep_stack(struct tracing *tracing, const struct task *task, const struct times *times,
		       uint64_t now_ns)
{
}
#endif

/* ---- calls ---- */

static void enter(struct tracing *tracing, struct task *task, const struct __ptrace_syscall_info *info)
{
	uint64_t nr = info->entry.nr;

	task->in_call = true;
	task->abi = ABI_NATIVE;
#ifdef __x86_64__
	task->abi = info->arch == AUDIT_ARCH_I386                ? ABI_I386
		    : nr & X32_BIT && nr < 2 * (uint64_t)X32_BIT ? ABI_X32
								 : ABI_NATIVE;
	nr &= task->abi == ABI_X32 ? ~(uint64_t)X32_BIT : ~0ull;
#endif
	task->nr = nr <= NR_MAX ? (int32_t)nr : NR_UNKNOWN;
	for (int i = 0; i < 6; i++) {
		task->args[i] = info->entry.args[i];
	}
	if (!task_schedstat(task, &task->enter_cpu_ns, &task->enter_queue_ns)) {
		task->enter_cpu_ns = 0;
		task->enter_queue_ns = 0;
	}
	(void)tracing;
}

static struct times measure(const struct tracing *tracing, struct task *task, uint64_t now_ns)
{
	uint64_t raw_ns = now_ns > task->enter_ns ? now_ns - task->enter_ns : 0;
	uint64_t own_ns = tracing->cost.latency_ns;
	struct times times = { .duration_ns = raw_ns > own_ns ? raw_ns - own_ns : 0 };
	uint64_t cpu_ns, queue_ns;

	if (times.duration_ns < WAIT_MIN_NS) {
		return times;
	}
	own_ns = own_queue_ns(tracing) -
		 tracing->own_before_ns; /* the call had ended, and we had no CPU to see it */
	times.duration_ns -= own_ns < times.duration_ns ? own_ns : times.duration_ns;
	if (times.duration_ns < WAIT_MIN_NS || task->enter_cpu_ns == 0 ||
	    !task_schedstat(task, &cpu_ns, &queue_ns)) {
		return times;
	}
	cpu_ns -= task->enter_cpu_ns;
	queue_ns -= task->enter_queue_ns;
	if (times.duration_ns > cpu_ns + queue_ns + WAIT_MIN_NS) {
		times.blocked_ns = times.duration_ns - cpu_ns - queue_ns;
		times.runnable_ns = queue_ns;
	}
	return times;
}

static void keep_slow(struct tracing *tracing, const struct task *task, const struct times *times,
		      int64_t result)
{
	struct slow_call call = { .time_ns = task->enter_ns,
				  .duration_ns = times->duration_ns,
				  .blocked_ns = times->blocked_ns,
				  .runnable_ns = times->runnable_ns,
				  .pid = task->pid,
				  .tid = task->tid,
				  .nr = task->nr,
				  .abi = task->abi,
				  .result = result,
				  .is_stopped = true };

	memcpy(call.args, task->args, sizeof(call.args));
	keep_status(tracing, tracer_slow_call(tracing->tracer, &call));
}

static void record(struct tracing *tracing, struct task *task, int64_t result, uint64_t now_ns)
{
	struct account *account = tracing->tracer->account;
	struct cell *cell = account_cell(account, task->pid, task->abi, task->nr);
	struct thread *book = account_thread(account, task->pid, task->tid);
	struct times times = measure(tracing, task, now_ns);
	struct use use = { task->pid, task->abi,         task->nr,         task->args,
			   result,    times.duration_ns, times.blocked_ns, false };

	if (!cell || !book) {
		keep_status(tracing, PFC_ENOMEM);
		return;
	}
	tracing->calls++;
	tracing->compat += task->abi != ABI_NATIVE;
	book->calls++;
	cell_add_call(cell, times.duration_ns, result);
	if (times.blocked_ns) {
		cell_add_wait(cell, times.blocked_ns, times.runnable_ns);
		book->wait_ns[WAIT_SYSCALL] += times.blocked_ns;
		book->switches++;
	}
	uses_begin(tracing->tracer, &tracing->kinds, &use);
	if (times.duration_ns >= tracing->tracer->settings.slow_ns) {
		keep_slow(tracing, task, &times, result);
	}
	keep_status(tracing, uses_add(tracing->tracer, &tracing->kinds, &use));
	if ((times.blocked_ns && times.blocked_ns >= tracing->tracer->settings.min_wait_ns) ||
	    times.duration_ns >= tracing->tracer->settings.slow_ns) {
		keep_stack(tracing, task, &times, now_ns);
	}
}

/* -512 to -516 never reach a program: the call was cut short to be made again. By us, if we asked for the stop; some calls give
 * EINTR instead, as they do after any stop (signal(7)). */
static bool was_cut_by_us(const struct task *task, int64_t result)
{
	return task->is_stopping && (result == -EINTR || (result <= -512 && result >= -516));
}

static void leave(struct tracing *tracing, struct task *task, const struct __ptrace_syscall_info *info,
		  uint64_t now_ns)
{
	bool is_known = task->in_call;

	task->in_call = false;
	tracing->trial_calls += tracing->is_trial;
	if (!task->counts || !tracing->is_on) {
		return;
	}
	if (!is_known) {
		tracing->unmatched++;
	} else if (was_cut_by_us(task, info->exit.rval)) {
		tracing->unfinished++;
	} else {
		record(tracing, task, info->exit.rval, now_ns);
	}
}

static void handle_call(struct tracing *tracing, struct task *task, uint64_t now_ns)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, task->tid, sizeof(info), &info) <= 0) {
		return; /* killed meanwhile */
	}
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		enter(tracing, task, &info);
	} else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
		leave(tracing, task, &info, now_ns);
	}
}

/* ---- the rest of a thread's life ---- */

/* The thread that called exec goes on under its leader's number; its own is gone without a word, like the leader's old self. */
static struct task *handle_exec(struct tracing *tracing, struct task *task, uint64_t now_ns)
{
	unsigned long former = 0;
	struct task *caller;

	if (ptrace(PTRACE_GETEVENTMSG, task->tid, 0, &former) == 0 && (int32_t)former != task->tid &&
	    (caller = tasks_find(&tracing->tasks, (int32_t)former)) != NULL) {
		task->in_call = caller->in_call;
		task->abi = caller->abi;
		task->nr = caller->nr;
		memcpy(task->args, caller->args, sizeof(task->args));
		task->enter_ns = caller->enter_ns;
		task->enter_cpu_ns = 0; /* sums of another thread */
		caller->in_call = false;
		stop_end_book(tracing, caller, now_ns, true);
		tasks_remove(&tracing->tasks, (int32_t)former);
		task = tasks_find(&tracing->tasks, task->tid); /* others may have moved */
	}
	if (task) {
		task->counts = true;
		if (tracing->is_on) {
			stop_begin_book(tracing, task, now_ns);
		}
	}
	return task;
}

static struct task *welcome(struct tracing *tracing, int32_t tid, uint64_t now_ns)
{
	struct task *task = tracing->is_letting_go ? NULL : tasks_add(&tracing->tasks, tid);

	if (!task) {
		tracing->overflow += !tracing->is_letting_go;
		(void)ptrace(PTRACE_DETACH, tid, 0, 0);
		return NULL;
	}
	task->pid = tasks_group_of(tid);
	task->counts = true;
	if (tracing->is_on) {
		stop_begin_book(tracing, task, now_ns);
	}
	return task;
}

static bool is_group_stop(int event, int signal)
{
	return event == PTRACE_EVENT_STOP &&
	       (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU);
}

static void let_go(struct tracing *tracing, struct task *task, int signal, uint64_t now_ns)
{
	int32_t tid = task->tid;

	stop_end_book(tracing, task, now_ns, false);
	(void)ptrace(PTRACE_DETACH, tid, 0, signal);
	tasks_remove(&tracing->tasks, tid);
}

static void handle_end(struct tracing *tracing, struct task *task, uint64_t now_ns)
{
	if (task) {
		int32_t tid = task->tid;

		stop_end_book(tracing, task, now_ns, true);
		tasks_remove(&tracing->tasks, tid);
	}
}

void stop_handle(struct tracing *tracing, int32_t tid, int status, uint64_t now_ns)
{
	struct task *task = tasks_find(&tracing->tasks, tid);
	int event = status >> 16;
	int signal = WSTOPSIG(status);
	bool is_call = event == 0 && signal == (SIGTRAP | 0x80);

	if (!WIFSTOPPED(status)) {
		handle_end(tracing, task, now_ns);
		return;
	}
	if (!task && !(task = welcome(tracing, tid, now_ns))) {
		return;
	}
	task->is_asked = false;
	if (is_call) {
		handle_call(tracing, task, now_ns);
	} else if (event == PTRACE_EVENT_EXEC && !(task = handle_exec(tracing, task, now_ns))) {
		return;
	}
	signal = event || is_call ? 0 : signal;
	if (task->is_leaving) {
		let_go(tracing, task, signal, now_ns);
	} else if (is_group_stop(event, WSTOPSIG(status))) {
		(void)ptrace(PTRACE_LISTEN, tid, 0, 0);
	} else {
		task->enter_ns = task->in_call && !is_call ? task->enter_ns : ptrace_now();
		(void)ptrace(PTRACE_SYSCALL, tid, 0, signal);
	}
}
