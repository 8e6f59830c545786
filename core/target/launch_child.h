/* SPDX-License-Identifier: MIT */
/* The two processes of a launch, on their own side of fork: the held child, and the guardian of its group. */
#ifndef CORE_TARGET_LAUNCH_CHILD_H
#define CORE_TARGET_LAUNCH_CHILD_H

#include <sys/types.h>

#include "target/cage.h"

struct launch_child {
	const char *program;
	char *const *words;
	const char *directory;
	pid_t parent;
	int hold_fd;
	int error_fd;
	int null_fd;
	int output_fd;
};

/** Wait for the environment, then execute the program. */
void launch_child_main(const struct launch_child *child) __attribute__((noreturn));

/** Kill the group and the cage once the other end of fd is closed. */
void launch_guardian_main(int fd, pid_t group, struct cage *cage) __attribute__((noreturn));

#endif
