/* SPDX-License-Identifier: MIT */
/*
 * A cgroup of its own for a launched command, where we may make one: nothing leaves it, however it forks, so all of the tree
 * is found at the end. It limits and measures nothing.
 */
#ifndef CORE_TARGET_CAGE_H
#define CORE_TARGET_CAGE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct cage {
	char path[PATH_MAX]; /* "": there is none */
	int kill_fd;         /* cgroup.kill, since Linux 5.14 */
};

void cage_init(struct cage *cage);

/** Put a process into a new cgroup below ours. False, and no cage, where that may not be. */
bool cage_make(struct cage *cage, pid_t pid);

/** Kill all that is in it. Safe after fork in a program with threads. */
void cage_kill(const struct cage *cage);

/** Remove it, once what was in it has ended: waits for that at most 500 ms. Safe after fork, too. */
void cage_remove(struct cage *cage);

#endif
