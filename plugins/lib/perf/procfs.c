/* SPDX-License-Identifier: MIT */
/* Small questions to /proc and /sys: see procfs.h. */
#include "procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More CPUs than any kernel is built for (CONFIG_NR_CPUS goes to 8192). */
#define CPU_LIMIT 8192

/* Read the start of a file as text. Returns the number of bytes, or -errno. */
static int read_text(const char *path, char *to, size_t to_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t got = 0;

	if (fd < 0) {
		return -errno;
	}
	while (used + 1 < to_bytes && (got = read(fd, to + used, to_bytes - 1 - used)) > 0) {
		used += (size_t)got;
	}
	if (got < 0) {
		got = -errno;
	}
	close(fd);
	to[used] = '\0';
	return got < 0 ? (int)got : (int)used;
}

int64_t perf_procfs_number(const char *path, int64_t missing)
{
	char text[64];
	char *end;
	long long value;

	if (read_text(path, text, sizeof(text)) <= 0) {
		return missing;
	}
	value = strtoll(text, &end, 10);
	return end == text ? missing : value;
}

uint64_t perf_procfs_self_status(const char *field, int base, uint64_t missing)
{
	char text[8192];
	size_t length = strlen(field);

	if (read_text("/proc/self/status", text, sizeof(text)) <= 0) {
		return missing;
	}
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, field, length) == 0 && line[length] == ':') {
			return strtoull(line + length + 1, NULL, base);
		}
	}
	return missing;
}

int perf_id_list_add(struct perf_id_list *list, int32_t id)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		int32_t *items = reallocarray(list->items, room, sizeof(*items));

		if (!items) {
			return -ENOMEM;
		}
		list->items = items;
		list->room = room;
	}
	list->items[list->count++] = id;
	return 0;
}

int perf_procfs_threads(int32_t pid, struct perf_id_list *list)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;
	int rc = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir) {
		return errno == ENOENT ? -ESRCH : -errno;
	}
	while (rc == 0 && (entry = readdir(dir))) {
		long tid = strtol(entry->d_name, NULL, 10);

		if (tid > 0 && tid <= INT32_MAX) {
			rc = perf_id_list_add(list, (int32_t)tid);
		}
	}
	closedir(dir);
	return rc;
}

int perf_procfs_parse_cpus(const char *text, struct perf_id_list *list)
{
	const char *at = text;

	while (*at && *at != '\n') {
		char *end;
		unsigned long first = strtoul(at, &end, 10);
		unsigned long last = first;

		if (end == at || first >= CPU_LIMIT) {
			return -EINVAL;
		}
		if (*end == '-') {
			at = end + 1;
			last = strtoul(at, &end, 10);
		}
		if (end == at || last < first || last >= CPU_LIMIT || (*end && *end != ',' && *end != '\n')) {
			return -EINVAL;
		}
		for (unsigned long cpu = first; cpu <= last; cpu++) {
			if (perf_id_list_add(list, (int32_t)cpu) < 0) {
				return -ENOMEM;
			}
		}
		at = *end == ',' ? end + 1 : end;
	}
	return list->count ? 0 : -EINVAL;
}

int perf_procfs_online_cpus(struct perf_id_list *list)
{
	char text[4096];
	int rc = read_text("/sys/devices/system/cpu/online", text, sizeof(text));

	return rc < 0 ? rc : perf_procfs_parse_cpus(text, list);
}

/* /proc/PID/task/TID/syscall: "number arg0 ... arg5 sp pc", "-1 sp pc" outside of a system call, or "running". */
uint64_t perf_procfs_stack_pointer(int32_t pid, int32_t tid)
{
	char path[64];
	char text[256];
	char *last;
	char *before;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	if (read_text(path, text, sizeof(text)) <= 0) {
		return 0;
	}
	last = strrchr(text, ' ');
	if (!last) {
		return 0;
	}
	*last = '\0';
	before = strrchr(text, ' ');
	return before ? strtoull(before + 1, NULL, 16) : 0;
}

/* /proc/PID/stat: "pid (name) state ppid ..."; the name may hold anything. */
int32_t perf_procfs_parent(int32_t pid)
{
	char path[64];
	char text[512];
	char *after;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_text(path, text, sizeof(text)) <= 0) {
		return 0;
	}
	after = strrchr(text, ')');
	return after && strlen(after) > 4 ? (int32_t)strtol(after + 4, NULL, 10) : 0;
}

int perf_procfs_thread_name(int32_t pid, int32_t tid, char *to, size_t to_bytes)
{
	char path[64];
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", pid, tid);
	rc = read_text(path, to, to_bytes);
	if (rc < 0) {
		return rc;
	}
	to[strcspn(to, "\n")] = '\0';
	return 0;
}

void perf_id_list_intersect(struct perf_id_list *list, const struct perf_id_list *wanted)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		for (size_t j = 0; j < wanted->count; j++) {
			if (list->items[i] == wanted->items[j]) {
				list->items[kept++] = list->items[i];
				break;
			}
		}
	}
	list->count = kept;
}
