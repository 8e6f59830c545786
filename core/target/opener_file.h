/* SPDX-License-Identifier: MIT */
/* One file of the target: found below a root that is hostile, without being opened, then opened again and sent. */
#ifndef CORE_TARGET_OPENER_FILE_H
#define CORE_TARGET_OPENER_FILE_H

#include <stdbool.h>
#include <stdint.h>

/** A file that was seen mapped. */
struct file {
	struct file *next;  /* in its bucket */
	struct file *newer; /* by use, of those with a descriptor */
	struct file *older;
	uint32_t hash;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t inode;
	int32_t pid; /* where it was seen last */
	uint64_t start;
	uint64_t length;
	bool busy;  /* a worker is at it */
	int fd;     /* O_PATH; -1 */
	int status; /* of the last attempt */
	char path[];
};

/** Find it by its path below its process's root or root_fd (-1: none), else by its mapping. O_PATH, or PFC_E... */
int opener_file_find(const struct file *file, int root_fd);

/** Open for reading what an O_PATH descriptor holds. */
int opener_file_reopen(int path_fd);

/** Answer a request with a descriptor, which is closed, or with a status. */
void opener_file_send(int answer_fd, uint32_t id, int fd);

#endif
