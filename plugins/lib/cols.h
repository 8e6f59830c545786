/* SPDX-License-Identifier: MIT */
/*
 * Columns of a table, chunk by chunk, whatever integer type they were written with. A chunk that cannot be read ends the
 * table there: what was read before it stays good.
 */
#ifndef PLUGINS_LIB_COLS_H
#define PLUGINS_LIB_COLS_H

#include <stdbool.h>
#include <stdint.h>

#include <profcore/artifact.h>

#define COLS_MAX 12 /* columns read side by side */

/** A walk over the chunks of one table. */
struct cols {
	const struct pfc_reader *reader;
	struct pfc_table_view table;
	uint32_t count;
	int32_t numbers[COLS_MAX]; /* column numbers; -1 for one that is not there */
	uint32_t next_chunk;
	uint64_t rows; /* in the chunk that stands open */
	uint64_t first_row;
	struct pfc_column_view views[COLS_MAX];
	bool cut; /* a chunk could not be read */
};

/**
 * Begin a walk over `count` columns by name.
 *
 * Returns: 0; PFC_ENOENT when there is no such table (a walk over it has no chunks); PFC_EINVAL for too many columns.
 */
int cols_begin(struct cols *cols, const struct pfc_reader *reader, const char *table,
	       const char *const *names, uint32_t count);

/** Open the next chunk. False at the end, or at a chunk that cannot be read (cols->cut). */
bool cols_next(struct cols *cols);

/** Whether a column is there at all. */
static inline bool cols_has(const struct cols *cols, uint32_t column)
{
	return cols->numbers[column] >= 0;
}

/** Row `row` of the open chunk as an integer; `missing` when the column is not there or not of integers. */
int64_t cols_int(const struct cols *cols, uint32_t column, uint64_t row, int64_t missing);

/** Likewise as a row number of another table: UINT32_MAX when it is not one. 0 when the column is not there. */
uint32_t cols_id(const struct cols *cols, uint32_t column, uint64_t row);

/** Row `row` of the open chunk as text; empty when the column is not there or not of text. */
struct pfc_string cols_string(const struct cols *cols, uint32_t column, uint64_t row);

#endif
