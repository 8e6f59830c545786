/* SPDX-License-Identifier: MIT */
#include "target/pod.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

/* The kubelet runs at most some hundred pods; more names than this are none of its. */
#define PODS_MAX    4096u
#define LISTED_MAX  8u
#define FOLDERS_MAX 20000u
/* /kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/...: kind nests its own below. */
#define DEPTH_MAX 6

/** A name in the kubelet's folder of logs, NAMESPACE_NAME_UID; none of the three holds an underscore. */
struct entry {
	char name[512]; /* "namespace/name" */
	char uid[64];
};

struct entries {
	struct entry *items;
	size_t count;
};

static bool parse(const char *folder, struct entry *ret)
{
	const char *first = strchr(folder, '_');
	const char *last = strrchr(folder, '_');

	if (first == NULL || last == first || first == folder || strlen(last + 1) >= sizeof(ret->uid) ||
	    last[1] == '\0' || strspn(last + 1, "0123456789abcdefABCDEF-") != strlen(last + 1)) {
		return false;
	}
	snprintf(ret->uid, sizeof(ret->uid), "%s", last + 1);
	return (size_t)snprintf(ret->name, sizeof(ret->name), "%.*s/%.*s", (int)(first - folder), folder,
				(int)(last - first) - 1, first + 1) < sizeof(ret->name);
}

static int read_entries(const char *logs, struct entries *ret)
{
	DIR *folder = opendir(logs);
	struct dirent *item;

	if (folder == NULL) {
		return -errno;
	}
	ret->items = calloc(PODS_MAX, sizeof(*ret->items));
	while (ret->items != NULL && ret->count < PODS_MAX && (item = readdir(folder)) != NULL) {
		ret->count += parse(item->d_name, &ret->items[ret->count]);
	}
	closedir(folder);
	return ret->items != NULL ? 0 : -ENOMEM;
}

/* ---- control groups ---- */

/* "pod<uid>" where the kubelet's driver is cgroupfs, "kubepods-burstable-pod<uid>.slice" with _ for - where it is systemd. */
static bool is_group_of(const char *name, const char *uid)
{
	char dashed[96];
	char plain[80];
	const char *at;

	snprintf(plain, sizeof(plain), "pod%s", uid);
	snprintf(dashed, sizeof(dashed), "-%s.slice", plain);
	for (char *letter = dashed + 1; *letter != '\0'; letter++) {
		*letter = *letter == '-' ? '_' : *letter;
	}
	if (strcmp(name, plain) == 0) {
		return true;
	}
	at = strstr(name, dashed);
	return at != NULL && strcmp(at, dashed) == 0;
}

struct search {
	const char *groups;
	const char *uid;
	size_t folders;
	char *found; /* below groups; PATH_MAX */
};

/* Below what the kubelet made: other groups are not entered. */
static bool is_worth(const char *name, int depth)
{
	return depth > 0 || strstr(name, "kubepods") != NULL || str_starts(name, "kubelet");
}

static bool search_in(struct search *search, const char *path, int depth)
{
	char child[PATH_MAX];
	char full[PATH_MAX];
	struct dirent *item;
	bool found = false;
	DIR *folder;

	if (snprintf(full, sizeof(full), "%s%s", search->groups, path) >= (int)sizeof(full) ||
	    (folder = opendir(full)) == NULL) {
		return false;
	}
	while (!found && search->folders < FOLDERS_MAX && (item = readdir(folder)) != NULL) {
		if (item->d_type != DT_DIR || item->d_name[0] == '.' || !is_worth(item->d_name, depth) ||
		    snprintf(child, sizeof(child), "%s/%s", path, item->d_name) >= (int)sizeof(child)) {
			continue;
		}
		search->folders++;
		if (is_group_of(item->d_name, search->uid)) {
			snprintf(search->found, PATH_MAX, "%s", child);
			found = true;
		} else if (depth < DEPTH_MAX) {
			found = search_in(search, child, depth + 1);
		}
	}
	closedir(folder);
	return found;
}

/* ---- what the user is told ---- */

static bool means(const struct entry *entry, const char *wanted)
{
	const char *slash = strchr(entry->name, '/');

	return strcmp(entry->name, wanted) == 0 ||
	       (strchr(wanted, '/') == NULL && strcmp(slash + 1, wanted) == 0);
}

