/* SPDX-License-Identifier: MIT */
/*
 * Artifacts: the typed data that goes from stage to stage.
 *
 * An artifact is either a set of append-only columnar tables (type "namespace.noun/MAJOR", for instance
 * "profcore.stacks/1") or a document (bytes with a media type, for instance "image/svg+xml"). A stage writes
 * its outputs through a pfc_writer and reads its inputs through a pfc_reader; both belong to the host.
 * docs/artifacts.md has the schemas and the layout on disk.
 *
 * Thread tags used in all headers:
 *   [control]  the thread that runs the plugin's callbacks
 *   [owner]    one thread at a time: the one that opened the object, or one it was handed to
 *   [any]      every thread, at any time between create and destroy
 */
#ifndef PROFCORE_ARTIFACT_H
#define PROFCORE_ARTIFACT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The type of a column. All are little-endian and in Arrow's buffer layout, without nulls. */
enum pfc_type {
	PFC_U8 = 1,
	PFC_U16 = 2,
	PFC_U32 = 3,
	PFC_U64 = 4,
	PFC_I32 = 5,
	PFC_I64 = 6,
	PFC_F64 = 7,
	PFC_UTF8 = 8, /* in memory: struct pfc_string per row when written, offsets + bytes when read */
};

/** A string that is not necessarily terminated. */
struct pfc_string {
	const char *data;
	uint64_t bytes;
};

/** One column of a table. */
struct pfc_column {
	uint32_t struct_size;
	uint32_t type;    /* enum pfc_type */
	const char *name; /* lower_snake */
	const char *unit; /* "ns", "bytes", "count", "id:strings" (a row number of that table), ...; never NULL */
};

/** One table of an artifact. Tables are committed in the order in which they were declared. */
struct pfc_table {
	uint32_t struct_size;
	uint32_t column_count;
	const char *name;
	const struct pfc_column *columns;
	uint32_t column_stride;   /* sizeof(struct pfc_column) as the plugin was compiled */
	int32_t time_column;      /* index of the PFC_U64 column in CLOCK_MONOTONIC ns that dates a row, or -1 */
};

/**
 * Writes one output. Owned by the host; valid until the stage ends.
 *
 * An error of any call is remembered: later calls return it too, and the artifact is marked partial or failed. A
 * plugin may therefore check each call, or only finish with pfc_writer.commit and check that.
 */
struct pfc_writer {
	uint32_t struct_size;
	uint32_t reserved0;
	void *ctx;

	/**
	 * Declare a table. All tables are declared before the first append.
	 *
	 * Shape:   1 to 64 columns; names unique in the table, table names unique in the artifact.
	 * Thread:  [owner]
	 * Memory:  copies def.
	 * Returns: the table's number >= 0; PFC_EINVAL, PFC_ENOMEM, PFC_EIO.
	 * Since:   1.0
	 */
	int32_t (*declare)(void *ctx, const struct pfc_table *def);

	/**
	 * Append rows to a table.
	 *
	 * Shape:   columns[i] is the array of column i in declared order, each of row_count elements
	 *          (struct pfc_string for PFC_UTF8).
	 * Thread:  [owner]
	 * Memory:  copies before it returns.
	 * Returns: 0; PFC_EINVAL, PFC_ENOMEM, PFC_ENOSPC, PFC_EIO. Rows are kept whole or not at all; those that cannot be
	 *          kept are counted as a loss ("not_written") by the writer itself.
	 * Since:   1.0
	 */
	int32_t (*append)(void *ctx, uint32_t table, uint64_t row_count, const void *const *columns);

	/**
	 * Append bytes to a document.
	 *
	 * Thread:  [owner]
	 * Returns: 0; PFC_EINVAL for an output that is not a document, PFC_ENOSPC, PFC_EIO.
	 * Since:   1.0
	 */
	int32_t (*write)(void *ctx, const void *data, uint64_t bytes);

	/**
	 * Put everything appended so far where a kill can no longer take it. The host also commits a table whose
	 * open chunk is full, with all tables declared before it. Call it about once a second in the window.
	 *
	 * Thread:  [owner]
	 * Returns: 0, or the first error of this writer.
	 * Since:   1.0
	 */
	int32_t (*commit)(void *ctx);

