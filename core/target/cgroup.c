/* SPDX-License-Identifier: MIT */
#include "target/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/str.h"
#include "target/procfs.h"

#define DEPTH_MAX   16
#define FOLDERS_MAX 4096u
#define PIDS_MAX    (1u << 20)
#define ID_DIGITS   (CGROUP_ID_BYTES - 1)

/* ---- mounts ---- */

/* The word after `count` blanks of a line of mountinfo. */
static const char *field(const char *line, int count)
{
	while (count > 0 && line != NULL) {
		line = strchr(line, ' ');
		line = line != NULL ? line + 1 : NULL;
		count--;
	}
	return line;
}

static void copy_word(char *to, size_t to_bytes, const char *word, const char *end_marks)
{
	size_t bytes = strcspn(word, end_marks);

	snprintf(to, to_bytes, "%.*s", (int)(bytes < to_bytes ? bytes : to_bytes - 1), word);
}

/* Controllers whose v1 hierarchy container engines use, the ones that name a container best first. */
static int rank_of(const char *options)
{
	static const char *const controllers[] = {
		"perf_event", "pids", "freezer", "memory", "cpuacct", NULL
	};

	for (int i = 0; controllers[i] != NULL; i++) {
		const char *at = strstr(options, controllers[i]);

		if (at != NULL && at[-1] == ',') {
			return i;
		}
	}
	return INT_MAX;
}

/* One line of mountinfo: "36 35 0:30 / /sys/fs/cgroup/unified rw,... - cgroup2 cgroup2 rw". */
static void take_mount(const char *line, struct cgroup_mount *best, int *best_rank)
{
	const char *root = field(line, 3);
	const char *folder = field(line, 4);
	const char *dash = strstr(line, " - ");
	const char *options;
	int rank;

	/* A mount of a part of the hierarchy (a container's own view) shows other paths than /proc does. */
	if (folder == NULL || dash == NULL || !str_starts(root, "/ ")) {
		return;
	}
	if (str_starts(dash + 3, "cgroup2 ")) {
		rank = -1;
	} else if (str_starts(dash + 3, "cgroup ")) {
		options = field(dash + 3, 2);
		rank = options != NULL ? rank_of(options) : INT_MAX;
	} else {
		return;
	}
	/* The first of several mounts of one hierarchy is the machine's own. */
	if (rank >= *best_rank) {
		return;
	}
	*best_rank = rank;
	copy_word(best->folder, sizeof(best->folder), folder, " \n");
	best->is_unified = rank < 0;
	if (rank >= 0) {
		static const char *const controllers[] = { "perf_event", "pids", "freezer", "memory",
							   "cpuacct" };

		snprintf(best->controller, sizeof(best->controller), "%s", controllers[rank]);
	}
}

int cgroup_find_mount(struct cgroup_mount *ret)
{
	struct cgroup_mount best = { .folder = "" };
	int rank = INT_MAX;
	char *line = NULL;
	size_t room = 0;
	FILE *file = fopen("/proc/self/mountinfo", "re");

	if (file == NULL) {
		return -errno;
	}
	while (getline(&line, &room, file) > 0) {
		take_mount(line, &best, &rank);
	}
	free(line);
	fclose(file);
	if (best.folder[0] == '\0') {
		return -ENOENT;
	}
	*ret = best;
	return 0;
}

/* ---- of a process ---- */

/* Whether "9:cpu,cpuacct" names the controller. */
static bool names_controller(const char *line, const char *controller)
{
	const char *at = strchr(line, ':');
	size_t bytes = strlen(controller);

	for (at = at != NULL ? at + 1 : NULL; at != NULL && *at != ':' && *at != '\0'; at++) {
		size_t word = strcspn(at, ",:");

		if (word == bytes && strncmp(at, controller, bytes) == 0) {
			return true;
		}
		at += word;
		if (*at != ',') {
			break;
		}
	}
	return false;
}

int cgroup_of(const struct cgroup_mount *mount, int32_t pid, char *to, size_t to_bytes)
{
	char text[16384];
	char *rest = text;
	char *line;
	ssize_t bytes = procfs_read(text, sizeof(text), "/proc/%d/cgroup", (int)pid);

	if (bytes < 0) {
		return (int)bytes;
	}
	while ((line = strsep(&rest, "\n")) != NULL) {
		const char *path = strchr(line, ':');
		bool is_it = mount->is_unified ? str_starts(line, "0::")
					       : names_controller(line, mount->controller);

		path = path != NULL ? strchr(path + 1, ':') : NULL;
		if (!is_it || path == NULL) {
			continue;
		}
		path++;
		/* "/../x" is outside of our own cgroup namespace. */
		if (path[0] != '/' || strstr(path, "/..") != NULL || strlen(path) >= to_bytes) {
			return -ENOENT;
		}
		snprintf(to, to_bytes, "%s", path);
		return 0;
	}
	return -ENOENT;
}

/* ---- ids ---- */

static bool is_hex(char letter)
{
	return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'f');
}

