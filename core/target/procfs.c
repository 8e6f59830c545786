/* SPDX-License-Identifier: MIT */
#include "target/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NUMBERS_MAX   (4u << 20)
#define MAP_LINES_MAX (1u << 20)
#define MAP_LINE_BYTES                                                                                       \
	(3 * PATH_MAX) /* addresses and a path in which newlines take four bytes; longer ones are skipped */
#define KERNEL_THREAD 0x00200000ul /* PF_KTHREAD of the kernel's sched.h */

static __attribute__((format(printf, 2, 0))) int open_format(int flags, const char *format, va_list args)
{
	char path[128];
	int bytes = vsnprintf(path, sizeof(path), format, args);

	if (bytes < 0 || (size_t)bytes >= sizeof(path)) {
		return -ENAMETOOLONG;
	}
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

ssize_t procfs_read(char *to, size_t to_bytes, const char *format, ...)
{
	size_t bytes = 0;
	ssize_t got = 0;
	va_list args;
	int fd;

	va_start(args, format);
	fd = open_format(O_RDONLY, format, args);
	va_end(args);
	if (fd < 0) {
		return fd;
	}
	while (bytes + 1 < to_bytes && (got = read(fd, to + bytes, to_bytes - 1 - bytes)) > 0) {
		bytes += (size_t)got;
	}
	if (got < 0) {
		got = -errno;
	}
	close(fd);
	to[bytes] = '\0';
	return got < 0 ? got : (ssize_t)bytes;
}

ssize_t procfs_link(char *to, size_t to_bytes, const char *format, ...)
{
	char path[128];
	va_list args;
	ssize_t bytes;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	bytes = readlink(path, to, to_bytes);
	if (bytes < 0) {
		return -errno;
	}
	if ((size_t)bytes >= to_bytes) {
		return -ENAMETOOLONG;
	}
	to[bytes] = '\0';
	return bytes;
}

int procfs_stat(int32_t pid, struct proc_stat *ret)
{
	struct proc_stat stat = { .pid = pid };
	char text[1024];
	unsigned long flags;
	ssize_t bytes = procfs_read(text, sizeof(text), "/proc/%d/stat", (int)pid);
	char *open_paren;
	char *close_paren;

	if (bytes < 0) {
		return bytes == -ENOENT ? -ESRCH : (int)bytes;
	}
	/* The name may hold anything, also ") R 1": its end is the last parenthesis. */
	open_paren = strchr(text, '(');
	close_paren = strrchr(text, ')');
	if (open_paren == NULL || close_paren == NULL || close_paren < open_paren) {
		return -EPROTO;
	}
	*close_paren = '\0';
	snprintf(stat.comm, sizeof(stat.comm), "%s", open_paren + 1);
	/* Fields 3 to 26 of proc(5). */
	if (sscanf(close_paren + 1,
		   " %c %" SCNd32 " %" SCNd32
		   " %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64
		   " %*u %*d %*u %" SCNu64,
		   &stat.state, &stat.ppid, &stat.pgrp, &flags, &stat.start_ticks, &stat.start_code) != 6) {
		return -EPROTO;
	}
	stat.kernel_thread = (flags & KERNEL_THREAD) != 0;
	*ret = stat;
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	int32_t left = *(const int32_t *)a;
	int32_t right = *(const int32_t *)b;

	return (left > right) - (left < right);
}

/* A name of digits as a number; 0 when it is none. */
static int32_t number_of(const char *name)
{
	char *end;
	long number;

	if (name[0] < '1' || name[0] > '9') {
		return 0;
	}
	number = strtol(name, &end, 10);
	return *end == '\0' && number > 0 && number <= INT32_MAX ? (int32_t)number : 0;
}

int procfs_numbers(const char *folder, int32_t **ret, size_t *ret_count)
{
	DIR *dir = opendir(folder);
	int32_t *numbers = NULL;
	size_t count = 0;
	size_t room = 0;
	struct dirent *entry;

	if (dir == NULL) {
		return -errno;
	}
	while ((entry = readdir(dir)) != NULL && count < NUMBERS_MAX) {
		int32_t number = number_of(entry->d_name);

		if (number == 0) {
			continue;
		}
		if (count == room) {
			int32_t *more =
				realloc(numbers, (room = room > 0 ? room * 2 : 64) * sizeof(*numbers));

			if (more == NULL) {
				free(numbers);
				closedir(dir);
				return -ENOMEM;
			}
			numbers = more;
		}
		numbers[count++] = number;
	}
	closedir(dir);
	if (count > 1) {
		qsort(numbers, count, sizeof(*numbers), compare_numbers);
	}
	*ret = numbers;
	*ret_count = count;
	return 0;
}

/* The kernel writes a newline in a path as \012. In place. */
static void unescape_newlines(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; to++) {
		if (strncmp(from, "\\012", 4) == 0) {
			*to = '\n';
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* One line of maps; false when it is not an executable mapping. Cuts the line. */
static bool parse_map(char *line, struct proc_map *ret)
{
	char rights[5];
	uint64_t end;
	int at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %" SCNx32 ":%" SCNx32 " %" SCNu64 "%n",
		   &ret->start, &end, rights, &ret->offset, &ret->dev_major, &ret->dev_minor, &ret->inode,
		   &at) != 7 ||
	    at == 0 || rights[2] != 'x' || end <= ret->start) {
		return false;
	}
	ret->length = end - ret->start;
	while (line[at] == ' ') {
		at++;
	}
	line[at + (int)strcspn(line + at, "\n")] = '\0';
	unescape_newlines(line + at);
	ret->path = line[at] != '\0' ? line + at : "//anon";
	return true;
}

/* A target in a chroot: maps show its paths from our root, perf and the target itself from its own. */
static void cut_root(struct proc_map *map, const char *root, size_t root_bytes)
{
	if (root_bytes > 1 && strncmp(map->path, root, root_bytes) == 0 && map->path[root_bytes] == '/') {
		map->path += root_bytes;
	}
}

int procfs_maps(int32_t pid, void (*each)(void *ctx, const struct proc_map *map), void *ctx)
{
	char path[64];
	char root[PATH_MAX];
	char line[MAP_LINE_BYTES];
	ssize_t root_bytes = procfs_link(root, sizeof(root), "/proc/%d/root", (int)pid);
	bool line_begins = true;
	struct proc_map map;
	FILE *file;
	int status = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	file = fopen(path, "re");
	if (file == NULL) {
		return errno == ENOENT ? -ESRCH : -errno;
	}
	for (unsigned i = 0; i < MAP_LINES_MAX && fgets(line, sizeof(line), file) != NULL; i++) {
		bool whole = strchr(line, '\n') != NULL;

		if (line_begins && whole && parse_map(line, &map)) {
			cut_root(&map, root, root_bytes > 0 ? (size_t)root_bytes : 0);
			each(ctx, &map);
		}
		line_begins = whole;
	}
	if (ferror(file)) {
		status = -EIO;
	}
	fclose(file);
	return status;
}

void procfs_cmdline(int32_t pid, char *to, size_t to_bytes)
{
	ssize_t bytes = procfs_read(to, to_bytes, "/proc/%d/cmdline", (int)pid);

	if (bytes <= 0) {
		to[0] = '\0';
		return;
	}
	while (bytes > 0 && to[bytes - 1] == '\0') {
		bytes--;
	}
	for (ssize_t i = 0; i < bytes; i++) {
		if ((unsigned char)to[i] < ' ' || to[i] == 0x7f) {
			to[i] = ' ';
		}
	}
}

void procfs_setcap_command(char *to, size_t to_bytes)
{
	char path[PATH_MAX];

	snprintf(to, to_bytes, "sudo setcap cap_perfmon,cap_bpf,cap_sys_ptrace,cap_syslog,cap_ipc_lock+ep %s",
		 procfs_link(path, sizeof(path), "/proc/self/exe") > 0 ? path : "$(command -v profcore)");
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t procfs_start_ns(uint64_t start_ticks)
{
	/* start_ticks counts on the boot clock, which goes on in suspend; shift to the run clock. */
	int64_t shift_ns = clock_ns(CLOCK_BOOTTIME) - clock_ns(CLOCK_MONOTONIC);
	int64_t tick_ns = 1000000000 / sysconf(_SC_CLK_TCK);

	return (int64_t)start_ticks * tick_ns - shift_ns;
}

uint64_t procfs_now_ns(void)
{
	return (uint64_t)clock_ns(CLOCK_MONOTONIC);
}