	/**
	 * State a fact about the artifact as a whole: a number that tells how complete it is ("rooted_pct"), or a text
	 * ("event" = "cpu-clock"). Facts appear in the manifest and under `completeness` in --json. The last value wins.
	 *
	 * Thread:  [owner]
	 * Memory:  copies.
	 * Returns: 0; PFC_EINVAL for a key that is not lower_snake (a dot groups: "truncated.no_cfi"), PFC_ENOMEM.
	 * Since:   1.0
	 */
	int32_t (*fact_number)(void *ctx, const char *key, double value);
	int32_t (*fact_text)(void *ctx, const char *key, const char *value);
};

/** What a reader is about. Texts are owned by the host and live as long as the reader. */
struct pfc_artifact {
	uint32_t struct_size;
	uint32_t partial;       /* 1: rows are missing at the end, or losses were counted; say so to the reader */
	const char *producer;   /* stage name */
	const char *port;       /* its output port */
	const char *type;       /* "profcore.stacks/1", or a media type */
	const char *signal;     /* what it shows: "cpu", "faults", "off-cpu", ...; "" when the port names none */
	uint64_t document_bytes; /* size of a document; 0 for tables */
	uint64_t lost;          /* observations that were not kept, all causes */
};

/** A table as the reader sees it. */
struct pfc_table_view {
	uint32_t struct_size;
	uint32_t table;       /* number to pass on */
	uint64_t row_count;
	uint32_t chunk_count;
	uint32_t column_count;
};

/**
 * One column of one chunk, in place: nothing is copied. Valid until the stage ends.
 *
 * For PFC_UTF8, row i is bytes data[offsets[i]] .. data[offsets[i + 1]]; offsets has row_count + 1 entries, checked
 * to ascend within data_bytes. For all other types data is an array of row_count elements, aligned to 64 bytes.
 */
struct pfc_column_view {
	uint32_t struct_size;
	uint32_t type;
	uint64_t first_row; /* row number of element 0 in the whole table */
	uint64_t row_count;
	const void *data;
	uint64_t data_bytes;
	const int32_t *offsets;
};

/** Reads one artifact. Owned by the host; valid until the stage ends. */
struct pfc_reader {
	uint32_t struct_size;
	uint32_t reserved0;
	void *ctx;

	/** [any] Describe the artifact. The caller sets ret->struct_size. Returns 0 or PFC_EINVAL. Since 1.0 */
	int32_t (*describe)(void *ctx, struct pfc_artifact *ret);

	/** [any] Find a table. The caller sets ret->struct_size. Returns 0 or PFC_ENOENT. Since 1.0 */
	int32_t (*table)(void *ctx, const char *name, struct pfc_table_view *ret);

	/** [any] Find a column of a table by name. Returns its number >= 0, or PFC_ENOENT. Since 1.0 */
	int32_t (*column)(void *ctx, uint32_t table, const char *name);

	/**
	 * [any] View one column of one chunk. The caller sets ret->struct_size. The checksum of a buffer is verified when
	 * it is first viewed. Returns 0; PFC_ENOENT past the last chunk; PFC_ECORRUPT. Since 1.0
	 */
	int32_t (*view)(void *ctx, uint32_t table, uint32_t chunk, uint32_t column, struct pfc_column_view *ret);

	/** [any] The whole document, in place. Returns 0; PFC_EINVAL when the artifact is a set of tables. Since 1.0 */
	int32_t (*document)(void *ctx, const void **ret_data, uint64_t *ret_bytes);

	/**
	 * [any] A fact of the artifact (see pfc_writer). A number is also given as text.
	 * Returns 0 or PFC_ENOENT; *ret_number is NAN for a fact that is a text. Either ret may be NULL. Since 1.0
	 */
	int32_t (*fact)(void *ctx, const char *key, double *ret_number, const char **ret_text);
};

#ifdef __cplusplus
}
#endif
#endif
