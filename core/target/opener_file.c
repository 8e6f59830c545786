/* SPDX-License-Identifier: MIT */
#include "target/opener_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "target/opener.h"
#include "target/passfd.h"
#include "target/wire.h"

static int status_of_errno(int errnum)
{
	switch (errnum) {
	case EPERM:
	case EACCES:
		return PFC_EPERM;
	case EAGAIN: /* somebody holds a lease on it */
	case ETIMEDOUT:
		return PFC_ETIMEDOUT;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return PFC_EIO;
	default:
		return PFC_ENOENT;
	}
}

/* [moved] fd. */
static int check_file(int fd, uint64_t inode)
{
	struct stat stat;
	int status = fd;

	if (fd < 0) {
		return status_of_errno(errno);
	}
	if (fstat(fd, &stat) < 0) {
		status = status_of_errno(errno);
	} else if (!S_ISREG(stat.st_mode)) {
		status = PFC_EINVAL;
	} else if (stat.st_ino != inode) {
		/* The device is not compared: overlay and btrfs tell stat another one than they tell the mapping. */
		status = PFC_ENOENT;
	}
	if (status < 0) {
		close(fd);
	}
	return status;
}

int opener_find(int root_fd, const char *path, uint64_t inode)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	return check_file((int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how)), inode);
}

static int find_below_process(int32_t pid, const char *path, uint64_t inode)
{
	char root[64];
	int root_fd;
	int fd;

	snprintf(root, sizeof(root), "/proc/%d/root", (int)pid);
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0) {
		return status_of_errno(errno);
	}
	fd = opener_find(root_fd, path, inode);
	close(root_fd);
	return fd;
}

/* The mapping itself leads to the file, also when it has no name any more; takes CAP_CHECKPOINT_RESTORE. */
static int find_by_mapping(int32_t pid, uint64_t start, uint64_t length, uint64_t inode)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", (int)pid, (unsigned long long)start,
		 (unsigned long long)(start + length));
	fd = check_file(open(path, O_PATH | O_CLOEXEC), inode);
	if (fd >= 0) {
		return fd;
	}
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	return check_file(open(path, O_PATH | O_CLOEXEC), inode);
}

int opener_file_find(const struct file *file, int root_fd)
{
	int by_path = PFC_ENOENT;
	int fd;

	if (file->path[0] == '/' && !str_ends(file->path, " (deleted)")) {
		by_path = find_below_process(file->pid, file->path, file->inode);
		if (by_path < 0 && by_path != PFC_EINVAL && root_fd >= 0) {
			fd = opener_find(root_fd, file->path, file->inode);
			by_path = fd >= 0 ? fd : by_path;
		}
	}
	if (by_path >= 0 || by_path == PFC_EINVAL) {
		return by_path;
	}
	fd = find_by_mapping(file->pid, file->start, file->length, file->inode);
	return fd >= 0 ? fd : by_path;
}

int opener_file_reopen(int path_fd)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? status_of_errno(errno) : fd;
}

void opener_file_send(int answer_fd, uint32_t id, int fd)
{
	struct wire_answer answer = { .id = id, .status = fd < 0 ? fd : 0 };

	passfd_send(answer_fd, &answer, sizeof(answer), fd);
	if (fd >= 0) {
		close(fd);
	}
}
