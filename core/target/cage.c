/* SPDX-License-Identifier: MIT */
#include "target/cage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "target/procfs.h"

#define MOUNTS_BYTES   65536
#define REMOVE_TRIES   100
#define REMOVE_WAIT_NS 5000000

void cage_init(struct cage *cage)
{
	cage->path[0] = '\0';
	cage->kill_fd = -1;
}

/* Where the unified hierarchy is mounted whole: field 5 of the mountinfo line whose type is cgroup2 and whose root is "/". */
static bool find_mount(char to[1024])
{
	char text[MOUNTS_BYTES];
	char *rest = text;
	char *line;
	char root[16];

	if (procfs_read(text, sizeof(text), "/proc/self/mountinfo") < 0) {
		return false;
	}
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strstr(line, " - cgroup2 ") != NULL && sscanf(line, "%*d %*d %*s %15s %1023s", root, to) == 2 &&
		    strcmp(root, "/") == 0) {
			return true;
		}
	}
	return false;
}

static bool find_own_group(char *to, size_t to_bytes)
{
	char text[8192];
	char *line;

	if (procfs_read(text, sizeof(text), "/proc/self/cgroup") < 0) {
		return false;
	}
	line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (line == NULL) {
		return false;
	}
	line += line == text ? 3 : 4;
	line[strcspn(line, "\n")] = '\0';
	snprintf(to, to_bytes, "%s", strcmp(line, "/") == 0 ? "" : line);
	return true;
}

static int open_in(const struct cage *cage, const char *name)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", cage->path, name);
	return open(path, O_WRONLY | O_CLOEXEC);
}

static bool put_into(const struct cage *cage, pid_t pid)
{
	char text[16];
	int bytes = snprintf(text, sizeof(text), "%d", (int)pid);
	int fd = open_in(cage, "cgroup.procs");
	bool done;

	if (fd < 0) {
		return false;
	}
	done = write(fd, text, (size_t)bytes) == bytes;
	close(fd);
	return done;
}

bool cage_make(struct cage *cage, pid_t pid)
{
	char mount[1024];
	char group[2048];

	cage_init(cage);
	if (!find_mount(mount) || !find_own_group(group, sizeof(group))) {
		return false;
	}
	snprintf(cage->path, sizeof(cage->path), "%s%s/profcore-target-%d", mount, group, (int)pid);
	if (mkdir(cage->path, 0755) < 0) {
		cage->path[0] = '\0';
		return false;
	}
	cage->kill_fd = open_in(cage, "cgroup.kill");
	if (cage->kill_fd < 0 || !put_into(cage, pid)) {
		cage_remove(cage);
		return false;
	}
	return true;
}

void cage_kill(const struct cage *cage)
{
	ssize_t ignored = cage->kill_fd >= 0 ? write(cage->kill_fd, "1", 1) : 0;

	(void)ignored;
}

void cage_remove(struct cage *cage)
{
	if (cage->kill_fd >= 0) {
		close(cage->kill_fd);
	}
	cage->kill_fd = -1;
	for (int i = 0; cage->path[0] != '\0' && rmdir(cage->path) < 0 && errno == EBUSY && i < REMOVE_TRIES; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = REMOVE_WAIT_NS }, NULL);
	}
	cage->path[0] = '\0';
}
