/* SPDX-License-Identifier: MIT */
/* Containers as the kernel shows them: see container.h and container_inside.h. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "target/container_inside.h"

#define FOUND_MAX   4096u
#define DEPTH_MAX   16
#define FOLDERS_MAX 16384u

int container_set_folder(struct container *container, const struct cgroup_mount *mount)
{
	int bytes = snprintf(container->folder, sizeof(container->folder), "%s%s", mount->folder,
			     strcmp(container->path, "/") == 0 ? "" : container->path);

	container->is_unified = mount->is_unified;
	return bytes > 0 && (size_t)bytes < sizeof(container->folder) ? 0 : -ENAMETOOLONG;
}

/* A folder that is named by a word for an id: "/shop/web", "nerdctl-web.scope". Where in the path it ends; 0: there is none. */
static size_t end_of_word(const char *path, const char *id)
{
	size_t bytes = strlen(id);

	for (const char *at = strstr(path, id); at != NULL; at = strstr(at + 1, id)) {
		const char *end = at + bytes;

		if (at > path && (at[-1] == '/' || at[-1] == '-') &&
		    (*end == '\0' || *end == '/' || str_starts(end, ".scope"))) {
			return (size_t)(end - path) + strcspn(end, "/");
		}
	}
	return 0;
}

int container_of_process(const struct cgroup_mount *mount, int32_t pid, const char *id,
			 struct container *container)
{
	char found[CGROUP_ID_BYTES];
	size_t end = 0;
	int status = cgroup_of(mount, pid, container->path, sizeof(container->path));

	if (status < 0) {
		return status;
	}
	if (!cgroup_container_id(container->path, found, &end)) {
		end = end_of_word(container->path, id);
	} else if (strcmp(found, id) != 0) {
		end = 0;
	}
	if (end == 0) {
		return -ENOENT;
	}
	snprintf(container->id, sizeof(container->id), "%s", id);
	container->path[end] = '\0';
	container->pid = pid;
	return container_set_folder(container, mount);
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

/* ---- all of them ---- */

struct scan {
	const struct cgroup_mount *mount;
	const char *prefix;
	struct container_list *list;
	unsigned folders;
};

static int add_seen(struct container_list *list, const char *id, const char *path, int32_t pid)
{
	if (list->count == list->room) {
		size_t room = list->room * 2 + 32;
		struct container_seen *grown = realloc(list->items, room * sizeof(*grown));

		if (grown == NULL) {
			return -ENOMEM;
		}
		list->items = grown;
		list->room = room;
	}
	list->items[list->count] = (struct container_seen){ .path = strdup(path), .pid = pid };
	if (list->items[list->count].path == NULL) {
		return -ENOMEM;
	}
	snprintf(list->items[list->count++].id, sizeof(list->items[0].id), "%s", id);
	return 0;
}

/* A folder that is named by an id: whether it has a process, and the first of them. */
static int take_folder(struct scan *scan, const char *folder, const char *id)
{
	int32_t *pids;
	size_t count;
	int status = str_starts(id, scan->prefix) ? cgroup_pids(folder, &pids, &count) : -ENOENT;

	if (status < 0) {
		return status == -ENOMEM ? status : 0; /* removed just now */
	}
	if (count > 0) {
		status = add_seen(scan->list, id, folder + strlen(scan->mount->folder), pids[0]);
	}
	free(pids);
	return status;
}

static int walk(struct scan *scan, const char *folder, int depth)
{
	struct dirent *entry;
	DIR *dir = opendir(folder);
	int status = 0;

	while (dir != NULL && status == 0 && (entry = readdir(dir)) != NULL &&
	       scan->list->count < FOUND_MAX && scan->folders < FOLDERS_MAX) {
		char id[CGROUP_ID_BYTES];
		char *below;
		size_t end;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.') {
			continue;
		}
		below = str_printf("%s/%s", folder, entry->d_name);
		scan->folders++;
		if (below == NULL) {
			status = -ENOMEM;
		} else if (cgroup_container_id(entry->d_name, id, &end)) {
			status = take_folder(scan, below, id); /* what nests in it belongs to it */
		} else if (depth < DEPTH_MAX) {
			status = walk(scan, below, depth + 1);
		}
		free(below);
	}
	if (dir != NULL) {
		closedir(dir);
	}
	return status;
}

/* By folders: asking /proc for the group of each process costs several times as much, it tells of all hierarchies each time. */
int container_scan(const struct cgroup_mount *mount, const char *prefix, struct container_list *ret)
{
	struct scan scan = { mount, prefix, ret, 0 };

	*ret = (struct container_list){ .count = 0 };
	return walk(&scan, mount->folder, 0);
}

void container_list_finish(struct container_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].path);
	}
	free(list->items);
	*list = (struct container_list){ .count = 0 };
}
