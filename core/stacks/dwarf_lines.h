/* SPDX-License-Identifier: MIT */
/* Line programs: run once for the addresses of a unit, nothing of the table is kept. */
#ifndef CORE_STACKS_DWARF_LINES_H
#define CORE_STACKS_DWARF_LINES_H

#include "stacks/dwarf_file.h"

/** One row of the table of files. */
struct dwarf_source {
	const char *folder, *name; /* folder NULL: not said */
	const char *path;          /* both together, made when it is first wanted */
};

struct dwarf_lines {
	struct dwarf_source *files; /* by number, from 0 */
	uint32_t file_count, file_room;
};

/** Called for each row that covers code, in the program's order; false ends. */
typedef bool (*dwarf_row_fn)(void *ctx, uint64_t start, uint64_t end, uint64_t file, uint64_t line);

/**
 * Read the files of a unit's line program and run it; directory: the unit's, or NULL. Free with dwarf_lines_finish in any case.
 * Returns 0, PFC_ECORRUPT, PFC_ENOTSUP, PFC_ENOMEM.
 */
int dwarf_lines_run(struct dwarf_file *file, const struct dwarf_unit *unit, const char *directory,
		    dwarf_row_fn on_row, void *ctx, struct dwarf_lines *ret);
void dwarf_lines_finish(struct dwarf_lines *lines);

/** The path of a file by its number, or NULL. */
const char *dwarf_lines_path(struct dwarf_file *file, struct dwarf_lines *lines, uint64_t number);

#endif
