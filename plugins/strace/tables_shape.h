/* SPDX-License-Identifier: MIT */
/* The columns of profcore.syscalls/1, in the order in which tables.c gives them. */
#ifndef STRACE_TABLES_SHAPE_H
#define STRACE_TABLES_SHAPE_H

#include <profcore/artifact.h>

enum table {
	TABLE_CALLS,
	TABLE_LATENCIES,
	TABLE_ERRORS,
	TABLE_WAITS,
	TABLE_THREADS,
	TABLE_FILES,
	TABLE_SLOW,
	TABLE_LONG_WAITS,
	TABLE_RINGS,
	TABLES,
};

extern const struct pfc_table tables_shape[TABLES];

#endif
