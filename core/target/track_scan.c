/* SPDX-License-Identifier: MIT */
/* From /proc into the state: what is there at the beginning, after losses, and all the time where perf may not be used. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/track.h"

#define SAME_START_NS 30000000 /* /proc tells a start to a tick of 10 ms, perf to a ns */
#define HOPS_MAX      4096

struct parent {
	int32_t pid;
	int32_t ppid;
};

static int compare_parents(const void *a, const void *b)
{
	int32_t left = ((const struct parent *)a)->pid;
	int32_t right = ((const struct parent *)b)->pid;

	return (left > right) - (left < right);
}

static bool descends(const struct parent *all, size_t count, const struct parent *from, int32_t root_pid)
{
	for (int hop = 0; from != NULL && hop < HOPS_MAX; hop++) {
		struct parent key = { .pid = from->ppid };

		if (from->pid == root_pid) {
			return true;
		}
		from = bsearch(&key, all, count, sizeof(*all), compare_parents);
	}
	return false;
}

int tracker_list_tree(int32_t root_pid, int32_t **ret_pids, size_t *ret_count)
{
	struct parent *parents;
	struct proc_stat stat;
	size_t parent_count = 0;
	size_t found = 0;
	int32_t *pids;
	size_t count;
	int status = procfs_numbers("/proc", &pids, &count);

	if (status < 0) {
		return status;
	}
	parents = calloc(count + 1, sizeof(*parents));
	if (parents == NULL) {
		free(pids);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		if (procfs_stat(pids[i], &stat) == 0) {
			parents[parent_count++] = (struct parent){ stat.pid, stat.ppid };
		}
	}
	for (size_t i = 0; i < parent_count; i++) {
		if (descends(parents, parent_count, &parents[i], root_pid)) {
			pids[found++] = parents[i].pid;
		}
	}
	free(parents);
	*ret_pids = pids;
	*ret_count = found;
	return 0;
}

int tracker_list(const struct tracker *tracker, int32_t **ret_pids, size_t *ret_count)
{
	return tracker->track_group != NULL ? container_pids(&tracker->track_group->container, ret_pids, ret_count) :
					      tracker_list_tree(tracker->root_pid, ret_pids, ret_count);
}

/* ---- one process ---- */

static void read_name(int32_t pid, int32_t tid, char name[PROCFS_COMM_BYTES])
{
	char text[64];

	if (procfs_read(text, sizeof(text), "/proc/%d/task/%d/comm", (int)pid, (int)tid) < 0) {
		text[0] = '\0';
	}
	text[strcspn(text, "\n")] = '\0';
	snprintf(name, PROCFS_COMM_BYTES, "%.*s", PROCFS_COMM_BYTES - 1, text);
}

static int list_threads(int32_t pid, int32_t **ret, size_t *ret_count)
{
	char folder[64];

	snprintf(folder, sizeof(folder), "/proc/%d/task", (int)pid);
	return procfs_numbers(folder, ret, ret_count);
}

static uint32_t hash_exe(int32_t pid)
{
	char exe[PATH_MAX];
	uint32_t hash = 2166136261u;

	if (procfs_link(exe, sizeof(exe), "/proc/%d/exe", (int)pid) < 0) {
		return 0;
	}
	for (const char *at = exe; *at != '\0'; at++) {
		hash = (hash ^ (unsigned char)*at) * 16777619u;
	}
	return hash;
}

struct map_reader {
	struct tracker *tracker;
	int32_t pid;
	uint64_t time_ns;
};

static void take_map(void *ctx, const struct proc_map *map)
{
	struct map_reader *reader = ctx;

	opener_see(reader->tracker->opener, reader->pid, map);
	state_map(&reader->tracker->state, reader->time_ns, reader->pid, reader->pid, map);
}

static int read_maps(struct tracker *tracker, int32_t pid, uint64_t time_ns)
{
	struct map_reader reader = { tracker, pid, time_ns };

	return procfs_maps(pid, take_map, &reader);
}

static bool is_same_process(const struct proc *proc, const struct proc_stat *stat)
{
	int64_t apart_ns = procfs_start_ns(stat->start_ticks) - proc->start_ns;

	return apart_ns > -SAME_START_NS && apart_ns < SAME_START_NS;
}

