/* SPDX-License-Identifier: MIT */
#include "target/container.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "target/procfs.h"

#define LISTED_MAX 8
#define NAMES_MAX  256u
#define SHORT_ID   12
#define FOUND_MAX  4096u
#define PREFIX_MIN 3u /* so few digits of an id are no name */

/* ---- the kernel's side ---- */

static int set_folder(struct container *container, const struct cgroup_mount *mount)
{
	int bytes = snprintf(container->folder, sizeof(container->folder), "%s%s", mount->folder,
			     strcmp(container->path, "/") == 0 ? "" : container->path);

	container->is_unified = mount->is_unified;
	return bytes > 0 && (size_t)bytes < sizeof(container->folder) ? 0 : -ENAMETOOLONG;
}

/* The id and the folder of the container that the process is in. Returns 0 or -errno. */
static int look_at(const struct cgroup_mount *mount, int32_t pid, struct container *container)
{
	size_t end;
	int status = cgroup_of(mount, pid, container->path, sizeof(container->path));

	if (status < 0) {
		return status;
	}
	if (!cgroup_container_id(container->path, container->id, &end)) {
		return -ENOENT;
	}
	container->path[end] = '\0';
	container->pid = pid;
	return set_folder(container, mount);
}

bool container_holds(const struct container *container, int32_t pid)
{
	size_t bytes = strcmp(container->path, "/") == 0 ? 0 : strlen(container->path);
	struct cgroup_mount mount;
	char path[PATH_MAX];

	return cgroup_find_mount(&mount) == 0 && cgroup_of(&mount, pid, path, sizeof(path)) == 0 &&
	       strncmp(path, container->path, bytes) == 0 && (path[bytes] == '\0' || path[bytes] == '/');
}

int container_pids(const struct container *container, int32_t **ret, size_t *ret_count)
{
	int32_t first = container->pid;
	int32_t *pids;
	size_t count;
	int status = cgroup_pids(container->folder, &pids, &count);

	if (status == -ENOENT || status == -ENODEV) {
		pids = calloc(1, sizeof(*pids));
		count = 0;
		status = pids != NULL ? 0 : -ENOMEM;
	}
	if (status < 0) {
		return status;
	}
	for (size_t i = 1; i < count; i++) {
		if (pids[i] == first) {
			memmove(pids + 1, pids, i * sizeof(*pids));
			pids[0] = first;
		}
	}
	*ret = pids;
	*ret_count = count;
	return 0;
}

/** Containers seen in the control groups. */
struct found {
	struct container *items;
	size_t count;
	size_t room;
};

static const struct container *find_known(const struct found *found, const char *id)
{
	for (size_t i = 0; i < found->count; i++) {
		if (strcmp(found->items[i].id, id) == 0) {
			return &found->items[i];
		}
	}
	return NULL;
}

static int add_found(struct found *found, const struct container *one)
{
	if (found->count == found->room) {
		size_t room = found->room * 2 + 32;
		struct container *grown = realloc(found->items, room * sizeof(*grown));

		if (grown == NULL) {
			return -ENOMEM;
		}
		found->items = grown;
		found->room = room;
	}
	found->items[found->count++] = *one;
	return 0;
}

/* All containers of the machine by the control groups of its processes; the first process of each is its lowest pid. */
static int scan_cgroups(const struct cgroup_mount *mount, struct found *found)
{
	struct container one;
	int32_t *pids;
	size_t count;
	int status = procfs_numbers("/proc", &pids, &count);

	if (status < 0) {
		return status;
	}
	for (size_t i = 0; i < count && found->count < FOUND_MAX; i++) {
		memset(&one, 0, sizeof(one));
		if (look_at(mount, pids[i], &one) == 0 && find_known(found, one.id) == NULL) {
			snprintf(one.name, sizeof(one.name), "%.*s", SHORT_ID, one.id);
			status = add_found(found, &one);
			if (status < 0) {
				break;
			}
		}
	}
	free(pids);
	return status < 0 ? status : 0;
}

