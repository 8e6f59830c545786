/* SPDX-License-Identifier: MIT */
/* From what [target] asks for to a target that is followed. */
#include "target/target_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "target/pod.h"
#include "target/resolve.h"
#include "target/target_inside.h"

static int check_config(const struct target_config *config, struct pfc_error *err)
{
	bool is_container = config->container != NULL || config->service != NULL || config->image != NULL;
	int kinds = (config->command != NULL) + (config->pid != 0) + is_container + (config->cgroup != NULL) +
		    (config->pod != NULL) + config->system;

	/* A process stands alone, or narrows a container or a control group. */
	if (kinds == 0 ? config->process == NULL
		       : kinds > 1 || (config->process != NULL && !is_container && config->cgroup == NULL &&
				       config->pod == NULL)) {
		return error_set(err, PFC_EINVAL,
				 "exactly one is needed of command, pid, container (or compose-service, "
				 "image), pod, cgroup, process and system",
				 "find the target");
	}
	if (config->project != NULL && config->service == NULL) {
		return error_set(err, PFC_EINVAL, "it narrows compose-service, which is not given",
				 "compose-project");
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
	target->name = str_printf("%s (pid %d)", slash != NULL ? slash + 1 : target->launch.words[0],
				  (int)target->pid);
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
		status = error_set(err, PFC_ETARGET, "it left just now", "find process `%.64s` in %.100s",
				   name, target->container.name);
	}
	if (status == PFC_OK) {
		target->name =
			str_printf("%.64s (pid %d) in %s", name, (int)target->pid, target->container.name);
		status = target->name != NULL ? PFC_OK : error_nomem(err);
	}
	return status;
}

/* A pod's control group holds all of its containers, and stays when one of them restarts. */
static int find_pod(struct target *target, const struct target_config *config, struct pfc_error *err)
{
	struct cgroup_mount mount;
	struct pod pod;
	int status;

	target->kind = "pod";
	if (cgroup_find_mount(&mount) < 0) {
		return error_set(err, PFC_ENOTSUP, "no control groups are mounted here", "find a pod");
	}
	status = pod_find(POD_LOGS, mount.folder, config->pod, &pod, err);
	if (status == PFC_OK) {
		status = container_of_cgroup(pod.path, &target->container, err);
	}
	if (status == PFC_OK) {
		snprintf(target->container.name, sizeof(target->container.name), "%.200s", pod.name);
		log_info("pod %s: containers %s; images and labels are not asked for", pod.name,
			 pod.containers[0] != '\0' ? pod.containers : "unknown");
	}
	return status;
}

static int find_container(struct target *target, const struct target_config *config,
			  struct engine_query *query, struct pfc_error *err)
{
	if (config->pod != NULL) {
		return find_pod(target, config, err);
	}
	if (config->cgroup != NULL || config->system) {
		target->kind = config->system ? "system" : "cgroup";
		return container_of_cgroup(config->system ? "/" : config->cgroup, &target->container, err);
	}
	target->kind = "container";
	*query = (struct engine_query){ config->container, config->service, config->project, config->image,
					config->engine };
	return container_find(query, &target->container, err);
}

static int open_container(struct target *target, const struct target_config *config,
			  struct track_group **ret_group, struct pfc_error *err)
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
	status = track_group_create(
		container, config->cgroup == NULL && config->pod == NULL && !config->system ? &query : NULL,
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
		return error_set(err, PFC_ETARGET, "its first process ended just now", "find %.100s",
				 container->name);
	}
	return PFC_OK;
}

static int open_by_kind(struct target *target, const struct target_config *config,
			struct track_group **ret_group, struct pfc_error *err)
{
	if (config->command != NULL) {
		return open_command(target, config, err);
	}
	if (config->pid != 0 ||
	    (config->container == NULL && config->service == NULL && config->image == NULL &&
	     config->cgroup == NULL && config->pod == NULL && !config->system)) {
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
