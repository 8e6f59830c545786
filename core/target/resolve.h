/* SPDX-License-Identifier: MIT */
/* From what the user says (a pid, a program's name) to one process. */
#ifndef CORE_TARGET_RESOLVE_H
#define CORE_TARGET_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/**
 * Check that `pid` is a process that can be profiled.
 * Returns: 0 and a pidfd in *ret_pid_fd; PFC_ETARGET (none, ended, a thread, of the kernel); PFC_EINVAL (ourselves).
 */
int resolve_pid(int32_t pid, int *ret_pid_fd, struct pfc_error *err);

/**
 * The process whose comm, executable or argv[0] is called `name`. Where several are and all descend from one of them, it is
 * that one.
 * Returns: 0; PFC_ETARGET: none (the nearest names are in the hint) or several (listed in the hint).
 */
int resolve_name(const char *name, int32_t *ret_pid, int *ret_pid_fd, struct pfc_error *err);

/** Likewise, of these processes alone. */
int resolve_name_among(const char *name, const int32_t *pids, size_t pid_count, int32_t *ret_pid, int *ret_pid_fd,
		       struct pfc_error *err);

#endif
