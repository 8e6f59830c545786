/* SPDX-License-Identifier: MIT */
/*
 * Control groups as the kernel shows them: which one a process is in, where its folder is, who else is there. v1, v2 and
 * hybrid machines: the unified hierarchy is preferred wherever it is mounted, as perf and BPF tell groups apart by it.
 */
#ifndef CORE_TARGET_CGROUP_H
#define CORE_TARGET_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/** Hex digits of a container's full id, and the NUL. */
#define CGROUP_ID_BYTES 65

/** Where a hierarchy is mounted. */
struct cgroup_mount {
	char folder[PATH_MAX]; /* "" when there is none */
	bool is_unified;
	char controller[64]; /* v1: the option by which /proc/PID/cgroup names it */
};

/** The cgroup2 mount; where there is none, a v1 hierarchy. Returns 0 or -errno. */
int cgroup_find_mount(struct cgroup_mount *ret);

/** The process's path in that hierarchy, "/docker/4f..". Returns 0 or -errno; -ENOENT: not in it, or not visible from here. */
int cgroup_of(const struct cgroup_mount *mount, int32_t pid, char *to, size_t to_bytes);

/**
 * The container's id in a cgroup path: 64 hex digits that are a whole folder name but for what engines put around them
 * ("docker-<id>.scope", "libpod-<id>"). ret_end is the length of the path up to the end of that folder's name.
 * Returns whether there is one; the first of nested ones.
 */
bool cgroup_container_id(const char *path, char ret_id[CGROUP_ID_BYTES], size_t *ret_end);

/** All processes in the folder and below, ascending; the caller frees. Bounded in depth and number. Returns 0 or -errno. */
int cgroup_pids(const char *folder, int32_t **ret, size_t *ret_count);

/** How often the kernel killed in it for lack of memory; -1 when it does not say. `path` as cgroup_of gives it. */
int64_t cgroup_oom_kills(const char *path);

#endif
