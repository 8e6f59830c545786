/* SPDX-License-Identifier: MIT */
/*
 * Files that belong to a mapped file or to a process, as the target's own root shows them: separate debug files, and the list
 * of symbols that a just-in-time compiler leaves in /tmp. The path is made here: a stage can name a file only within the
 * places that such files have. Opened as everything of the target: below its root, O_PATH first, regular files only.
 */
#ifndef CORE_TARGET_RELATED_H
#define CORE_TARGET_RELATED_H

#include <stdbool.h>
#include <stdint.h>

#define RELATED_NAME_BYTES 256

struct related {
	uint32_t kind;    /* enum pfc_target_related */
	int32_t pid;      /* of a process that maps the file, or owns the list */
	const char *path; /* of the mapped file */
	const char *name; /* file name or build-id, as the kind wants; checked here */
};

/** Whether this may be asked for at all: a known kind, a name without a folder, a build-id of hex digits. */
bool related_is_valid(const struct related *related);

/**
 * Find it below the process's root, else below root_fd (-1: none); may block in a file system.
 * Returns a descriptor for O_PATH; PFC_ENOENT; PFC_EINVAL (not a regular file, not valid); PFC_EPERM (a list of symbols that
 * somebody else left there).
 */
int related_find(const struct related *related, int root_fd);

#endif
