/* SPDX-License-Identifier: MIT */
/*
 * The index of an artifact file of tables: what its committed blocks hold and where. The file is hostile:
 * everything taken into the index was checked against the limits of format.h, the file's length and its
 * checksums. Reads with pread, so that indexing maps no page.
 */
#ifndef CORE_ARTIFACT_INDEX_H
#define CORE_ARTIFACT_INDEX_H

#include <stdatomic.h>

#include <jansson.h>

#include "artifact/table.h"
#include "base/error.h"

/** One committed chunk. */
struct index_chunk {
	uint64_t body; /* offset in the file */
	uint64_t body_bytes;
	uint64_t first_row;
	uint32_t row_count;
	uint32_t reserved;
	atomic_uint_fast64_t verified; /* bit per column: its buffers were checked */
};

struct index_table {
	struct table table;
	uint8_t buffer_of[FORMAT_COLUMNS_MAX]; /* the first buffer of a column */
	struct index_chunk *chunks;
	uint32_t chunk_count;
	uint32_t chunk_room;
	uint64_t row_count;
	uint64_t first_ns; /* first > last: no dated row */
	uint64_t last_ns;
};

struct index {
	char type[FORMAT_TYPE_BYTES];
	struct index_table *tables[FORMAT_TABLES_MAX];
	uint32_t table_count;
	uint64_t bytes; /* of the file up to the end of the last block that checks */
	bool sealed;
	json_t *meta; /* {"facts": {...}, "lost": {...}}; NULL: none */
};

/**
 * Index the file up to the first block that does not check.
 *
 * Returns: 0; PFC_ECORRUPT when the file header does not check; PFC_EIO, PFC_ENOMEM. Finish ret on success
 * only.
 */
int index_read(int fd, uint64_t file_bytes, struct index *ret, struct pfc_error *err);

/**
 * Whether buffer `buffer` of a chunk lies in its body and has the length that the table asks for. `bytes` of
 * a utf8 column's text is free.
 */
bool index_buffer_ok(const struct index_table *table, uint64_t row_count, uint64_t body_bytes,
		     uint32_t buffer, const struct format_buffer *descriptor);

void index_finish(struct index *index);

#endif
