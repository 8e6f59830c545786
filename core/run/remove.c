/* SPDX-License-Identifier: MIT */
#include "run/remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* A run folder is three deep; a deeper one is none of ours. */
#define DEPTH_MAX 8

static int remove_all(int fd, int depth);

static int remove_entry(int parent_fd, const char *name, int depth)
{
	int fd;
	int rc;

	if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT) {
		return 0;
	}
	if (errno != EISDIR && errno != EPERM) {
		return -errno;
	}
	if (depth >= DEPTH_MAX) {
		return -ELOOP;
	}
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	rc = remove_all(fd, depth + 1);
	return unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 ? 0 : rc != 0 ? rc : -errno;
}

/* Everything in a folder; takes the descriptor over. */
static int remove_all(int fd, int depth)
{
	DIR *folder = fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (folder == NULL) {
		rc = -errno;
		close(fd);
		return rc;
	}
	while ((entry = readdir(folder)) != NULL) {
		int one = 0;

		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			one = remove_entry(dirfd(folder), entry->d_name, depth);
		}
		rc = rc == 0 ? one : rc;
	}
	closedir(folder);
	return rc;
}

int run_remove_at(int parent_fd, const char *name)
{
	return remove_entry(parent_fd, name, 0);
}

int run_remove(const char *folder)
{
	return remove_entry(AT_FDCWD, folder, 0);
}

void run_remove_links(int output_fd, const char *id)
{
	int fd = openat(output_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	size_t bytes = strlen(id);
	struct dirent *entry;
	char to[PATH_MAX];

	if (folder == NULL) {
		if (fd >= 0) {
			close(fd);
		}
		return;
	}
	while ((entry = readdir(folder)) != NULL) {
		ssize_t length = readlinkat(output_fd, entry->d_name, to, sizeof(to) - 1);

		to[length > 0 ? length : 0] = '\0';
		if (strncmp(to, id, bytes) == 0 && (to[bytes] == '/' || to[bytes] == '\0')) {
			(void)unlinkat(output_fd, entry->d_name, 0);
		}
	}
	closedir(folder);
}