/* The id in one folder's name. */
static const char *find_id(const char *name, size_t bytes)
{
	static const char *const prefixes[] = { "", "docker-", "libpod-", "cri-containerd-", "crio-", "nerdctl-" };

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t skip = strlen(prefixes[i]);
		size_t digits = 0;

		if (bytes < skip + ID_DIGITS || strncmp(name, prefixes[i], skip) != 0) {
			continue;
		}
		while (skip + digits < bytes && is_hex(name[skip + digits])) {
			digits++;
		}
		if (digits == ID_DIGITS && (skip + digits == bytes || name[skip + digits] == '.')) {
			return name + skip;
		}
	}
	return NULL;
}

bool cgroup_container_id(const char *path, char ret_id[CGROUP_ID_BYTES], size_t *ret_end)
{
	const char *at = path;

	while (*at != '\0') {
		size_t bytes = strcspn(at, "/");
		const char *id = find_id(at, bytes);

		if (id != NULL) {
			memcpy(ret_id, id, ID_DIGITS);
			ret_id[ID_DIGITS] = '\0';
			*ret_end = (size_t)(at - path) + bytes;
			return true;
		}
		at += bytes;
		at += *at == '/';
	}
	return false;
}

/* ---- members ---- */

struct members {
	int32_t *pids;
	size_t count;
	size_t room;
	unsigned folders;
};

static int add_pid(struct members *members, int32_t pid)
{
	if (members->count >= PIDS_MAX) {
		return 0;
	}
	if (members->count == members->room) {
		size_t room = members->room > 0 ? members->room * 2 : 64;
		int32_t *pids = realloc(members->pids, room * sizeof(*pids));

		if (pids == NULL) {
			return -ENOMEM;
		}
		members->pids = pids;
		members->room = room;
	}
	members->pids[members->count++] = pid;
	return 0;
}

static int read_procs(struct members *members, const char *folder)
{
	char *path = str_printf("%s/cgroup.procs", folder);
	char line[32];
	FILE *file;
	int status = 0;

	if (path == NULL) {
		return -ENOMEM;
	}
	file = fopen(path, "re");
	status = file == NULL ? -errno : 0;
	free(path);
	while (status == 0 && fgets(line, sizeof(line), file) != NULL) {
		long pid = strtol(line, NULL, 10);

		/* 0: a process of another pid namespace that has no id in ours. */
		status = pid > 0 ? add_pid(members, (int32_t)pid) : 0;
	}
	if (file != NULL) {
		fclose(file);
	}
	/* A threaded group (EOPNOTSUPP) lists its processes in its parent. */
	return status == -EOPNOTSUPP ? 0 : status;
}

static int walk(struct members *members, const char *folder, int depth)
{
	int status = read_procs(members, folder);
	struct dirent *entry;
	DIR *dir;

	if (status < 0 || depth >= DEPTH_MAX) {
		return status;
	}
	dir = opendir(folder);
	if (dir == NULL) {
		return 0; /* removed just now */
	}
	while (status == 0 && (entry = readdir(dir)) != NULL && members->folders < FOLDERS_MAX) {
		char *below;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.') {
			continue;
		}
		below = str_printf("%s/%s", folder, entry->d_name);
		members->folders++;
		status = below != NULL ? walk(members, below, depth + 1) : -ENOMEM;
		status = status == -ENOENT || status == -ENODEV ? 0 : status;
		free(below);
	}
	closedir(dir);
	return status;
}

static int compare_pids(const void *a, const void *b)
{
	int32_t left = *(const int32_t *)a;
	int32_t right = *(const int32_t *)b;

	return (left > right) - (left < right);
}

int cgroup_pids(const char *folder, int32_t **ret, size_t *ret_count)
{
	struct members members = { .pids = NULL };
	int status = walk(&members, folder, 0);

	if (status < 0) {
		free(members.pids);
		return status;
	}
	if (members.pids == NULL) {
		members.pids = calloc(1, sizeof(*members.pids));
		if (members.pids == NULL) {
			return -ENOMEM;
		}
	}
	qsort(members.pids, members.count, sizeof(*members.pids), compare_pids);
	*ret = members.pids;
	*ret_count = members.count;
	return 0;
}

/* ---- memory ---- */

static int64_t number_after(const char *path, const char *key)
{
	int64_t number = -1;
	char line[256];
	FILE *file = fopen(path, "re");

	while (file != NULL && number < 0 && fgets(line, sizeof(line), file) != NULL) {
		if (str_starts(line, key)) {
			number = strtoll(line + strlen(key), NULL, 10);
		}
	}
	if (file != NULL) {
		fclose(file);
	}
	return number;
}

int64_t cgroup_oom_kills(const char *path)
{
	static const char *const places[][2] = { { "/sys/fs/cgroup%s/memory.events", "oom_kill " },
						 { "/sys/fs/cgroup/unified%s/memory.events", "oom_kill " },
						 { "/sys/fs/cgroup/memory%s/memory.oom_control",
						   "oom_kill " } };
	int64_t kills = -1;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && kills < 0; i++) {
		const char *hole = strstr(places[i][0], "%s");
		char *file = str_printf("%.*s%s%s", (int)(hole - places[i][0]), places[i][0], path, hole + 2);

		kills = file != NULL ? number_after(file, places[i][1]) : -1;
		free(file);
	}
	return kills;
}