/* ---- what the user is told ---- */

static const char *wanted_text(const struct engine_query *query, char *to, size_t to_bytes)
{
	char shown[200];

	if (query->container != NULL) {
		snprintf(to, to_bytes, "find container `%s`",
			 log_escape(shown, sizeof(shown), query->container));
	} else if (query->service != NULL) {
		snprintf(to, to_bytes, "find the container of compose-service `%s`",
			 log_escape(shown, sizeof(shown), query->service));
	} else {
		snprintf(to, to_bytes, "find the container of image `%s`",
			 log_escape(shown, sizeof(shown), query->image != NULL ? query->image : ""));
	}
	return to;
}

static void describe(struct str *text, const struct engine_container *one, bool is_first)
{
	char name[128];
	char image[128];
	char status[64];

	str_format(text, "%s%s %.*s (%s%s%s)", is_first ? "" : ", ",
		   log_escape(name, sizeof(name), one->name), SHORT_ID, one->id,
		   log_escape(image, sizeof(image), one->image), one->status[0] != '\0' ? ", " : "",
		   log_escape(status, sizeof(status), one->status[0] != '\0' ? one->status : one->state));
}

static bool is_running(const struct engine_container *one)
{
	return strcmp(one->state, "running") == 0 || strcmp(one->state, "paused") == 0;
}

static int tell_several(const struct engine_query *query, const struct engine_answer *answer,
			struct pfc_error *err)
{
	struct str list = { 0 };
	size_t shown = 0;
	char what[256];

	error_set(err, PFC_ETARGET, "several containers match", "%s", wanted_text(query, what, sizeof(what)));
	for (size_t i = 0; i < answer->count && shown < LISTED_MAX; i++) {
		if (answer->containers[i].is_match && is_running(&answer->containers[i])) {
			describe(&list, &answer->containers[i], shown++ == 0);
		}
	}
	error_hint(err, "choose by id: [target] container = ID of %s", str_text(&list));
	str_finish(&list);
	return PFC_ETARGET;
}

static int tell_stopped(const struct engine_query *query, const struct engine_container *one,
			struct pfc_error *err)
{
	char why[128];
	char what[256];
	char name[128];
	char state[64];

	snprintf(why, sizeof(why), "it does not run: it is %s", log_escape(state, sizeof(state), one->state));
	error_set(err, PFC_ETARGET, why, "%s", wanted_text(query, what, sizeof(what)));
	return error_hint(err, "docker start %s", log_escape(name, sizeof(name), one->name)), PFC_ETARGET;
}

/* What the user most likely compares his word with. */
static const char *name_by(const struct engine_query *query, const struct engine_container *one)
{
	if (query->container != NULL) {
		return one->name;
	}
	return query->service != NULL ? one->service : one->image;
}

struct ranked {
	const struct engine_container *one;
	unsigned edits;
};

static int compare_ranked(const void *a, const void *b)
{
	const struct ranked *left = a;
	const struct ranked *right = b;

	if (is_running(left->one) != is_running(right->one) && left->edits == right->edits) {
		return is_running(left->one) ? -1 : 1;
	}
	return left->edits != right->edits ? (left->edits < right->edits ? -1 : 1)
					   : strcmp(left->one->name, right->one->name);
}

static int tell_none(const struct engine_query *query, const struct engine_answer *answer,
		     struct pfc_error *err)
{
	const char *wanted = query->container != NULL ? query->container
			     : query->service != NULL ? query->service
			     : query->image != NULL   ? query->image
						      : "";
	struct ranked ranked[NAMES_MAX];
	struct str list = { 0 };
	size_t count = 0;
	char what[256];

