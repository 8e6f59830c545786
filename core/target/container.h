/* SPDX-License-Identifier: MIT */
/*
 * From what the user says (a container's name or id, a Compose service, an image, a control group) to one control group and
 * its processes. The engine proposes; the kernel decides: the process that the engine names must be in a control group that
 * carries the container's id. Without an engine, ids are looked for in the control groups of all processes.
 */
#ifndef CORE_TARGET_CONTAINER_H
#define CORE_TARGET_CONTAINER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "target/cgroup.h"
#include "target/engine.h"

struct container {
	char id[CGROUP_ID_BYTES]; /* "" for a mere control group */
	char name[ENGINE_TEXT_BYTES];
	char image[ENGINE_TEXT_BYTES];
	char engine[ENGINE_TEXT_BYTES]; /* the socket that was asked; "" when found without */
	char path[PATH_MAX];            /* in its hierarchy: "/docker/4f.." */
	char folder[2 * PATH_MAX];      /* mount and path */
	bool is_unified;                /* the folder is one that perf and BPF know */
	int32_t pid;                    /* its first process */
	char note[256];                 /* what the log should say of the search; "" */
};

/**
 * Find the one container that the query means, running.
 * Returns: 0; PFC_ETARGET: none (nearest names in the hint), several (listed), not running; PFC_EPERM; PFC_ENOTSUP;
 *          PFC_EINVAL.
 */
int container_find(const struct engine_query *query, struct container *ret, struct pfc_error *err);

/** The control group at a path: below the hierarchy ("/system.slice/x.service") or the folder itself ("/sys/fs/cgroup/x"). */
int container_of_cgroup(const char *path, struct container *ret, struct pfc_error *err);

/** Its processes now, the first one first; the caller frees. *ret_count 0: none. Returns 0 or -errno. */
int container_pids(const struct container *container, int32_t **ret, size_t *ret_count);

/** Whether a process is in it, as the kernel says now. */
bool container_holds(const struct container *container, int32_t pid);

#endif
