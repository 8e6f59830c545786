/* SPDX-License-Identifier: MIT */
#include "target/container.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "target/container_inside.h"

#define PREFIX_MIN 3u /* so few digits of an id are no name */

/* ---- without an engine ---- */

static bool is_id(const char *text)
{
	size_t bytes = strlen(text);

	return bytes >= PREFIX_MIN && bytes < CGROUP_ID_BYTES && strspn(text, "0123456789abcdef") == bytes;
}

static int take_seen(const struct cgroup_mount *mount, const struct container_seen *seen,
		     const struct pfc_error *why, struct container *ret)
{
	struct container container = { .pid = seen->pid };

	memcpy(container.id, seen->id, sizeof(container.id));
	snprintf(container.name, sizeof(container.name), "%.*s", SHORT_ID, seen->id);
	snprintf(container.path, sizeof(container.path), "%s", seen->path);
	snprintf(container.note, sizeof(container.note),
		 "found by its id in the control groups; the engine: %.180s", why->why);
	*ret = container;
	return container_set_folder(ret, mount);
}

static int find_by_id(const struct cgroup_mount *mount, const struct engine_query *query,
		      const struct pfc_error *why, struct container *ret, struct pfc_error *err)
{
	bool has_id = query->container != NULL && is_id(query->container);
	struct container_list seen;
	int status = container_scan(mount, has_id ? query->container : "", &seen);

	if (status == 0 && has_id && seen.count != 1) { /* to tell what there is */
		container_list_finish(&seen);
		has_id = false;
		status = container_scan(mount, "", &seen);
	}
	if (status < 0) {
		error_errno(err, -status, "read the control groups below %.200s", mount->folder);
		status = err->status;
	} else if (has_id && seen.count == 1) {
		status = take_seen(mount, &seen.items[0], why, ret) < 0
				 ? error_set(err, PFC_ETARGET, "the path of its control group is too long",
					     "find a container")
				 : PFC_OK;
	} else {
		status = container_tell_unseen(query, &seen, why, err);
	}
	container_list_finish(&seen);
	return status;
}

/* ---- with one ---- */

/*
 * The engine's word against the kernel's. Where its pid is of another pid namespace, or out of date, the id is looked for in
 * the control groups.
 */
static int verify(const struct cgroup_mount *mount, const struct engine_query *query,
		  const struct engine_answer *answer, const struct engine_container *one,
		  struct container *ret, struct pfc_error *err)
{
	struct pfc_error why = { .status = PFC_ETARGET };
	struct engine_query by_id = { .container = one->id };
	struct container container = { .pid = 0 };
	char what[256];
	int status;

	if (one->pid <= 0 || container_of_process(mount, one->pid, one->id, &container) < 0) {
		snprintf(why.why, sizeof(why.why),
			 "process %d, which it names, is not in it as seen from here", (int)one->pid);
		status = find_by_id(mount, &by_id, &why, &container, err);
		if (status < 0) {
			error_set(err, PFC_ETARGET, "none of its processes can be seen from here", "%s",
				  container_wanted(query, what, sizeof(what)));
			error_hint(
				err,
				"profcore must share the pid namespace of the engine's machine (pid: host)");
			return PFC_ETARGET;
		}
	}
	snprintf(container.name, sizeof(container.name), "%s", one->name[0] != '\0' ? one->name : one->id);
	snprintf(container.image, sizeof(container.image), "%s", one->image);
	snprintf(container.engine, sizeof(container.engine), "%s", answer->socket);
	*ret = container;
	return PFC_OK;
}

static int choose(const struct cgroup_mount *mount, const struct engine_query *query,
		  const struct engine_answer *answer, struct container *ret, struct pfc_error *err)
{
	const struct engine_container *running = NULL;
	const struct engine_container *stopped = NULL;
	size_t count = 0;

	for (size_t i = 0; i < answer->count; i++) {
		const struct engine_container *one = &answer->containers[i];

		if (one->is_match && container_is_running(one)) {
			running = one;
			count++;
		} else if (one->is_match) {
			stopped = one;
		}
	}
	if (count > 1) {
		return container_tell_several(query, answer, err);
	}
	if (count == 0) {
		return stopped != NULL ? container_tell_stopped(query, stopped, err)
				       : container_tell_none(query, answer, err);
	}
	return verify(mount, query, answer, running, ret, err);
}

int container_find(const struct engine_query *query, struct container *ret, struct pfc_error *err)
{
	struct engine_answer answer = { .count = 0 };
	struct pfc_error why = { .status = 0 };
	struct cgroup_mount mount;
	int status = cgroup_find_mount(&mount);

	if (status < 0) {
		error_set(err, PFC_ENOTSUP, "no control groups are mounted here", "find a container");
		return error_hint(err, "mount /sys/fs/cgroup, or use [target] pid"), PFC_ENOTSUP;
	}
	status = engine_ask(query, &answer, &why);
	if (status < 0) {
		return find_by_id(&mount, query, &why, ret, err);
	}
	status = choose(&mount, query, &answer, ret, err);
	engine_answer_finish(&answer);
	return status;
}

int container_of_cgroup(const char *path, struct container *ret, struct pfc_error *err)
{
	struct container container = { .pid = 0 };
	struct cgroup_mount mount;
	struct stat stat_buf;
	int32_t *pids = NULL;
	size_t count = 0;
	size_t end;
	int status = cgroup_find_mount(&mount);

	if (status < 0) {
		return error_set(err, PFC_ENOTSUP, "no control groups are mounted here", "find cgroup %.200s",
				 path);
	}
	if (str_starts(path, mount.folder) &&
	    (path[strlen(mount.folder)] == '/' || path[strlen(mount.folder)] == '\0')) {
		path += strlen(mount.folder);
	}
	snprintf(container.path, sizeof(container.path), "%s%s", path[0] == '/' ? "" : "/", path);
	end = strlen(container.path);
	while (end > 1 && container.path[end - 1] == '/') {
		container.path[--end] = '\0';
	}
	if (strstr(container.path, "/..") != NULL || container_set_folder(&container, &mount) < 0 ||
	    stat(container.folder, &stat_buf) < 0 || !S_ISDIR(stat_buf.st_mode)) {
		error_set(err, PFC_ETARGET, "no such control group", "find cgroup %.200s", container.path);
		return error_hint(err, "ls %s shows them; /proc/PID/cgroup names a process's", mount.folder),
		       PFC_ETARGET;
	}
	status = container_pids(&container, &pids, &count);
	if (status < 0) {
		return error_errno(err, -status, "list the processes of %.200s", container.folder);
	}
	if (count == 0) {
		free(pids);
		return error_set(err, PFC_ETARGET, "no process is in it", "find cgroup %.200s",
				 container.path);
	}
	container.pid = pids[0];
	free(pids);
	cgroup_container_id(container.path, container.id, &end);
	snprintf(container.name, sizeof(container.name), "%.200s", container.path);
	*ret = container;
	return PFC_OK;
}
