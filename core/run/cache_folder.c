/* SPDX-License-Identifier: MIT */
#include "run/cache_folder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder below one that is open, made when it is not there; -1. Closes the one above. */
static int step_into(int above, const char *name)
{
	int fd = -1;

	if (above >= 0) {
		(void)mkdirat(above, name, 0700);
		fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(above);
	}
	return fd;
}

static int open_absolute(const char *path)
{
	return path != NULL && path[0] == '/' ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

int cache_folder_open(const char **ret_why)
{
	const char *home = secure_getenv("XDG_CACHE_HOME");
	struct stat stat;
	int fd;

	*ret_why = NULL;
	if (home != NULL && home[0] == '/') {
		(void)mkdir(home, 0700);
		fd = open_absolute(home);
	} else {
		fd = step_into(open_absolute(secure_getenv("HOME")), ".cache");
	}
	fd = step_into(fd, "profcore");
	if (fd < 0) {
		return -1;
	}
	if (fstat(fd, &stat) != 0 || stat.st_uid != geteuid()) {
		*ret_why = "the folder of cached names belongs to another user";
	} else if ((stat.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		*ret_why = "others may write to the folder of cached names";
	}
	if (*ret_why != NULL) {
		close(fd);
		return -1;
	}
	return fd;
}
