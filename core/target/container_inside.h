/* SPDX-License-Identifier: MIT */
/* What container.c is made of: container_scan.c is the kernel's side, container_tell.c the errors. */
#ifndef CORE_TARGET_CONTAINER_INSIDE_H
#define CORE_TARGET_CONTAINER_INSIDE_H

#include "target/container.h"

/** Digits of an id that are shown to people. */
#define SHORT_ID 12

/** The folder of container->path in that hierarchy. Returns 0 or -errno. */
int container_set_folder(struct container *container, const struct cgroup_mount *mount);

/** The path and the folder of the container with this id, if the process is in it. Returns 0; -ENOENT: it is not; -errno. */
int container_of_process(const struct cgroup_mount *mount, int32_t pid, const char *id,
			 struct container *container);

/** A container that a folder of the hierarchy is named by. */
struct container_seen {
	char id[CGROUP_ID_BYTES];
	char *path;  /* in the hierarchy; owned */
	int32_t pid; /* its first process */
};

struct container_list {
	struct container_seen *items;
	size_t count;
	size_t room;
};

/**
 * The containers with a process, by the folders of the hierarchy that are named by an id that begins with `prefix`: "" for
 * all. Bounded in depth and number. Returns 0 or -errno; ret may be finished in any case.
 */
int container_scan(const struct cgroup_mount *mount, const char *prefix, struct container_list *ret);
void container_list_finish(struct container_list *list);

/** "find container `web`", into `to`. */
const char *container_wanted(const struct engine_query *query, char *to, size_t to_bytes);

bool container_is_running(const struct engine_container *one);

/** Errors that say what there is. All return PFC_ETARGET but the last, which may return the engine's own. */
int container_tell_several(const struct engine_query *query, const struct engine_answer *answer,
			   struct pfc_error *err);
int container_tell_stopped(const struct engine_query *query, const struct engine_container *one,
			   struct pfc_error *err);
int container_tell_none(const struct engine_query *query, const struct engine_answer *answer,
			struct pfc_error *err);
/** `why`: what the engine's failure was. */
int container_tell_unseen(const struct engine_query *query, const struct container_list *seen,
			  const struct pfc_error *why, struct pfc_error *err);

#endif