	for (size_t i = 0; i < answer->count && count < NAMES_MAX; i++) {
		const char *name = name_by(query, &answer->containers[i]);

		if (name[0] != '\0') {
			ranked[count++] =
				(struct ranked){ &answer->containers[i], str_distance(name, wanted) };
		}
	}
	qsort(ranked, count, sizeof(ranked[0]), compare_ranked);
	for (size_t i = 0; i < count && i < LISTED_MAX; i++) {
		describe(&list, ranked[i].one, i == 0);
	}
	error_set(err, PFC_ETARGET,
		  count > 0 ? "no such container" : "no such container: the engine has none that it could be",
		  "%s", wanted_text(query, what, sizeof(what)));
	if (count > 0) {
		error_hint(err, "there %s %s%s", count == 1 ? "is" : "are", str_text(&list),
			   count > LISTED_MAX ? ", ..." : "");
	} else {
		error_hint(err, "docker ps -a shows what there is; is it another engine's? [target] engine = "
				"PATH of its socket");
	}
	str_finish(&list);
	return PFC_ETARGET;
}

/* ---- without an engine ---- */

static bool is_id(const char *text)
{
	size_t bytes = strlen(text);

	return bytes >= PREFIX_MIN && bytes < CGROUP_ID_BYTES && strspn(text, "0123456789abcdef") == bytes;
}

/* `why`: what the engine's failure was. */
static int tell_not_seen(const struct engine_query *query, const struct found *found,
			 const struct pfc_error *why, struct pfc_error *err)
{
	struct str list = { 0 };
	char what[256];

	if (why->status == PFC_EPERM || why->status == PFC_ENOTSUP) {
		*err = *why; /* that is what the user has to mend */
		return why->status;
	}
	error_set(err, PFC_ETARGET, why->why, "%s: %s", wanted_text(query, what, sizeof(what)), why->what);
	for (size_t i = 0; i < found->count && i < LISTED_MAX; i++) {
		str_format(&list, "%s%.*s (pid %d)", i > 0 ? ", " : "", SHORT_ID, found->items[i].id,
			   (int)found->items[i].pid);
	}
	if (found->count > 0) {
		error_hint(err, "without an engine only ids are known: [target] container = ID of %s",
			   str_text(&list));
	} else {
		error_hint(err, "%s", why->hint[0] != '\0' ? why->hint : "no container runs here");
	}
	str_finish(&list);
	return PFC_ETARGET;
}

static int find_by_id(const struct cgroup_mount *mount, const struct engine_query *query,
		      const struct pfc_error *why, struct container *ret, struct pfc_error *err)
{
	struct found found = { .count = 0 };
	const struct container *match = NULL;
	size_t matches = 0;
	int status = scan_cgroups(mount, &found);

	if (status < 0) {
		free(found.items);
		return error_errno(err, -status, "read /proc");
	}
	for (size_t i = 0; query->container != NULL && is_id(query->container) && i < found.count; i++) {
		if (str_starts(found.items[i].id, query->container)) {
			match = &found.items[i];
			matches++;
		}
	}
	if (matches == 1) {
		*ret = *match;
		snprintf(ret->note, sizeof(ret->note),
			 "found by its id in the control groups; the engine: %.180s", why->why);
		status = PFC_OK;
	} else {
		status = tell_not_seen(query, &found, why, err);
	}
	free(found.items);
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

	if (one->pid <= 0 || look_at(mount, one->pid, &container) < 0 || strcmp(container.id, one->id) != 0) {
		snprintf(why.why, sizeof(why.why),
			 "process %d, which it names, is not in it as seen from here", (int)one->pid);
		status = find_by_id(mount, &by_id, &why, &container, err);
		if (status < 0) {
			error_set(err, PFC_ETARGET, "none of its processes can be seen from here", "%s",
				  wanted_text(query, what, sizeof(what)));
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

		if (one->is_match && is_running(one)) {
			running = one;
			count++;
		} else if (one->is_match) {
			stopped = one;
		}
	}
	if (count > 1) {
		return tell_several(query, answer, err);
	}
	if (count == 0) {
		return stopped != NULL ? tell_stopped(query, stopped, err) : tell_none(query, answer, err);
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
	if (strstr(container.path, "/..") != NULL || set_folder(&container, &mount) < 0 ||
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
