/* SPDX-License-Identifier: MIT */
/*
 * The layout on disk of an artifact of tables (docs/artifacts.md): a file header, then blocks. Numbers are
 * little-endian, checksums are zlib's crc32. A block counts once its header is whole, and the header is
 * written last.
 */
#ifndef CORE_ARTIFACT_FORMAT_H
#define CORE_ARTIFACT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <profcore/artifact.h>
#include <profcore/status.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "artifact files are used in place: this needs a little-endian machine"
#endif

#define FORMAT_MAGIC       "PFCOL\0\1\n" /* 8 bytes; the 1 is the version of the layout */
#define FORMAT_BLOCK_MAGIC "PFBK"
#define FORMAT_ALIGN       64
#define FORMAT_TYPE_BYTES  48 /* with the terminator */

/* Limits that a writer keeps and a reader insists on: they bound what a hostile file can cost. */
#define FORMAT_TABLES_MAX     64
#define FORMAT_COLUMNS_MAX    64
#define FORMAT_BLOCKS_MAX     1000000
#define FORMAT_CHUNK_ROWS_MAX (1u << 20)
#define FORMAT_JSON_MAX       (1u << 20) /* bytes of a schema, meta or seal text */
#define FORMAT_NAME_BYTES     64         /* of a table, column, unit, fact or cause, with the terminator */
#define FORMAT_BUFFERS_MAX    (2 * FORMAT_COLUMNS_MAX)

enum format_kind {
	FORMAT_SCHEMA = 1, /* JSON: one table; before its first chunk */
	FORMAT_CHUNK = 2,  /* rows of one table */
	FORMAT_META = 3,   /* JSON: facts and losses; the last one holds */
	FORMAT_SEAL = 4,   /* JSON: the artifact is complete; the last block */
};

/** At offset 0. */
struct format_file {
	char magic[8];
	char type[FORMAT_TYPE_BYTES]; /* "profcore.stacks/1", zero-filled */
	uint32_t reserved;
	uint32_t crc; /* of the bytes before it */
};

/** In front of a body; at a multiple of 64. */
struct format_block {
	char magic[4];
	uint32_t kind;         /* enum format_kind */
	uint32_t table;        /* which table (schema, chunk); 0 else */
	uint32_t buffer_count; /* 1 for JSON; for a chunk 1 per column, 2 per utf8 column */
	uint64_t row_count;    /* of a chunk; 0 else */
	uint64_t first_ns;     /* least and greatest value of the table's time column; 0 without one */
	uint64_t last_ns;
	uint64_t body_bytes; /* the next header is this far behind the end of this one; a multiple of 64 */
	uint32_t sequence;   /* 0 for the first block, then 1, ... */
	uint32_t descriptor_crc; /* of the format_buffer array */
	uint32_t reserved;
	uint32_t crc; /* of the bytes before it */
};

/**
 * A body begins with an array of these, one per buffer. Offsets are from the start of the body,
 * multiples of 64.
 */
struct format_buffer {
	uint64_t offset;
	uint64_t bytes;
	uint32_t crc; /* of the buffer's bytes */
	uint32_t reserved;
};

_Static_assert(sizeof(struct format_file) == 64, "layout on disk");
_Static_assert(sizeof(struct format_block) == 64, "layout on disk");
_Static_assert(sizeof(struct format_buffer) == 24, "layout on disk");

uint32_t format_crc(const void *data, uint64_t bytes);
uint32_t format_crc_add(uint32_t crc, const void *data, uint64_t bytes);

/** Bytes of one value, 0 for an unknown type; utf8: of one offset. */
unsigned format_type_bytes(uint32_t type);

/** "u32", ...; NULL for an unknown type. And back: 0 for an unknown name. */
const char *format_type_name(uint32_t type);
uint32_t format_type_of(const char *name);

static inline uint64_t format_align(uint64_t bytes)
{
	return (bytes + FORMAT_ALIGN - 1) & ~(uint64_t)(FORMAT_ALIGN - 1);
}

/** lower_snake, 1 to 63 bytes; with_dots also lets single dots group the words ("truncated.no_cfi"). */
bool format_name_ok(const char *name, bool with_dots);

/** Printable ASCII, at most 63 bytes. */
bool format_unit_ok(const char *unit);

/** The shortest digits that read back as the number; "nan", "inf", "-inf". */
void format_number(double number, char ret[32]);

#endif
