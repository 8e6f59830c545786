/* SPDX-License-Identifier: MIT */
#include "target/target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "target/container.h"
#include "target/launch.h"
#include "target/ready.h"
#include "target/resolve.h"
#include "target/target_open.h"

#define TAIL_LINES     6
#define STOP_POLL_NS   5000000
#define KILL_NS        3000000000u /* a tree whose members leave the group as fast as they are killed: at most this long */
#define CMDLINE_BYTES  4096
#define JSON_PIDS_MAX  1000
#define SAME_START_NS  30000000 /* /proc tells a start to a tick of 10 ms */

struct target {
	const char *kind;
	char *name;
	int32_t pid;   /* the root */
	int pid_fd;    /* of the root; a launched one's is the launch's */
	bool launched;
	bool released;
	bool is_group; /* a control group as a whole */
	struct container container; /* what it is or lives in; path "" when it is none */
	struct launch launch;
	struct ready ready;
	uint64_t ready_timeout_ns;
	uint64_t ready_until_ns;
	uint64_t stop_timeout_ns;
	struct tracker tracker;
};

/* ---- open ---- */

static int check_config(const struct target_config *config, struct pfc_error *err)
{
	bool is_container = config->container != NULL || config->service != NULL || config->image != NULL;
	int kinds = (config->command != NULL) + (config->pid != 0) + is_container + (config->cgroup != NULL) + config->system;

	/* A process stands alone, or narrows a container or a control group. */
	if (kinds == 0 ? config->process == NULL :
			 kinds > 1 || (config->process != NULL && !is_container && config->cgroup == NULL)) {
		return error_set(err, PFC_EINVAL,
				 "exactly one is needed of command, pid, container (or compose-service, image), cgroup, process and system",
				 "find the target");
	}
	if (config->project != NULL && config->service == NULL) {
		return error_set(err, PFC_EINVAL, "it narrows compose-service, which is not given", "compose-project");
	}
	if (config->ready != NULL && config->command == NULL) {
		return error_set(err, PFC_EINVAL, "only a command that is launched has it", "ready");
	}
	return PFC_OK;
}

/* "backend (pid 4711)" */
static char *name_of(int32_t pid)
{
	struct proc_stat stat;

	return procfs_stat(pid, &stat) == 0 ? str_printf("%s (pid %d)", stat.comm, (int)pid)
					    : str_printf("pid %d", (int)pid);
}

static int open_command(struct target *target, const struct target_config *config, struct pfc_error *err)
{
	const char *slash;
	int status = ready_parse(config->ready, &target->ready, err);

	target->kind = "command";
	if (status < 0) {
		return status;
	}
	status = launch_start(&target->launch, config->command, config->directory, config->output_fd, err);
	target->pid = target->launch.pid;
	target->pid_fd = target->launch.pid_fd;
	target->launched = target->pid > 0;
	if (status < 0) {
		return status;
	}
	slash = strrchr(target->launch.words[0], '/');
	target->name = str_printf("%s (pid %d)", slash != NULL ? slash + 1 : target->launch.words[0], (int)target->pid);
	return target->name != NULL ? PFC_OK : error_nomem(err);
}

static int open_existing(struct target *target, const struct target_config *config, struct pfc_error *err)
{
	int status;

	target->pid = config->pid;
	if (config->process != NULL) {
		target->kind = "process";
		status = resolve_name(config->process, &target->pid, &target->pid_fd, err);
	} else {
		target->kind = "pid";
		status = resolve_pid(config->pid, &target->pid_fd, err);
	}
	if (status < 0) {
		return status;
	}
	target->name = name_of(target->pid);
	return target->name != NULL ? PFC_OK : error_nomem(err);
}

/* ---- containers ---- */

