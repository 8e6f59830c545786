/* SPDX-License-Identifier: MIT */
/*
 * Debug files from servers, by build-id: only where DEBUGINFOD_URLS names some, and never longer than a deadline for all files
 * together. The library is loaded when the first file is asked for, as it brings a whole HTTP client along.
 */
#ifndef CORE_STACKS_DEBUGINFOD_H
#define CORE_STACKS_DEBUGINFOD_H

#include <stdbool.h>
#include <stdint.h>

struct debuginfod; /* debuginfod.c */

/**
 * NULL: no servers are named, profcore was built without it, or the library is not there; *ret_lacking says which of the latter,
 * or is NULL. deadline_ns: CLOCK_MONOTONIC.
 */
struct debuginfod *debuginfod_open(uint64_t deadline_ns, const char **ret_lacking);
void debuginfod_close(struct debuginfod *debuginfod);

/** The debug file of a build-id (hex). A descriptor, or PFC_ENOENT; PFC_ETIMEDOUT: the time is over, here and for all others. */
int debuginfod_find(struct debuginfod *debuginfod, const char *build_id);

#endif
