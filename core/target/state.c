/* SPDX-License-Identifier: MIT */
#include "target/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/maps.h"

/*
 * A thread may be told of twice: it has two events, or it was seen in /proc before its record came. A fork of a known task
 * so long after it became known is a new task, and the end of the old one was missed.
 */
#define SAME_FACT_NS 2000000u

static uint32_t bucket_of(int32_t id)
{
	return (uint32_t)id % STATE_BUCKETS;
}

void state_init(struct state *state, void (*emit)(void *ctx, const struct pfc_target_event *event), void *ctx)
{
	memset(state, 0, sizeof(*state));
	state->emit = emit;
	state->emit_ctx = ctx;
	state->generation = 1;
}

struct proc *state_proc(struct state *state, int32_t pid)
{
	struct proc *proc = state->procs[bucket_of(pid)];

	while (proc != NULL && proc->pid != pid) {
		proc = proc->next;
	}
	return proc;
}

struct task *state_task(struct state *state, int32_t tid)
{
	struct task *task = state->tasks[bucket_of(tid)];

	while (task != NULL && task->tid != tid) {
		task = task->next;
	}
	return task;
}

void state_each(struct state *state, void (*each)(void *ctx, struct proc *proc), void *ctx)
{
	for (uint32_t i = 0; i < STATE_BUCKETS; i++) {
		for (struct proc *proc = state->procs[i]; proc != NULL; proc = proc->next) {
			each(ctx, proc);
		}
	}
}

static void remove_task(struct state *state, struct task *task)
{
	struct task **link = &state->tasks[bucket_of(task->tid)];

	while (*link != task) {
		link = &(*link)->next;
	}
	*link = task->next;
	link = &task->proc->tasks;
	while (*link != task) {
		link = &(*link)->next_in_proc;
	}
	*link = task->next_in_proc;
	task->proc->task_count--;
	state->task_count--;
	free(task);
}

static void remove_proc(struct state *state, struct proc *proc)
{
	struct proc **link = &state->procs[bucket_of(proc->pid)];

	while (proc->tasks != NULL) {
		remove_task(state, proc->tasks);
	}
	while (*link != proc) {
		link = &(*link)->next;
	}
	*link = proc->next;
	maps_drop(state, proc->maps);
	free(proc);
	state->proc_count--;
}

void state_finish(struct state *state)
{
	for (uint32_t i = 0; i < STATE_BUCKETS; i++) {
		while (state->procs[i] != NULL) {
			remove_proc(state, state->procs[i]);
		}
	}
}

struct proc *state_adopt(struct state *state, int32_t pid, int32_t ppid, int64_t start_ns)
{
	struct proc *proc = state_proc(state, pid);

	if (proc != NULL) {
		return proc;
	}
	proc = calloc(1, sizeof(*proc));
	if (proc == NULL) {
		state->lost++;
		return NULL;
	}
	proc->pid = pid;
	proc->ppid = ppid;
	proc->start_ns = start_ns;
	proc->generation = state->generation;
	proc->next = state->procs[bucket_of(pid)];
	state->procs[bucket_of(pid)] = proc;
	state->proc_count++;
	return proc;
}

struct task *state_adopt_task(struct state *state, struct proc *proc, int32_t tid, const char *name)
{
	struct task *task = state_task(state, tid);

	if (task != NULL) {
		return task;
	}
	task = state->task_count < STATE_TASKS_MAX ? calloc(1, sizeof(*task)) : NULL;
	if (task == NULL) {
		state->lost++;
		return NULL;
	}
	task->proc = proc;
	task->tid = tid;
	task->known_ns = procfs_now_ns();
	snprintf(task->name, sizeof(task->name), "%s", name);
	task->next = state->tasks[bucket_of(tid)];
	state->tasks[bucket_of(tid)] = task;
	task->next_in_proc = proc->tasks;
	proc->tasks = task;
	proc->task_count++;
	state->task_count++;
	return task;
}

struct pfc_target_event state_event(uint32_t kind, uint64_t time_ns, const struct proc *proc, int32_t tid,
				    const char *text)
{
	return (struct pfc_target_event){
		.struct_size = sizeof(struct pfc_target_event),
		.kind = kind,
		.time_ns = time_ns,
		.pid = proc->pid,
		.tid = tid,
		.ppid = proc->ppid,
		.generation = proc->generation,
		.text = text,
	};
}

static void set_map(struct pfc_target_event *event, const struct proc_map *map)
{
	event->start = map->start;
	event->length = map->length;
	event->offset = map->offset;
	event->inode = map->inode;
	event->dev_major = map->dev_major;
	event->dev_minor = map->dev_minor;
}

static void tell(struct state *state, uint32_t kind, uint64_t time_ns, const struct proc *proc, int32_t tid,
		 const char *text)
{
	struct pfc_target_event event = state_event(kind, time_ns, proc, tid, text);

	state->emit(state->emit_ctx, &event);
}

/* The whole process ended: the threads that are still known first, then the leader. */
static void end_proc(struct state *state, uint64_t time_ns, struct proc *proc)
{
	for (struct task *task = proc->tasks; task != NULL; task = task->next_in_proc) {
		if (task->tid != proc->pid) {
			tell(state, PFC_TARGET_EXIT, time_ns, proc, task->tid, "");
		}
	}
	tell(state, PFC_TARGET_EXIT, time_ns, proc, proc->pid, "");
	remove_proc(state, proc);
}