/* One program in it; its descendants are followed as those of any process. */
static int open_process_within(struct target *target, const char *name, struct pfc_error *err)
{
	int32_t *pids;
	size_t count;
	int status = container_pids(&target->container, &pids, &count);

	if (status < 0) {
		return error_errno(err, -status, "list the processes of %s", target->container.name);
	}
	status = resolve_name_among(name, pids, count, &target->pid, &target->pid_fd, err);
	free(pids);
	/* Its id was read before its descriptor was held: look again. */
	if (status == PFC_OK && !container_holds(&target->container, target->pid)) {
		status = error_set(err, PFC_ETARGET, "it left just now", "find process `%.64s` in %.100s", name,
				   target->container.name);
	}
	if (status == PFC_OK) {
		target->name = str_printf("%.64s (pid %d) in %s", name, (int)target->pid, target->container.name);
		status = target->name != NULL ? PFC_OK : error_nomem(err);
	}
	return status;
}

static int find_container(struct target *target, const struct target_config *config, struct engine_query *query,
			  struct pfc_error *err)
{
	if (config->cgroup != NULL || config->system) {
		target->kind = config->system ? "system" : "cgroup";
		return container_of_cgroup(config->system ? "/" : config->cgroup, &target->container, err);
	}
	target->kind = "container";
	*query = (struct engine_query){ config->container, config->service, config->project, config->image, config->engine };
	return container_find(query, &target->container, err);
}

static int open_container(struct target *target, const struct target_config *config, struct track_group **ret_group,
			  struct pfc_error *err)
{
	struct container *container = &target->container;
	struct engine_query query = { .container = NULL };
	int status = find_container(target, config, &query, err);

	if (status < 0) {
		return status;
	}
	if (container->note[0] != '\0') {
		log_warning("container %.100s: %s", container->name, container->note);
	}
	if (config->process != NULL) {
		return open_process_within(target, config->process, err);
	}
	status = track_group_create(container, config->cgroup == NULL && !config->system ? &query : NULL,
				    !config->stop_on_restart && !config->system, ret_group, err);
	if (status < 0) {
		return status;
	}
	target->is_group = true;
	target->pid = container->pid;
	target->pid_fd = fcntl((*ret_group)->ended_fd, F_DUPFD_CLOEXEC, 0);
	target->name = config->system ? strdup("the whole machine") : strdup(container->name);
	if (target->name == NULL || target->pid_fd < 0 || !container_holds(container, target->pid)) {
		track_group_destroy(*ret_group);
		*ret_group = NULL;
		return error_set(err, PFC_ETARGET, "its first process ended just now", "find %.100s", container->name);
	}
	return PFC_OK;
}

static int open_by_kind(struct target *target, const struct target_config *config, struct track_group **ret_group,
			struct pfc_error *err)
{
	if (config->command != NULL) {
		return open_command(target, config, err);
	}
	if (config->pid != 0 || (config->container == NULL && config->service == NULL && config->image == NULL &&
				 config->cgroup == NULL && !config->system)) {
		return open_existing(target, config, err);
	}
	return open_container(target, config, ret_group, err);
}

int target_open_with(const struct target_config *config, enum track_mode mode, struct target **ret,
		     struct pfc_error *err)
{
	struct tracker_of of = { .track_group = NULL };
	struct target *target = NULL;
	int status = check_config(config, err);

	if (status < 0) {
		return status;
	}
	target = calloc(1, sizeof(*target));
	if (target == NULL) {
		return error_nomem(err);
	}
	target->pid_fd = -1;
	launch_init(&target->launch);
	target->ready.fd = -1;
	target->ready_timeout_ns = config->ready_timeout_ns;
	target->stop_timeout_ns = config->stop_timeout_ns;
	status = open_by_kind(target, config, &of.track_group, err);
	if (status == PFC_OK) {
		of.root_pid = target->pid;
		of.group = target->launched ? target->pid : 0;
		of.ignored_pid = target->launch.guardian_pid;
		status = tracker_start(&target->tracker, &of, mode, err);
	}
	if (status < 0) {
		target_close(target);
		return status;
	}
	*ret = target;
	return PFC_OK;
}

int target_open(const struct target_config *config, struct target **ret, struct pfc_error *err)
{
	return target_open_with(config, TRACK_BEST, ret, err);
}

/* ---- a launched one ---- */

