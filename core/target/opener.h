/* SPDX-License-Identifier: MIT */
/*
 * The target's files. Each mapped file is found below its process's root at first sight and kept by a descriptor that opens
 * nothing (O_PATH), so that it can still be read when the file, its mount or the process is gone. Only files seen as
 * mappings, and what belongs to them (related.h), are ever opened; nothing of them is parsed. Work that touches a file system which may hang is done on threads of
 * its own.
 */
#ifndef CORE_TARGET_OPENER_H
#define CORE_TARGET_OPENER_H

#include <stdint.h>

#include "base/error.h"
#include "target/procfs.h"
#include "target/related.h"

struct opener;

/** root_pid: its root folder is kept from now on, for processes that end before they are looked at. */
int opener_create(int32_t root_pid, struct opener **ret, struct pfc_error *err);

/** A mapping was seen; cheap, never blocks. Thread: [any] */
void opener_see(struct opener *opener, int32_t pid, const struct proc_map *map);

/**
 * Open a file that was seen, or one that belongs to it (related not NULL), and send a struct wire_answer with the descriptor
 * over answer_fd. Never blocks.
 *
 * Thread:  [any]
 * Memory:  [moved] answer_fd; related is copied.
 */
void opener_request(struct opener *opener, int answer_fd, uint32_t id, const struct proc_map *map,
		    const struct related *related);

/** Wait (bounded) for the threads and free; a thread that hangs in a file system is left behind. NULL is fine. */
void opener_destroy(struct opener *opener);

/**
 * Find `path` below the folder root_fd without leaving it, without opening it; it must be a regular file with this inode.
 * Returns a descriptor for O_PATH; PFC_ENOENT (gone or replaced); PFC_EINVAL (not a regular file); PFC_EPERM.
 */
int opener_find(int root_fd, const char *path, uint64_t inode);

#endif
