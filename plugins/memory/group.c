/* SPDX-License-Identifier: MIT */
/* The memory controller's files: see group.h. Names are those of the kernel's cgroup-v1 and cgroup-v2 documents. */
#include "group.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_BYTES 8192
/* "no limit" of version 1 is the highest page count that fits, in bytes. */
#define V1_UNLIMITED (INT64_MAX - 0xfffff)

/* The beginning of a file, terminated; folder_fd may be AT_FDCWD, but -1 is no folder. */
static bool read_at(int folder_fd, const char *name, char *to)
{
	int fd = folder_fd != -1 ? openat(folder_fd, name, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t got = fd >= 0 ? read(fd, to, TEXT_BYTES - 1) : -1;

	if (fd >= 0) {
		close(fd);
	}
	to[got > 0 ? got : 0] = '\0';
	return got > 0;
}

static bool read_path(const char *root, const char *path, char *to)
{
	char full[1024];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return read_at(AT_FDCWD, full, to);
}

static int64_t number_at(int folder_fd, const char *name)
{
	char text[TEXT_BYTES], *end;
	int64_t value;

	if (!read_at(folder_fd, name, text) || strncmp(text, "max", 3) == 0) {
		return -1;
	}
	errno = 0;
	value = strtoll(text, &end, 10);
	return end != text && errno == 0 ? value : -1;
}

/* "name 123" on a line of its own; -1 when it is not there. */
static int64_t value_of(const char *text, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
		if (strncmp(at, name, length) == 0 && at[length] == ' ') {
			return strtoll(at + length, NULL, 10);
		}
	}
	return -1;
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=12": total is in us. */
static int64_t pressure_of(const char *text, const char *which)
{
	const char *line = strstr(text, which);
	const char *total = line ? strstr(line, "total=") : NULL;

	return total ? strtoll(total + strlen("total="), NULL, 10) * 1000 : -1;
}

static void read_pressure(struct group *group, struct group_values *ret)
{
	char text[TEXT_BYTES];

	ret->pressure_some_ns = ret->pressure_full_ns = -1;
	if (read_at(group->pressure_fd, "memory.pressure", text)) {
		ret->pressure_some_ns = pressure_of(text, "some");
		ret->pressure_full_ns = pressure_of(text, "full");
	} else if (group->no_pressure[0] == '\0') {
		snprintf(group->no_pressure, sizeof(group->no_pressure), "memory.pressure: %s",
			 group->pressure_fd < 0 ? "the control group is not on the unified hierarchy"
			 : errno == ENOENT ? "not there (this kernel has PSI switched off; boot with psi=1)"
					   : strerror(errno));
	}
}

static bool read_v2(struct group *group, struct group_values *ret)
{
	char text[TEXT_BYTES];

	ret->current = number_at(group->folder_fd, "memory.current");
	ret->peak = number_at(group->folder_fd, "memory.peak");
	ret->limit = number_at(group->folder_fd, "memory.max");
	ret->swap = number_at(group->folder_fd, "memory.swap.current");
	(void)read_at(group->folder_fd, "memory.stat", text);
	ret->anon = value_of(text, "anon");
	ret->file = value_of(text, "file");
	ret->shmem = value_of(text, "shmem");
	ret->kernel = value_of(text, "kernel");
	(void)read_at(group->folder_fd, "memory.events", text);
	ret->high_events = value_of(text, "high");
	ret->limit_events = value_of(text, "max");
	ret->oom_events = value_of(text, "oom");
	ret->oom_kills = value_of(text, "oom_kill");
	return ret->current >= 0;
}

static bool read_v1(struct group *group, struct group_values *ret)
{
	int64_t with_swap = number_at(group->folder_fd, "memory.memsw.usage_in_bytes");
	char text[TEXT_BYTES];

	ret->current = number_at(group->folder_fd, "memory.usage_in_bytes");
	ret->peak = number_at(group->folder_fd, "memory.max_usage_in_bytes");
	ret->limit = number_at(group->folder_fd, "memory.limit_in_bytes");
	ret->limit = ret->limit >= V1_UNLIMITED ? -1 : ret->limit;
	ret->swap = with_swap >= ret->current && ret->current >= 0 ? with_swap - ret->current : -1;
	ret->kernel = number_at(group->folder_fd, "memory.kmem.usage_in_bytes");
	(void)read_at(group->folder_fd, "memory.stat", text);
	ret->anon = value_of(text, "total_rss");
	ret->file = value_of(text, "total_cache");
	ret->shmem = value_of(text, "total_shmem");
	ret->high_events = -1;
	ret->limit_events = number_at(group->folder_fd, "memory.failcnt");
	(void)read_at(group->folder_fd, "memory.oom_control", text);
	ret->oom_events = -1;
	ret->oom_kills = value_of(text, "oom_kill");
	return ret->current >= 0;
}

bool group_read(struct group *group, struct group_values *ret)
{
	if (group->folder_fd < 0 || !(group->version == 2 ? read_v2(group, ret) : read_v1(group, ret))) {
		return false;
	}
	read_pressure(group, ret);
	return true;
}

/* The path in a line "N:controllers:path" of /proc/PID/cgroup; `controller` "" for the unified hierarchy. */
static bool group_path(const char *text, const char *controller, char *to, size_t to_bytes)
{
	size_t length = strlen(controller);

	for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
		const char *names = strchr(at, ':');
		const char *path = names ? strchr(names + 1, ':') : NULL;
		const char *word = names ? names + 1 : NULL;
		bool is_it = names && path && length == 0 && path == names + 1;

		for (; length && path && word < path; word += strcspn(word, ",:") + 1) {
			is_it |= strncmp(word, controller, length) == 0 &&
				 (word[length] == ',' || word[length] == ':');
		}
		if (is_it) {
			snprintf(to, to_bytes, "%.*s", (int)strcspn(path + 1, "\n"), path + 1);
			return true;
		}
	}
	return false;
}

