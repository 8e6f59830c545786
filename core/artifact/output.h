/* SPDX-License-Identifier: MIT */
/*
 * The file below a writer: whole writes at a position, and blocks committed by their header. Nothing is
 * synced: a commit survives the death of the process, not of the machine.
 */
#ifndef CORE_ARTIFACT_OUTPUT_H
#define CORE_ARTIFACT_OUTPUT_H

#include <sys/uio.h>

#include "artifact/format.h"

struct output {
	int fd;
	uint64_t bytes;    /* committed so far; the next block begins here */
	uint32_t sequence; /* of the next block */
	uint32_t chain;    /* crc of all header checksums so far */
	int errnum;        /* of the write that failed, 0 for none */
};

/** One buffer of a block to be. */
struct output_buffer {
	const void *data;
	uint64_t bytes;
};

/**
 * Write iov as a whole at offset; goes on after EINTR and short writes; changes iov. Returns 0, PFC_EIO,
 * PFC_ENOSPC.
 */
int output_write_at(struct output *output, struct iovec *iov, int count, uint64_t offset);

/** Write the file header. */
int output_begin(struct output *output, int fd, const char *type);

/**
 * Write a block: body first, header last. `block` carries kind, table, row_count and times; the rest is
 * filled in.
 *
 * Returns: 0; PFC_EIO, PFC_ENOSPC (also when the file has FORMAT_BLOCKS_MAX blocks): the file then ends
 * before this block.
 */
int output_block(struct output *output, struct format_block *block, const struct output_buffer *buffers,
		 uint32_t count);

/** A block of one JSON text. */
int output_json(struct output *output, enum format_kind kind, uint32_t table, const char *text);

#endif
