/* SPDX-License-Identifier: MIT */
/* Names of descriptors, kept in a direct-mapped table. The sockets' part is in fds_sockets.c. */
#include "fds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct entry {
	int32_t pid; /* 0: empty */
	int32_t fd;
	bool is_synced;
	char name[FDS_NAME_BYTES]; /* "": asked for, none to be had */
};

struct fds {
	struct entry *entries;
	size_t count; /* a power of two */
	uint64_t failed;
};

struct fds *fds_create(size_t most)
{
	struct fds *fds = calloc(1, sizeof(*fds));
	size_t count = 16;

	while (count * 2 <= most) {
		count *= 2;
	}
	if (fds) {
		fds->count = count;
		fds->entries = calloc(count, sizeof(*fds->entries));
	}
	if (fds && !fds->entries) {
		free(fds);
		fds = NULL;
	}
	return fds;
}

void fds_destroy(struct fds *fds)
{
	if (fds) {
		free(fds->entries);
	}
	free(fds);
}

static struct entry *slot(const struct fds *fds, int32_t pid, int32_t fd)
{
	uint64_t key = (uint64_t)(uint32_t)pid << 32 | (uint32_t)fd;

	key *= 0x9e3779b97f4a7c15ull; /* Fibonacci hashing: the upper bits are the good ones */
	return &fds->entries[(key >> 32) & (fds->count - 1)];
}

/*
 * A process of another user: its folder is not ours to read without CAP_DAC_READ_SEARCH, which a stage has not. With
 * CAP_SYS_PTRACE a copy of the descriptor can be had; it lives for the time of one readlink.
 */
static ssize_t read_through_copy(int32_t pid, int32_t fd, char *to, size_t bytes, bool *ret_synced)
{
	char path[64];
	ssize_t got = -1;
	int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	int copy = pid_fd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pid_fd, fd, 0);

	if (copy >= 0) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
		got = readlink(path, to, bytes);
		*ret_synced = (fcntl(copy, F_GETFL) & O_DSYNC) != 0;
		close(copy);
	}
	if (pid_fd >= 0) {
		close(pid_fd);
	}
	return got;
}

/* Source: proc(5), fdinfo: "flags:" in octal. */
static bool read_synced(int32_t pid, int32_t fd)
{
	char path[64], line[128];
	unsigned flags = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file) && sscanf(line, "flags: %o", &flags) != 1) {
	}
	if (file) {
		fclose(file);
	}
	return (flags & O_DSYNC) != 0;
}

static int read_link(int32_t pid, int32_t fd, char to[FDS_NAME_BYTES], bool *ret_synced)
{
	char path[64];
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	got = readlink(path, to, FDS_NAME_BYTES - 1);
	if (got < 0 && (errno == EACCES || errno == EPERM)) {
		got = read_through_copy(pid, fd, to, FDS_NAME_BYTES - 1, ret_synced);
	}
	if (got < 0) {
		return -ENOENT;
	}
	to[got] = '\0';
	*ret_synced = *ret_synced || (to[0] == '/' && read_synced(pid, fd));
	return 0;
}

static int look_up(int32_t pid, int32_t fd, char to[FDS_NAME_BYTES], bool *ret_synced)
{
	unsigned long long inode;
	char folder[64];
	char end;

	*ret_synced = false;
	if (read_link(pid, fd, to, ret_synced) < 0) {
		return -ENOENT;
	}
	if (sscanf(to, "socket:[%llu%c", &inode, &end) == 2 && end == ']') {
		snprintf(folder, sizeof(folder), "/proc/%d/net", pid);
		(void)fds_socket_name(folder, inode, to); /* else it stays socket:[...] */
	}
	return 0;
}

const char *fds_name(struct fds *fds, int32_t pid, int32_t fd)
{
	struct entry *entry;

	if (!fds || pid <= 0 || fd < 0) {
		return NULL;
	}
	entry = slot(fds, pid, fd);
	if (entry->pid != pid || entry->fd != fd) {
		entry->pid = pid;
		entry->fd = fd;
		if (look_up(pid, fd, entry->name, &entry->is_synced) < 0) {
			entry->name[0] = '\0';
			fds->failed++;
		}
	}
	return entry->name[0] ? entry->name : NULL;
}

const char *fds_known(const struct fds *fds, int32_t pid, int32_t fd)
{
	const struct entry *entry = fds && pid > 0 && fd >= 0 ? slot(fds, pid, fd) : NULL;

	return entry && entry->pid == pid && entry->fd == fd && entry->name[0] ? entry->name : NULL;
}

bool fds_is_synced(const struct fds *fds, int32_t pid, int32_t fd)
{
	const struct entry *entry = fds && pid > 0 && fd >= 0 ? slot(fds, pid, fd) : NULL;

	return entry && entry->pid == pid && entry->fd == fd && entry->is_synced;
}

void fds_forget(struct fds *fds, int32_t pid, int32_t fd)
{
	struct entry *entry;

	if (!fds) {
		return;
	}
	if (fd >= 0) {
		entry = slot(fds, pid, fd);
		if (entry->pid == pid && entry->fd == fd) {
			entry->pid = 0;
		}
		return;
	}
	for (size_t i = 0; i < fds->count; i++) {
		if (fds->entries[i].pid == pid) {
			fds->entries[i].pid = 0;
		}
	}
}

uint64_t fds_failed(const struct fds *fds)
{
	return fds ? fds->failed : 0;
}