/* Where a hierarchy is mounted: type cgroup with the option `memory`, or type cgroup2. */
static bool mount_point(const char *mounts, int version, char *to, size_t to_bytes)
{
	for (const char *at = mounts; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
		const char *end = at + strcspn(at, "\n");
		const char *dash = strstr(at, " - ");
		char point[400], type[32], options[400] = "";

		if (!dash || dash > end || sscanf(at, "%*s %*s %*s %*s %399s", point) != 1 ||
		    sscanf(dash + 3, "%31s %*s %399s", type, options) < 1) {
			continue;
		}
		if (version == 2 ? strcmp(type, "cgroup2") == 0
				 : strcmp(type, "cgroup") == 0 && strstr(options, "memory")) {
			snprintf(to, to_bytes, "%s", point);
			return true;
		}
	}
	return false;
}

static int open_folder(const char *root, const char *mounts, const char *groups, int version, char *ret_path,
		       size_t path_bytes)
{
	char point[400], path[512];

	if (!mount_point(mounts, version, point, sizeof(point)) ||
	    !group_path(groups, version == 2 ? "" : "memory", path, sizeof(path))) {
		return -1;
	}
	if ((size_t)snprintf(ret_path, path_bytes, "%s%s%s", root, point, path) >= path_bytes) {
		return -1;
	}
	return open(ret_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

bool group_open(struct group *group, int32_t pid, bool own, const char *root)
{
	char groups[TEXT_BYTES], mounts[4 * TEXT_BYTES], path[64], unified[1024] = "";
	FILE *file;
	size_t got = 0;
	int fd;

	memset(group, 0, sizeof(*group));
	group->folder_fd = group->pressure_fd = -1;
	group->is_shared = !own;
	snprintf(path, sizeof(path), "%.30s/proc/self/mountinfo", root);
	file = fopen(path, "re");
	if (file) {
		got = fread(mounts, 1, sizeof(mounts) - 1, file);
		fclose(file);
	}
	mounts[got] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	if (!read_path(root, path, groups)) {
		snprintf(group->why_not, sizeof(group->why_not), "/proc/%d/cgroup: %s", pid, strerror(errno));
		return false;
	}
	fd = open_folder(root, mounts, groups, 2, unified, sizeof(unified));
	group->pressure_fd = fd;
	if (fd >= 0 && faccessat(fd, "memory.current", R_OK, 0) == 0) {
		group->version = 2;
		group->folder_fd = dup(fd);
		snprintf(group->path, sizeof(group->path), "%s", unified);
	} else {
		group->version = 1;
		group->folder_fd = open_folder(root, mounts, groups, 1, group->path, sizeof(group->path));
	}
	if (group->folder_fd < 0) {
		snprintf(group->why_not, sizeof(group->why_not),
			 "the memory controller is not on for the control group of process %d", pid);
		return false;
	}
	group->inode = inode_of(group->folder_fd);
	return true;
}

bool group_renew(struct group *group, int32_t pid, const char *root)
{
	struct group next;

	if (!group_open(&next, pid, !group->is_shared, root) || next.inode == group->inode) {
		group_close(&next);
		return false;
	}
	next.first = group->first;
	next.last = group->last;
	next.renewals = group->renewals + 1;
	group_close(group);
	*group = next;
	return true;
}

static int32_t add_event(struct tables *tables, uint64_t now_ns, uint8_t kind, int64_t now, int64_t before)
{
	int32_t pid = 0;
	uint64_t value = (uint64_t)(now - before);
	uint32_t detail = 0;
	const void *row[] = { &now_ns, &pid, &kind, &value, &detail };

	if (now <= before || before < 0) {
		return PFC_OK;
	}
	return tables_add(tables, TABLE_EVENTS, row);
}

int32_t group_add(struct group *group, const struct group_values *v, uint64_t now_ns, struct tables *tables)
{
	const void *row[] = { &now_ns,
			      &v->current,
			      &v->peak,
			      &v->limit,
			      &v->swap,
			      &v->anon,
			      &v->file,
			      &v->shmem,
			      &v->kernel,
			      &v->high_events,
			      &v->limit_events,
			      &v->oom_events,
			      &v->oom_kills,
			      &v->pressure_some_ns,
			      &v->pressure_full_ns };
	int32_t rc = tables_add(tables, TABLE_GROUP, row);

	if (rc == PFC_OK && group->has_last) {
		rc = add_event(tables, now_ns, MEMORY_EVENT_OOM_KILL, v->oom_kills, group->last.oom_kills);
		rc = rc ? rc
			: add_event(tables, now_ns, MEMORY_EVENT_LIMIT_HIT, v->limit_events,
				    group->last.limit_events);
		rc = rc ? rc
			: add_event(tables, now_ns, MEMORY_EVENT_HIGH_HIT, v->high_events,
				    group->last.high_events);
	}
	group->first = group->has_last || group->renewals ? group->first : *v;
	group->last = *v;
	group->has_last = true;
	return rc;
}

void group_close(struct group *group)
{
	if (group->folder_fd >= 0) {
		close(group->folder_fd);
	}
	if (group->pressure_fd >= 0) {
		close(group->pressure_fd);
	}
	group->folder_fd = group->pressure_fd = -1;
}
