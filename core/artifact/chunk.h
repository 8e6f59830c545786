/* SPDX-License-Identifier: MIT */
/*
 * The open chunk of a table that is being written: rows in memory, column by column, until they are
 * committed.
 */
#ifndef CORE_ARTIFACT_CHUNK_H
#define CORE_ARTIFACT_CHUNK_H

#include "artifact/output.h"
#include "artifact/table.h"

#define CHUNK_ROWS_MAX   65536u     /* rows of a chunk */
#define CHUNK_BYTES_MAX  (16u << 20) /* of its fixed-width values: bounds what very wide tables hold back */
#define CHUNK_STRING_MAX (8u << 20)  /* bytes of one string, and of all strings of one column in a chunk */

struct chunk_column {
	char *data;  /* values; utf8: int32 offsets, one more than rows */
	char *text;  /* utf8: the bytes */
	size_t room; /* bytes at data */
	size_t text_bytes;
	size_t text_room;
};

struct chunk {
	struct table table;
	struct chunk_column *columns;
	uint32_t rows; /* held here */
	uint32_t rows_max;
	uint64_t committed; /* rows in the file */
	uint64_t first_ns;  /* of the committed rows; first > last: none */
	uint64_t last_ns;
};

/** Make an empty chunk. [moved] table on success. Returns 0 or PFC_ENOMEM. */
int chunk_create(const struct table *table, struct chunk **ret);

/** Whether the arrays can be appended. Returns 0, or PFC_EINVAL (a NULL array; a string too long or NULL). */
int chunk_check(const struct chunk *chunk, uint64_t row_count, const void *const *columns);

/**
 * Append rows from `first` of the arrays, as many as fit; none fit: the chunk is full, flush it.
 *
 * Returns: 0 and *ret_taken; PFC_ENOMEM, the chunk is then unchanged.
 */
int chunk_append(struct chunk *chunk, uint64_t first, uint64_t row_count, const void *const *columns,
		 uint64_t *ret_taken);

/** Commit the rows to the file as one block, if there are any; empties the chunk on success. */
int chunk_flush(struct chunk *chunk, uint32_t number, struct output *output);

void chunk_destroy(struct chunk *chunk);

#endif