int tracker_adopt(struct tracker *tracker, int32_t pid)
{
	struct proc_stat before;
	struct proc_stat after;
	char name[PROCFS_COMM_BYTES];
	struct proc *proc;
	int32_t *tids = NULL;
	size_t count = 0;
	int status = procfs_stat(pid, &before);
	int again;

	if (status < 0) {
		return status;
	}
	status = list_threads(pid, &tids, &count);
	if (status < 0 || (before.state == 'Z' && count <= 1) || before.state == 'X') {
		free(tids);
		return status < 0 ? status : -ESRCH;
	}
	proc = state_adopt(&tracker->state, pid, before.ppid, procfs_start_ns(before.start_ticks));
	if (proc != NULL) {
		proc->start_code = before.start_code;
		proc->exe_hash = hash_exe(pid);
	}
	for (size_t i = 0; i < count && proc != NULL; i++) {
		read_name(pid, tids[i], name);
		state_adopt_task(&tracker->state, proc, tids[i], name);
	}
	free(tids);
	status = proc != NULL ? read_maps(tracker, pid, 0) : -ENOMEM;
	again = procfs_stat(pid, &after);
	if (again < 0 || after.start_ticks != before.start_ticks) {
		/* What was read may be of another process; without a descriptor to look, nothing is known of its end. */
		status = again < 0 ? again : -ESRCH;
		if (proc != NULL) {
			state_forget(&tracker->state, proc);
		}
	}
	return status;
}

/* The threads of a known process: new ones, names, those that ended. */
static void refresh_threads(struct tracker *tracker, struct proc *proc, uint64_t time_ns)
{
	char name[PROCFS_COMM_BYTES];
	int32_t pid = proc->pid;
	int32_t *tids;
	size_t count;

	if (list_threads(pid, &tids, &count) < 0) {
		return;
	}
	for (struct task *task = proc->tasks; task != NULL; task = task->next_in_proc) {
		task->seen = task->tid == pid;
	}
	for (size_t i = 0; i < count; i++) {
		struct task *task = state_task(&tracker->state, tids[i]);

		if (task == NULL || task->proc != proc) {
			state_fork(&tracker->state, time_ns, pid, tids[i], pid);
			task = state_task(&tracker->state, tids[i]);
		}
		if (task != NULL && task->proc == proc) {
			task->seen = true;
			read_name(pid, tids[i], name);
			state_name(&tracker->state, time_ns, pid, tids[i], name);
		}
	}
	free(tids);
	for (struct task *task = proc->tasks, *next; task != NULL; task = next) {
		next = task->next_in_proc;
		if (!task->seen) {
			state_exit(&tracker->state, time_ns, pid, task->tid);
			if (state_proc(&tracker->state, pid) == NULL) {
				return; /* that was the last of a process whose leader had ended */
			}
		}
	}
}

static void detect_exec(struct tracker *tracker, struct proc *proc, const struct proc_stat *stat, uint64_t time_ns)
{
	uint32_t exe_hash = hash_exe(proc->pid);

	if (stat->start_code != proc->start_code || exe_hash != proc->exe_hash) {
		proc->start_code = stat->start_code;
		proc->exe_hash = exe_hash;
		state_exec(&tracker->state, time_ns, proc->pid, stat->comm);
	}
}

void tracker_refresh(struct tracker *tracker, int32_t pid, uint64_t time_ns, bool may_exec)
{
	struct proc *proc = state_proc(&tracker->state, pid);
	struct proc_stat stat;

	if (procfs_stat(pid, &stat) < 0 || stat.state == 'X' || stat.state == 'Z') {
		return;
	}
	if (proc == NULL) {
		state_fork(&tracker->state, time_ns, pid, pid, stat.ppid);
		proc = state_proc(&tracker->state, pid);
		may_exec = true;
		if (proc == NULL) {
			return;
		}
		proc->start_ns = procfs_start_ns(stat.start_ticks);
	}
	if (may_exec) {
		detect_exec(tracker, proc, &stat, time_ns);
	}
	refresh_threads(tracker, proc, time_ns);
	read_maps(tracker, pid, time_ns);
}

/* ---- ends ---- */

struct pid_list {
	int32_t *pids;
	size_t count;
};

static void add_pid(void *ctx, struct proc *proc)
{
	struct pid_list *list = ctx;

	list->pids[list->count++] = proc->pid;
}

static bool has_ended(struct tracker *tracker, int32_t pid)
{
	struct proc *proc = state_proc(&tracker->state, pid);
	struct proc_stat stat;
	int32_t *tids;
	size_t count;

	if (proc == NULL) {
		return false;
	}
	if (procfs_stat(pid, &stat) < 0 || stat.state == 'X' || !is_same_process(proc, &stat)) {
		return true;
	}
	/* A leader may be a zombie while its threads live on. */
	if (stat.state != 'Z' || list_threads(pid, &tids, &count) < 0) {
		return false;
	}
	free(tids);
	return count <= 1;
}

void tracker_drop_ended(struct tracker *tracker, uint64_t time_ns)
{
	struct pid_list list = { .pids = calloc(tracker->state.proc_count + 1, sizeof(*list.pids)) };

	if (list.pids == NULL) {
		return;
	}
	state_each(&tracker->state, add_pid, &list);
	for (size_t i = 0; i < list.count; i++) {
		if (has_ended(tracker, list.pids[i])) {
			state_end(&tracker->state, time_ns, list.pids[i]);
		}
	}
	free(list.pids);
}
