/* SPDX-License-Identifier: MIT */
/*
 * A command as a child of ours: forked and held before exec, then released with its final environment. It has a process
 * group of its own and, where we may make one, a cgroup. It dies with us: the child by its parent-death signal, its group and
 * cgroup by a guardian, a tiny process in the group that waits for the end of a socket that only we hold. Without a cgroup,
 * what left the group is stopped by target_close, but outlives a SIGKILL of ours.
 */
#ifndef CORE_TARGET_LAUNCH_H
#define CORE_TARGET_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "target/cage.h"

struct launch {
	char **words;
	char *program; /* what will be executed */
	char **env;    /* NAME=VALUE, NULL-terminated; owned */
	size_t env_count;
	pid_t pid;     /* 0: none */
	int pid_fd;
	int hold_fd;   /* the environment goes here, and then it runs; -1 once released */
	int error_fd;  /* errno of a failed exec comes out here */
	pid_t guardian_pid;
	int guardian_fd;
	int output_fd; /* ours, a copy */
	struct cage cage;
};

/** All descriptors -1. */
void launch_init(struct launch *launch);

/**
 * Fork the held child. The calling thread must live as long as the child shall: the kernel ties the parent-death signal to it.
 * Returns: 0; PFC_EINVAL (not words); PFC_ETARGET (no such program: the nearest names in the hint).
 */
int launch_start(struct launch *launch, const char *command, const char *directory, int output_fd,
		 struct pfc_error *err);

/** PFC_EINVAL: not a name; PFC_ECANCELED: it runs already. */
int launch_set_env(struct launch *launch, const char *name, const char *value, struct pfc_error *err);

/** Let it exec. Returns 0 once the program runs, else the exec's failure. */
int launch_release(struct launch *launch, struct pfc_error *err);

/** True when it ended; *ret_status as waitpid gives it. It stays a zombie, so that its id is not used again. */
bool launch_has_ended(const struct launch *launch, int *ret_status);

/** SIGKILL to the group and all in the cgroup. */
void launch_kill(const struct launch *launch);

/** Signal the whole group. */
void launch_signal(const struct launch *launch, int signal);

/** Kill the group, reap, free. Fine on a half-made or empty one. */
void launch_finish(struct launch *launch);

/** The last lines of its output, at most `lines`, with | between them; "" when it has none or none can be read. */
void launch_output_tail(const struct launch *launch, unsigned lines, char *to, size_t to_bytes);

/** "exit status 3", "killed by signal 9 (Killed)". */
void launch_describe_end(int wait_status, char *to, size_t to_bytes);

#endif
