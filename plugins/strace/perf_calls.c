/* SPDX-License-Identifier: MIT */
/* From moments to the account: a call's begin and end by thread, its times off the CPU between them. */
#include "perf_state.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fds.h"
#include "uses.h"

static void keep_status(struct perf_state *state, int status)
{
	if (state->status == PFC_OK) {
		state->status = status;
	}
}

/* ---- threads ---- */

static void begin_book(struct perf_state *state, struct task *task, uint64_t now_ns)
{
	struct account *account = state->tracer->account;
	struct thread *book = account_thread(account, task->pid, task->tid);
	char comm[COMM_BYTES];

	if (!book) {
		keep_status(state, PFC_ENOMEM);
		return;
	}
	task_comm(task->pid, task->tid, comm);
	if (book->start_ns == 0) {
		book->start_ns = now_ns;
		memcpy(book->comm, comm, sizeof(comm));
	}
	if (task->tid == task->pid && !account_name(account, task->pid, comm)) {
		keep_status(state, PFC_ENOMEM);
	}
}

static struct task *obtain(struct perf_state *state, int32_t pid, int32_t tid, uint64_t now_ns)
{
	struct task *task = tasks_find(&state->tasks, tid);

	if (task) {
		return task;
	}
	task = tasks_add(&state->tasks, tid);
	if (!task) {
		state->overflow++;
		return NULL;
	}
	task->pid = pid;
	task->counts = tid != state->held_pid;
	if (task->counts) {
		begin_book(state, task, now_ns);
	}
	return task;
}

/* "202 0x7f.. ... sp ip" of a thread that waits in a call; "running", or "-1 ..." of one that waits elsewhere. */
static void read_present_call(struct task *task, uint64_t now_ns)
{
	unsigned long long args[6];
	char path[64];
	long long nr;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", task->pid, task->tid);
	file = fopen(path, "re");
	if (!file) {
		return;
	}
	if (fscanf(file, "%lld %llx %llx %llx %llx %llx %llx", &nr, &args[0], &args[1], &args[2], &args[3],
		   &args[4], &args[5]) >= 1) {
		task->off_since_ns = now_ns;
		if (nr >= 0 && nr < 65536) {
			task->in_call = true;
			task->is_old = true;
			task->nr = (int32_t)nr;
			task->enter_ns = now_ns;
		}
	} else {
		task->on_since_ns = now_ns;
	}
	fclose(file);
}

void calls_begin(struct perf_state *state, int32_t pid, int32_t tid, uint64_t now_ns)
{
	struct task *task = obtain(state, pid, tid, now_ns);

	if (task && task->counts) {
		read_present_call(task, now_ns);
	}
}

static void add_on(struct thread *book, struct task *task, uint64_t now_ns)
{
	if (task->on_since_ns && now_ns > task->on_since_ns) {
		book->on_cpu_ns += now_ns - task->on_since_ns;
	}
	task->on_since_ns = 0;
}

/* A time off the CPU is over: whose was it? */
static void add_off(struct perf_state *state, struct thread *book, struct task *task, uint64_t now_ns)
{
	struct account *account = state->tracer->account;
	uint64_t ns = task->off_since_ns && now_ns > task->off_since_ns ? now_ns - task->off_since_ns : 0;
	enum wait_cause cause = task->was_preempted ? WAIT_PREEMPTED
				: task->in_call     ? WAIT_SYSCALL
						    : WAIT_OTHER;

	task->off_since_ns = 0;
	if (ns == 0) {
		return;
	}
	book->wait_ns[cause] += ns;
	book->switches++;
	if (cause == WAIT_SYSCALL) {
		struct cell *cell = account_cell(account, task->pid, task->abi, task->nr);

		task->off_ns += ns;
		if (cell) {
			cell_add_wait(cell, ns, 0);
		} else {
			keep_status(state, PFC_ENOMEM);
		}
	} else {
		struct wait *wait = account_wait(account, task->pid, cause);

		if (wait) {
			wait_add(wait, ns);
		} else {
			keep_status(state, PFC_ENOMEM);
		}
	}
}

static void end_book(struct perf_state *state, struct task *task, uint64_t now_ns, bool has_ended)
{
	struct account *account = state->tracer->account;
	struct thread *book = task->counts ? account_thread(account, task->pid, task->tid) : NULL;

	if (book) {
		add_on(book, task, now_ns);
		add_off(state, book, task, now_ns);
		book->end_ns = now_ns;
		book->is_complete = state->lost == 0;
		if (has_ended) {
			account_thread_end(account, task->tid, now_ns);
		}
	}
}

/* ---- calls ---- */

static void keep_slow(struct perf_state *state, const struct task *task, const struct use *use)
{
	struct slow_call call = { .time_ns = task->enter_ns,
				  .duration_ns = use->duration_ns,
				  .blocked_ns = task->off_ns,
				  .pid = task->pid,
				  .tid = task->tid,
				  .nr = task->nr,
				  .abi = task->abi,
				  .result = use->result,
				  .is_late = use->is_late };

	memcpy(call.args, task->args, sizeof(call.args));
	keep_status(state, tracer_slow_call(state->tracer, &call));
}

