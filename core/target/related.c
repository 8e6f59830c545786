/* SPDX-License-Identifier: MIT */
#include "target/related.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <profcore/ext/draft/target.h>
#include <profcore/status.h>

#include "base/str.h"
#include "target/procfs.h"

#define BUILD_ID_DIGITS_MIN 8

static bool is_file_name(const char *name)
{
	return name != NULL && name[0] != '\0' && strlen(name) < RELATED_NAME_BYTES &&
	       strchr(name, '/') == NULL && !str_equal(name, ".") && !str_equal(name, "..");
}

static bool is_build_id(const char *name)
{
	size_t digits = name != NULL ? strspn(name, "0123456789abcdef") : 0;

	return digits >= BUILD_ID_DIGITS_MIN && digits < RELATED_NAME_BYTES && name[digits] == '\0';
}

bool related_is_valid(const struct related *related)
{
	switch (related->kind) {
	case PFC_TARGET_DEBUG_BUILD_ID:
		return is_build_id(related->name);
	case PFC_TARGET_DEBUG_BESIDE:
	case PFC_TARGET_DEBUG_BELOW:
	case PFC_TARGET_DEBUG_GLOBAL:
		return is_file_name(related->name) && related->path != NULL && related->path[0] == '/';
	case PFC_TARGET_PERF_MAP:
		return related->pid > 0;
	default:
		return false;
	}
}

/* The pid that the process itself sees: the last number of NSpid. 0: gone. */
static int own_pid(int32_t pid)
{
	char status[4096];
	const char *line;
	const char *end;

	if (procfs_read(status, sizeof(status), "/proc/%d/status", (int)pid) <= 0) {
		return 0;
	}
	line = strstr(status, "\nNSpid:");
	if (line == NULL) {
		return pid;
	}
	line += strlen("\nNSpid:");
	end = strchr(line, '\n');
	while (end != NULL && end > line && end[-1] != '\t' && end[-1] != ' ') {
		end--;
	}
	return end != NULL ? atoi(end) : 0;
}

static int make_path(const struct related *related, char *to, size_t to_bytes)
{
	const char *slash = related->path != NULL ? strrchr(related->path, '/') : NULL;
	int folder_bytes = slash != NULL ? (int)(slash - related->path) : 0;
	int bytes;
	int pid;

	switch (related->kind) {
	case PFC_TARGET_DEBUG_BUILD_ID:
		bytes = snprintf(to, to_bytes, "/usr/lib/debug/.build-id/%.2s/%s.debug", related->name,
				 related->name + 2);
		break;
	case PFC_TARGET_DEBUG_BESIDE:
		bytes = snprintf(to, to_bytes, "%.*s/%s", folder_bytes, related->path, related->name);
		break;
	case PFC_TARGET_DEBUG_BELOW:
		bytes = snprintf(to, to_bytes, "%.*s/.debug/%s", folder_bytes, related->path, related->name);
		break;
	case PFC_TARGET_DEBUG_GLOBAL:
		bytes = snprintf(to, to_bytes, "/usr/lib/debug%.*s/%s", folder_bytes, related->path,
				 related->name);
		break;
	default:
		pid = own_pid(related->pid);
		if (pid <= 0) {
			return PFC_ENOENT;
		}
		bytes = snprintf(to, to_bytes, "/tmp/perf-%d.map", pid);
		break;
	}
	return bytes > 0 && (size_t)bytes < to_bytes ? 0 : PFC_EINVAL;
}

/* Whoever may write into /tmp can leave a list there: it must be the process's own, or root's. */
static bool is_owner(const struct stat *file, int32_t pid)
{
	char folder[32];
	struct stat process;

	snprintf(folder, sizeof(folder), "/proc/%d", (int)pid);
	return file->st_uid == 0 || (stat(folder, &process) == 0 && process.st_uid == file->st_uid);
}

static int find_below(const struct related *related, int root_fd, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	struct stat stat;
	int status = 0;

	if (fd < 0) {
		return errno == EACCES || errno == EPERM ? PFC_EPERM : PFC_ENOENT;
	}
	if (fstat(fd, &stat) < 0 || !S_ISREG(stat.st_mode)) {
		status = PFC_EINVAL;
	} else if (related->kind == PFC_TARGET_PERF_MAP && !is_owner(&stat, related->pid)) {
		status = PFC_EPERM;
	}
	if (status < 0) {
		close(fd);
		return status;
	}
	return fd;
}

int related_find(const struct related *related, int root_fd)
{
	char path[PATH_MAX], root[64];
	int status = related_is_valid(related) ? make_path(related, path, sizeof(path)) : PFC_EINVAL;
	int process_root;

	if (status < 0) {
		return status;
	}
	snprintf(root, sizeof(root), "/proc/%d/root", (int)related->pid);
	process_root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process_root >= 0) {
		status = find_below(related, process_root, path);
		close(process_root);
		return status;
	}
	/* The process has gone; the target's first one most likely had the same root. */
	return root_fd >= 0 ? find_below(related, root_fd, path) : PFC_ENOENT;
}
