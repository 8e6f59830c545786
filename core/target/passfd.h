/* SPDX-License-Identifier: MIT */
/* One packet over a socket, with a descriptor beside it. */
#ifndef CORE_TARGET_PASSFD_H
#define CORE_TARGET_PASSFD_H

#include <stddef.h>
#include <sys/types.h>

/** Send without blocking; fd -1 for none. Returns 0 or -1 with errno. */
int passfd_send(int socket, const void *data, size_t bytes, int fd);

/** Receive without blocking; *ret_fd is -1 when none came. Returns bytes, 0 at the end, or -1 with errno. */
ssize_t passfd_receive(int socket, void *data, size_t bytes, int *ret_fd);

#endif