int target_set_env(struct target *target, const char *name, const char *value, struct pfc_error *err)
{
	if (!target->launched) {
		return error_set(err, PFC_ENOTSUP, "the target was not launched by profcore", "set %.64s for the target", name);
	}
	return launch_set_env(&target->launch, name, value, err);
}

int target_release(struct target *target, struct pfc_error *err)
{
	int status;

	if (!target->launched || target->released) {
		return target->launched ? error_set(err, PFC_EINVAL, "it runs already", "release the target") : PFC_OK;
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
	error_hint(err, "check `ready`, or raise ready_timeout%s%s", tail[0] != '\0' ? "; its last output: " : "", tail);
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

const char *target_cgroup(const struct target *target)
{
	return target->is_group && target->container.is_unified ? target->container.folder : "";
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

/* ---- JSON ---- */

/* Texts of the target may hold any bytes: those that are no UTF-8 become '?'. */
static json_t *json_text(char *text)
{
	json_t *json = json_string(text);

	if (json == NULL) {
		for (char *at = text; *at != '\0'; at++) {
			*at = (unsigned char)*at < 0x80 ? *at : '?';
		}
		json = json_string(text);
	}
	return json;
}

static json_t *process_to_json(int32_t pid)
{
	char exe[PATH_MAX];
	char cmdline[CMDLINE_BYTES];
	struct proc_stat stat;
	json_t *json = json_pack("{s:i}", "pid", (int)pid);

	if (json == NULL || procfs_stat(pid, &stat) < 0) {
		return json;
	}
	json_object_set_new(json, "ppid", json_integer(stat.ppid));
	json_object_set_new(json, "name", json_text(stat.comm));
	json_object_set_new(json, "start_ns", json_integer(procfs_start_ns(stat.start_ticks)));
	if (procfs_link(exe, sizeof(exe), "/proc/%d/exe", (int)pid) >= 0) {
		json_object_set_new(json, "executable", json_text(exe));
	}
	procfs_cmdline(pid, cmdline, sizeof(cmdline));
	json_object_set_new(json, "command_line", json_text(cmdline));
	return json;
}

static json_t *lives_to_json(struct target *target)
{
	const struct track_group *group = target->tracker.track_group;
	json_t *lives = json_array();

	pthread_mutex_lock(&target->tracker.lock);
	for (uint32_t i = 0; i < group->life_count && i < TRACK_LIVES_MAX; i++) {
		const struct track_life *life = &group->lives[i];

		json_array_append_new(lives, json_pack("{s:i, s:i, s:s, s:I, s:I}", "generation", (int)i + 1, "pid",
						       (int)life->pid, "container_id", life->id, "from_ns",
						       (json_int_t)life->from_ns, "gone_ns", (json_int_t)life->gone_ns));
	}
	pthread_mutex_unlock(&target->tracker.lock);
	return lives;
}

static void add_container(struct target *target, json_t *json)
{
	struct container *container = &target->container;

	if (container->path[0] == '\0') {
		return;
	}
	json_object_set_new(json, "cgroup", json_text(container->path));
	json_object_set_new(json, "cgroup_folder", json_text(container->folder));
	if (container->id[0] != '\0') {
		json_object_set_new(json, "container",
				    json_pack("{s:s, s:o, s:o, s:o}", "id", container->id, "name", json_text(container->name),
					      "image", json_text(container->image), "engine", json_text(container->engine)));
	}
	if (target->tracker.track_group != NULL) {
		json_object_set_new(json, "generations", lives_to_json(target));
		json_object_set_new(json, "oom_killed", json_boolean(target_was_oom(target)));
	}
}

json_t *target_to_json(struct target *target)
{
	json_t *processes = json_array();
	struct utsname kernel;
	int32_t *pids = NULL;
	uint32_t count = 0;
	json_t *json;

	if (target_pids(target, &pids, &count, NULL) < 0 || uname(&kernel) < 0) {
		json_decref(processes);
		free(pids);
		return NULL;
	}
	for (uint32_t i = 0; i < count && i < JSON_PIDS_MAX; i++) {
		json_array_append_new(processes, process_to_json(pids[i]));
	}
	free(pids);
	json = json_pack("{s:s, s:s, s:i, s:s, s:i, s:o, s:s, s:s, s:i}", "kind", target->kind, "name", target->name,
			 "pid", (int)target->pid, "tracking", target->tracker.tracking, "process_count", (int)count,
			 "processes", processes, "kernel", kernel.release, "machine", kernel.machine, "cpus",
			 (int)sysconf(_SC_NPROCESSORS_ONLN));
	if (json != NULL && target->launched) {
		json_t *words = json_array();

		for (char **word = target->launch.words; words != NULL && *word != NULL; word++) {
			json_array_append_new(words, json_text(*word));
		}
		json_object_set_new(json, "command", words);
	}
	if (json != NULL) {
		add_container(target, json);
	}
	return json;
}

/* ---- close ---- */

/*
 * Signal (0: only ask) one process of the tree, made sure by its start time that the id is not another's by now. Returns
 * whether it is alive.
 */
static bool signal_process(const struct tracker *tracker, const struct proc *proc, int signal)
{
	int fd = (int)syscall(SYS_pidfd_open, proc->pid, 0);
	struct proc_stat stat;
	bool is_alive = false;
	int64_t apart_ns;

	if (fd < 0) {
		return false;
	}
	if (proc->pid != tracker->ignored_pid && proc->pid != getpid() && procfs_stat(proc->pid, &stat) == 0 &&
	    stat.state != 'Z' && stat.state != 'X') {
		apart_ns = procfs_start_ns(stat.start_ticks) - proc->start_ns;
		is_alive = apart_ns > -SAME_START_NS && apart_ns < SAME_START_NS;
		/* The group is told to end as a group: a second SIGTERM may mean "at once" to a program. */
		if (is_alive && signal != 0 && (signal == SIGKILL || stat.pgrp != tracker->group)) {
			syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
		}
	}
	close(fd);
	return is_alive;
}

struct signal_all {
	const struct tracker *tracker;
	int signal;
	uint32_t count;
};

static void signal_each(void *ctx, struct proc *proc)
{
	struct signal_all *all = ctx;

	all->count += signal_process(all->tracker, proc, all->signal);
}

/* Signal (0: only count) every process of the tree, also those that left the group. Returns how many are alive. */
static uint32_t signal_tree(struct target *target, int signal)
{
	struct signal_all all = { .tracker = &target->tracker, .signal = signal };

	if (!target->tracker.is_started) {
		return 0;
	}
	pthread_mutex_lock(&target->tracker.lock);
	state_each(&target->tracker.state, signal_each, &all);
	pthread_mutex_unlock(&target->tracker.lock);
	return all.count;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = STOP_POLL_NS }, NULL);
}

/* SIGTERM, time to obey, SIGKILL until nothing is left. */
static void stop_tree(struct target *target)
{
	uint64_t until_ns = procfs_now_ns() + target->stop_timeout_ns;
	int wait_status;

	if (target->released && !(launch_has_ended(&target->launch, &wait_status) && signal_tree(target, 0) == 0)) {
		signal_tree(target, SIGTERM);
		launch_signal(&target->launch, SIGTERM);
		launch_signal(&target->launch, SIGCONT);
		while (procfs_now_ns() < until_ns &&
		       !(launch_has_ended(&target->launch, &wait_status) && signal_tree(target, 0) == 0)) {
			tracker_wake(&target->tracker);
			nap();
		}
	}
	launch_kill(&target->launch);
	until_ns = procfs_now_ns() + KILL_NS;
	do {
		/* First what was started up to now has to be known. */
		tracker_settle(&target->tracker);
	} while (signal_tree(target, SIGKILL) > 0 && procfs_now_ns() < until_ns);
}

void target_close(struct target *target)
{
	if (target == NULL) {
		return;
	}
	if (target->launched) {
		stop_tree(target);
	} else if (target->pid_fd >= 0) {
		close(target->pid_fd);
	}
	tracker_stop(&target->tracker);
	launch_finish(&target->launch);
	ready_finish(&target->ready);
	free(target->name);
	free(target);
}