static int tell_none(const struct entries *entries, const char *wanted, struct pfc_error *err)
{
	const char *names[PODS_MAX] = { NULL };
	struct str list = { 0 };
	const char *nearest;
	char shown[200];
	char one[600];
	size_t count = 0;

	for (size_t i = 0; i < entries->count; i++) {
		names[count++] = strchr(wanted, '/') != NULL ? entries->items[i].name
							     : strchr(entries->items[i].name, '/') + 1;
		if (i < LISTED_MAX) {
			str_format(&list, "%s%s", i > 0 ? ", " : "",
				   log_escape(one, sizeof(one), entries->items[i].name));
		}
	}
	nearest = str_nearest(wanted, names, count);
	error_set(err, PFC_ETARGET, "no such pod on this node", "find pod `%s`",
		  log_escape(shown, sizeof(shown), wanted));
	if (nearest != NULL) {
		error_hint(err, "did you mean %s?", log_escape(one, sizeof(one), nearest));
	} else if (count > 0) {
		error_hint(err, "here are %s%s", str_text(&list), count > LISTED_MAX ? ", ..." : "");
	} else {
		error_hint(err, "no pod runs on this node; kubectl get pods -o wide tells where it does");
	}
	str_finish(&list);
	return PFC_ETARGET;
}

static int tell_several(const struct entries *entries, const char *wanted, struct pfc_error *err)
{
	struct str list = { 0 };
	char shown[200];
	char one[600];

	for (size_t i = 0; i < entries->count; i++) {
		if (means(&entries->items[i], wanted)) {
			str_format(&list, "%s%s", list.bytes > 0 ? ", " : "",
				   log_escape(one, sizeof(one), entries->items[i].name));
		}
	}
	error_set(err, PFC_ETARGET, "several namespaces have a pod of this name", "find pod `%s`",
		  log_escape(shown, sizeof(shown), wanted));
	error_hint(err, "say which: %s", str_text(&list));
	str_finish(&list);
	return PFC_ETARGET;
}

static int tell_no_logs(const char *logs, int errnum, struct pfc_error *err)
{
	if (errnum != ENOENT) {
		error_errno(err, errnum, "read %s", logs);
		return error_hint(err, "run as root");
	}
	error_set(err, PFC_ENOTSUP, "no kubelet keeps its logs here, so this is no node of Kubernetes",
		  "find a pod");
	error_hint(err,
		   "run profcore on the node (kubectl get pods -o wide), with %s mounted where it is in a "
		   "container",
		   logs);
	return PFC_ENOTSUP;
}

/* ---- finding ---- */

/* Names of its containers: a folder each in that of its logs. */
static void read_containers(const char *logs, struct pod *pod)
{
	const char *slash = strchr(pod->name, '/');
	char *path =
		str_printf("%s/%.*s_%s_%s", logs, (int)(slash - pod->name), pod->name, slash + 1, pod->uid);
	DIR *folder = path != NULL ? opendir(path) : NULL;
	struct dirent *item;
	size_t at = 0;

	while (folder != NULL && (item = readdir(folder)) != NULL && at < sizeof(pod->containers)) {
		if (item->d_name[0] != '.') {
			at += (size_t)snprintf(pod->containers + at, sizeof(pod->containers) - at, "%s%s",
					       at > 0 ? ", " : "", item->d_name);
		}
	}
	if (folder != NULL) {
		closedir(folder);
	}
	free(path);
}

/* Of several generations of one name (a StatefulSet keeps names), the one that has a control group. */
static int choose(const struct entries *entries, const char *groups, const char *wanted, struct pod *ret,
		  struct pfc_error *err)
{
	const struct entry *last = NULL;
	bool is_found = false;
	char shown[200];

	for (size_t i = 0; i < entries->count; i++) {
		const struct entry *entry = &entries->items[i];
		char path[PATH_MAX] = "";
		struct search search = { .groups = groups, .uid = entry->uid, .found = path };

		if (!means(entry, wanted)) {
			continue;
		}
		if (last != NULL && strcmp(last->name, entry->name) != 0) {
			return tell_several(entries, wanted, err);
		}
		last = entry;
		if (search_in(&search, "", 0)) {
			memset(ret, 0, sizeof(*ret));
			snprintf(ret->name, sizeof(ret->name), "%s", entry->name);
			snprintf(ret->uid, sizeof(ret->uid), "%s", entry->uid);
			snprintf(ret->path, sizeof(ret->path), "%s", path);
			is_found = true;
		}
	}
	if (last == NULL) {
		return tell_none(entries, wanted, err);
	}
	if (!is_found) {
		error_set(err, PFC_ETARGET, "it was here, but has no control group: it is not running",
			  "find pod `%s`", log_escape(shown, sizeof(shown), wanted));
		return error_hint(err, "kubectl get pod says what became of it");
	}
	return PFC_OK;
}

int pod_find(const char *logs, const char *groups, const char *wanted, struct pod *ret, struct pfc_error *err)
{
	struct entries entries = { .count = 0 };
	struct pod pod;
	int status = read_entries(logs, &entries);

	if (status < 0) {
		free(entries.items);
		return tell_no_logs(logs, -status, err);
	}
	status = choose(&entries, groups, wanted, &pod, err);
	if (status == PFC_OK) {
		read_containers(logs, &pod);
		*ret = pod;
	}
	free(entries.items);
	return status;
}
