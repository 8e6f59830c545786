/* SPDX-License-Identifier: MIT */
/*
 * Any cell of an artifact by table, row and column, as text; and what an id stands for. For tools that show
 * artifacts to people: a stage reads columns as they are, which is much faster.
 */
#ifndef CORE_ARTIFACT_CELLS_H
#define CORE_ARTIFACT_CELLS_H

#include "artifact/artifact.h"
#include "base/str.h"

struct cells;

/** Borrows the reader until destroy. */
int cells_create(struct artifact_reader *reader, struct cells **ret);

/**
 * Append a cell: digits for numbers, clean UTF-8 for text ("nan" and "inf" for such numbers).
 * Returns: 0; PFC_ENOENT past the last row; PFC_ECORRUPT, PFC_ENOMEM.
 */
int cells_add(struct cells *cells, uint32_t table, uint32_t column, uint64_t row, struct str *to);

/** The table that an id column refers to, or -1 for a column that holds no id. */
int cells_target(const struct cells *cells, uint32_t table, uint32_t column);

/**
 * Append what row `row` of a table is about: its first text column; without one, what its first id column of
 * another table is about, and its address. "" for a row that is not there. So a stack reads as
 * "/usr/lib/libc.so.6+0x1234".
 */
int cells_add_label(struct cells *cells, uint32_t table, uint64_t row, struct str *to);

void cells_destroy(struct cells *cells);

#endif
