/* SPDX-License-Identifier: MIT */
/*
 * The target's control group, as its memory controller counts it: version 2, or version 1 where the machine still has it there
 * (Docker on a hybrid machine: processes of a container are in /docker/ID on both, the controller is on one of them).
 * What a kernel does not have (peak before 5.19, pressure where PSI is off) stays -1, and a fact says so.
 */
#ifndef MEMORY_GROUP_H
#define MEMORY_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include <profcore/profcore.h>

#include "tables.h"

/** In the order of the table `group`, after time. -1: not to be had. */
struct group_values {
	int64_t current, peak, limit, swap, anon, file, shmem, kernel;
	int64_t high_events, limit_events, oom_events, oom_kills;
	int64_t pressure_some_ns, pressure_full_ns;
};

struct group {
	int folder_fd;   /* of the memory controller; -1: there is none */
	int pressure_fd; /* folder that has memory.pressure; -1 */
	int version;     /* 1 or 2 */
	bool is_shared;  /* not the target's own: other processes may be in it */
	uint64_t inode;
	char path[1024];
	char why_not[200]; /* when folder_fd < 0 */
	char no_pressure[120];
	struct group_values last, first;
	bool has_last;
	uint32_t renewals; /* restarts: the folder was made anew, or another one was */
};

/**
 * Find the memory controller's folder of a process.
 *
 * `own`: the target is a control group of its own. `root` stands before /proc and /sys; "" but in tests. Returns whether there
 * is one; group->why_not says why not.
 */
bool group_open(struct group *group, int32_t pid, bool own, const char *root);

/** Read it. False when the folder is gone. */
bool group_read(struct group *group, struct group_values *ret);

/** The folder was removed, and `pid` is of the same target in another one: read that from now on. Returns whether it is there. */
bool group_renew(struct group *group, int32_t pid, const char *root);

/** Append a row, and events for what rose since the last one. Returns 0 or the writer's error. */
int32_t group_add(struct group *group, const struct group_values *values, uint64_t now_ns,
		  struct tables *tables);

void group_close(struct group *group);

#endif
