/* SPDX-License-Identifier: MIT */
#include "target/target.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "target/target_inside.h"

#define TAIL_LINES 6

/* ---- a launched one ---- */

int target_set_env(struct target *target, const char *name, const char *value, struct pfc_error *err)
{
	if (!target->launched) {
		return error_set(err, PFC_ENOTSUP, "the target was not launched by profcore",
				 "set %.64s for the target", name);
	}
	return launch_set_env(&target->launch, name, value, err);
}

int target_release(struct target *target, struct pfc_error *err)
{
	int status;

	if (!target->launched || target->released) {
		return target->launched ? error_set(err, PFC_EINVAL, "it runs already", "release the target")
					: PFC_OK;
	}
	target->released = true;
	status = launch_release(&target->launch, err);
	target->ready_until_ns = procfs_now_ns() + target->ready_timeout_ns;
	return status;
}

static int ended_early(const struct target *target, int wait_status, struct pfc_error *err)
{
	char tail[sizeof(err->hint) - 40];
	char why[128];

	launch_describe_end(wait_status, why, sizeof(why));
	error_set(err, PFC_ETARGET, why, "%s ended before it was ready", target->name);
	launch_output_tail(&target->launch, TAIL_LINES, tail, sizeof(tail));
	if (tail[0] != '\0') {
		error_hint(err, "its last output: %s", tail);
	} else {
		error_hint(err, "it printed nothing: run the command by hand");
	}
	return PFC_ETARGET;
}

static int ready_timed_out(const struct target *target, struct pfc_error *err)
{
	char tail[256];

	error_set(err, PFC_ETIMEDOUT, target->ready.last[0] != '\0' ? target->ready.last : "no answer yet",
		  "%s was not ready within %.3g s", target->name, (double)target->ready_timeout_ns / 1e9);
	launch_output_tail(&target->launch, TAIL_LINES / 2, tail, sizeof(tail));
	error_hint(err, "check `ready`, or raise ready_timeout%s%s",
		   tail[0] != '\0' ? "; its last output: " : "", tail);
	return PFC_ETIMEDOUT;
}

int target_is_ready(struct target *target, struct pfc_error *err)
{
	uint64_t now_ns = procfs_now_ns();
	int wait_status;

	if (!target->launched) {
		return 1;
	}
	if (!target->released) {
		return error_set(err, PFC_EINVAL, "it is still held", "wait for the target");
	}
	if (target->ready.kind == READY_NOW) {
		return 1;
	}
	if (launch_has_ended(&target->launch, &wait_status)) {
		return ended_early(target, wait_status, err);
	}
	if (ready_look(&target->ready, now_ns) == 1) {
		return 1;
	}
	/* A duration is its own limit. */
	if (target->ready.kind != READY_DURATION && now_ns > target->ready_until_ns) {
		return ready_timed_out(target, err);
	}
	return 0;
}

/* ---- what it is ---- */

int target_exit_fd(const struct target *target)
{
	return target->pid_fd;
}

void target_status(struct target *target, struct target_status *ret)
{
	struct pollfd poll_fd = { .fd = target->pid_fd, .events = POLLIN };
	struct target_status status = { .held = target->launched && !target->released };

	if (target->launched) {
		status.exited = launch_has_ended(&target->launch, &status.wait_status);
	} else {
		status.exited = poll(&poll_fd, 1, 0) == 1;
	}
	*ret = status;
}

const char *target_kind(const struct target *target)
{
	return target->kind;
}

const char *target_name(const struct target *target)
{
	return target->name;
}

const char *target_program(const struct target *target)
{
	return target->launched ? target->launch.program : NULL;
}

const char *target_tracking(const struct target *target)
{
	return target->tracker.tracking;
}

char *target_cgroup(struct target *target)
{
	const struct track_group *group = target->tracker.track_group;
	const struct container *container = group != NULL ? &group->container : &target->container;
	char *folder;

	pthread_mutex_lock(&target->tracker.lock);
	folder = strdup(target->is_group && container->is_unified ? container->folder : "");
	pthread_mutex_unlock(&target->tracker.lock);
	return folder;
}

uint32_t target_restarts(struct target *target, uint64_t *ret_ns, uint32_t room)
{
	const struct track_group *group = target->tracker.track_group;
	uint32_t count = 0;

	pthread_mutex_lock(&target->tracker.lock);
	for (uint32_t i = 1; group != NULL && i < group->life_count && i < TRACK_LIVES_MAX && count < room;
	     i++) {
		ret_ns[count++] = group->lives[i].from_ns;
	}
	pthread_mutex_unlock(&target->tracker.lock);
	return count;
}

uint32_t target_generation(struct target *target)
{
	uint32_t generation;

	pthread_mutex_lock(&target->tracker.lock);
	generation = target->tracker.state.generation;
	pthread_mutex_unlock(&target->tracker.lock);
	return generation;
}

bool target_has_moved(struct target *target)
{
	struct track_group *group = target->tracker.track_group;
	bool has_moved;

	pthread_mutex_lock(&target->tracker.lock);
	has_moved = group != NULL && strcmp(group->container.id, target->container.id) != 0;
	pthread_mutex_unlock(&target->tracker.lock);
	return has_moved;
}

bool target_was_oom(struct target *target)
{
	bool was_oom;

	pthread_mutex_lock(&target->tracker.lock);
	was_oom = target->tracker.track_group != NULL && target->tracker.track_group->was_oom;
	pthread_mutex_unlock(&target->tracker.lock);
	return was_oom;
}

struct pid_list {
	int32_t *pids;
	uint32_t count;
	int32_t root;
};

static void add_pid(void *ctx, struct proc *proc)
{
	struct pid_list *list = ctx;

	if (proc->pid != list->root) {
		list->pids[list->count++] = proc->pid;
	}
}

int target_pids(struct target *target, int32_t **ret_pids, uint32_t *ret_count, struct pfc_error *err)
{
	struct tracker *tracker = &target->tracker;
	struct pid_list list = { .pids = NULL };

	pthread_mutex_lock(&tracker->lock);
	list.root = tracker->root_pid; /* of this generation */
	list.pids = calloc((size_t)tracker->state.proc_count + 1, sizeof(*list.pids));
	if (list.pids != NULL) {
		if (state_proc(&tracker->state, list.root) != NULL) {
			list.pids[list.count++] = list.root;
		}
		state_each(&tracker->state, add_pid, &list);
	}
	pthread_mutex_unlock(&tracker->lock);
	if (list.pids == NULL) {
		return error_nomem(err);
	}
	*ret_pids = list.pids;
	*ret_count = list.count;
	return PFC_OK;
}

int target_serve(struct target *target, bool may_open_files, int *ret_fd, struct pfc_error *err)
{
	int status;

	pthread_mutex_lock(&target->tracker.lock);
	status = server_add(&target->tracker.server, may_open_files, ret_fd, err);
	pthread_mutex_unlock(&target->tracker.lock);
	tracker_wake(&target->tracker);
	return status;
}