void state_end(struct state *state, uint64_t time_ns, int32_t pid)
{
	struct proc *proc = state_proc(state, pid);

	if (proc != NULL) {
		end_proc(state, time_ns, proc);
	}
}

void state_forget(struct state *state, struct proc *proc)
{
	remove_proc(state, proc);
}

/* A task that is known under this id; forgotten when it must be an older one whose end was missed. */
static bool is_known(struct state *state, uint64_t time_ns, int32_t pid, int32_t tid)
{
	struct task *task = state_task(state, tid);

	if (task == NULL) {
		return false;
	}
	if (task->proc->pid == pid && time_ns < task->known_ns + SAME_FACT_NS) {
		return true;
	}
	state_exit(state, time_ns, task->proc->pid, tid);
	task = state_task(state, tid);
	if (task != NULL) {
		end_proc(state, time_ns, task->proc);
	}
	return false;
}

void state_fork(struct state *state, uint64_t time_ns, int32_t pid, int32_t tid, int32_t ppid)
{
	struct proc *parent = state_proc(state, ppid);
	struct proc *proc = state_proc(state, pid);
	const char *name = parent != NULL && parent->tasks != NULL ? parent->tasks->name : "";
	struct task *task;

	if (is_known(state, time_ns, pid, tid)) {
		return;
	}
	if (pid == ppid || proc != NULL) {
		if (proc == NULL) {
			state->lost++; /* a thread of a process beyond the bounds */
			return;
		}
		task = state_adopt_task(state, proc, tid, name);
	} else {
		if (state->task_count >= STATE_TASKS_MAX) {
			state->lost++;
			return;
		}
		proc = state_adopt(state, pid, ppid, (int64_t)time_ns);
		task = proc != NULL ? state_adopt_task(state, proc, tid, name) : NULL;
		if (task != NULL) {
			proc->begin_ns = time_ns;
			proc->maps = maps_share(parent != NULL ? parent->maps : NULL);
			proc->start_code = parent != NULL ? parent->start_code : 0;
			proc->exe_hash = parent != NULL ? parent->exe_hash : 0;
		} else if (proc != NULL) {
			remove_proc(state, proc);
		}
	}
	if (task != NULL) {
		struct pfc_target_event event = state_event(PFC_TARGET_FORK, time_ns, proc, tid, "");

		event.ppid = ppid; /* the creator's process: of a thread its own */
		task->begin_ns = time_ns;
		task->name_ns = time_ns;
		state->emit(state->emit_ctx, &event);
	}
}

static void set_name(struct task *task, uint64_t time_ns, const char *name)
{
	snprintf(task->name, sizeof(task->name), "%s", name);
	task->name_ns = time_ns;
}

void state_exec(struct state *state, uint64_t time_ns, int32_t pid, const char *name)
{
	struct proc *proc = state_proc(state, pid);
	struct task *leader;

	if (proc == NULL) {
		state->lost++;
		return;
	}
	if (proc->exec_ns != 0 && time_ns < proc->exec_ns + SAME_FACT_NS / 10 && proc->maps == NULL) {
		return; /* told twice */
	}
	/* One thread survives an exec, as the leader. */
	for (struct task *task = proc->tasks, *next; task != NULL; task = next) {
		next = task->next_in_proc;
		if (task->tid != pid) {
			tell(state, PFC_TARGET_EXIT, time_ns, proc, task->tid, "");
			remove_task(state, task);
		}
	}
	leader = state_adopt_task(state, proc, pid, name);
	if (leader != NULL) {
		leader->ended = false;
		set_name(leader, time_ns, name);
	}
	maps_drop(state, proc->maps);
	proc->maps = NULL;
	proc->exec_ns = time_ns;
	tell(state, PFC_TARGET_EXEC, time_ns, proc, pid, name);
}

void state_name(struct state *state, uint64_t time_ns, int32_t pid, int32_t tid, const char *name)
{
	struct task *task = state_task(state, tid);

	if (task == NULL || task->proc->pid != pid) {
		state->lost++;
		return;
	}
	if (strncmp(task->name, name, sizeof(task->name) - 1) == 0) {
		return;
	}
	set_name(task, time_ns, name);
	tell(state, PFC_TARGET_NAME, time_ns, task->proc, tid, task->name);
}

void state_exit(struct state *state, uint64_t time_ns, int32_t pid, int32_t tid)
{
	struct task *task = state_task(state, tid);
	struct proc *proc = task != NULL ? task->proc : NULL;

	if (proc == NULL || proc->pid != pid || task->ended) {
		return;
	}
	if (proc->task_count == 1) {
		end_proc(state, time_ns, proc);
	} else if (tid == pid) {
		task->ended = true; /* the process goes on in its other threads, or they run an exec */
	} else {
		struct task *leader = state_task(state, pid);

		tell(state, PFC_TARGET_EXIT, time_ns, proc, tid, "");
		remove_task(state, task);
		if (leader != NULL && leader->ended && proc->task_count == 1) {
			end_proc(state, time_ns, proc);
		}
	}
}

void state_map(struct state *state, uint64_t time_ns, int32_t pid, int32_t tid, const struct proc_map *map)
{
	struct proc *proc = state_proc(state, pid);
	int added = proc != NULL ? maps_add(state, &proc->maps, time_ns, map) : -1;

	if (added < 0) {
		state->lost++;
	} else if (added > 0) {
		struct pfc_target_event event = state_event(PFC_TARGET_MAP, time_ns, proc, tid, map->path);

		set_map(&event, map);
		state->emit(state->emit_ctx, &event);
	}
}