static void record(struct perf_state *state, struct task *task, struct thread *book,
		   const struct moment *moment)
{
	struct cell *cell = account_cell(state->tracer->account, task->pid, task->abi, task->nr);
	uint64_t duration_ns = moment->time_ns - task->enter_ns;
	struct use use = {
		task->pid,      task->abi,
		task->nr,       task->args,
		moment->result, duration_ns,
		task->off_ns,   stream_has_changed(state, task->pid, (int32_t)task->args[0], moment->time_ns)
	};

	if (!cell) {
		keep_status(state, PFC_ENOMEM);
		return;
	}
	state->calls++;
	state->compat += task->abi != ABI_NATIVE;
	book->calls++;
	cell_add_call(cell, duration_ns, moment->result);
	uses_begin(state->tracer, &state->kinds, &use);
	if (duration_ns >= state->tracer->settings.slow_ns) {
		keep_slow(state, task, &use);
	}
	keep_status(state, uses_add(state->tracer, &state->kinds, &use));
}

static bool is_exec(const struct task *task)
{
	return (task->abi == ABI_NATIVE && (task->nr == SYS_execve || task->nr == SYS_execveat)) ||
	       (task->abi == ABI_I386 && (task->nr == 11 || task->nr == 358));
}

/* exec and sigreturn change what the number is read from. */
static bool is_same_call(const struct task *task, const struct moment *moment)
{
	return task->nr == moment->nr || moment->nr == NR_UNKNOWN || is_exec(task) || task->abi == ABI_X32;
}

/* A thread that is not the leader executed a program: it goes on by the leader's number, all others are gone. */
static struct task *take_over(struct perf_state *state, struct task *task, uint64_t now_ns)
{
	int32_t tid = task->tid;

	for (size_t i = 0; i < state->tasks.room; i++) {
		struct task *caller = &state->tasks.places[i];

		if (caller->tid && caller != task && caller->pid == task->pid && caller->in_call &&
		    is_exec(caller)) {
			task->in_call = true;
			task->is_old = false;
			task->abi = caller->abi;
			task->nr = caller->nr;
			task->enter_ns = caller->enter_ns;
			task->off_ns = caller->off_ns;
			memcpy(task->args, caller->args, sizeof(task->args));
			end_book(state, caller, now_ns, true);
			tasks_remove(&state->tasks, caller->tid);
			return tasks_find(&state->tasks, tid);
		}
	}
	return task;
}

static void take_exit(struct perf_state *state, struct task *task, const struct moment *moment)
{
	bool is_exec_end = (moment->nr == SYS_execve || moment->nr == SYS_execveat) && moment->result == 0;
	struct thread *book;
	bool is_known;

	if (is_exec_end && !(task->in_call && is_exec(task))) {
		task = take_over(state, task, moment->time_ns);
	}
	is_known = task->in_call && is_same_call(task, moment);
	if (task->in_call && is_exec(task) && moment->result == 0) {
		task->counts = true;
		begin_book(state, task, moment->time_ns);
		task->on_since_ns = moment->time_ns;
	}
	book = task->counts ? account_thread(state->tracer->account, task->pid, task->tid) : NULL;
	if (is_known && book && !task->is_old) {
		record(state, task, book, moment);
	} else if (!is_known && task->is_known) {
		state->unmatched +=
			task->counts; /* the first exit of a thread may be of the call that made it, or of an old one */
	}
	task->in_call = false;
	task->is_old = false;
	task->is_known = true;
}

static void take_enter(struct perf_state *state, struct task *task, const struct moment *moment)
{
	bool ends = moment->abi == ABI_NATIVE && (moment->nr == SYS_exit || moment->nr == SYS_exit_group);

	state->unmatched += task->in_call && !task->is_old && task->counts;
	task->in_call = true;
	task->is_old = false;
	task->abi = moment->abi;
	task->nr = moment->nr;
	task->enter_ns = moment->time_ns;
	task->off_ns = 0;
	memcpy(task->args, moment->args, sizeof(task->args));
	if (ends && task->counts) {
		end_book(state, task, moment->time_ns, true);
		if (moment->nr == SYS_exit_group) {
			fds_forget(state->tracer->fds, task->pid, -1);
		}
		tasks_remove(&state->tasks, moment->tid);
	}
}

static void take_switch(struct perf_state *state, struct task *task, const struct moment *moment)
{
	struct thread *book =
		task->counts ? account_thread(state->tracer->account, task->pid, task->tid) : NULL;

	if (!book) {
		return;
	}
	if (moment->kind == MOMENT_ON) {
		add_off(state, book, task, moment->time_ns);
		task->on_since_ns = moment->time_ns;
		return;
	}
	add_on(book, task, moment->time_ns);
	task->off_since_ns = moment->time_ns;
	task->was_preempted = moment->kind == MOMENT_PREEMPTED;
}

void calls_take(struct perf_state *state, const struct moment *moment)
{
	struct task *task;

	/* After its exit a thread is switched off once more: not a new thread. */
	if (moment->kind != MOMENT_ENTER && moment->kind != MOMENT_ON && moment->kind != MOMENT_EXIT &&
	    !tasks_find(&state->tasks, moment->tid)) {
		return;
	}
	task = obtain(state, moment->pid, moment->tid, moment->time_ns);
	if (!task) {
		return;
	}
	if (!task->on_since_ns && !task->off_since_ns && moment->kind != MOMENT_ON) {
		task->on_since_ns = moment->time_ns; /* it runs, or it could do nothing */
	}
	switch (moment->kind) {
	case MOMENT_ENTER:
		take_enter(state, task, moment);
		break;
	case MOMENT_EXIT:
		take_exit(state, task, moment);
		break;
	default:
		take_switch(state, task, moment);
		break;
	}
}

void calls_end(struct perf_state *state, uint64_t now_ns)
{
	for (size_t i = 0; i < state->tasks.room; i++) {
		struct task *task = &state->tasks.places[i];

		if (task->tid && task->counts) {
			state->unfinished += task->in_call && !task->is_old;
			end_book(state, task, now_ns, task_has_ended(task));
		}
	}
}
