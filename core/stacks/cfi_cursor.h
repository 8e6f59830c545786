/* SPDX-License-Identifier: MIT */
/* Reading call frame information byte by byte, and running its programs: what cfi.c and cfi_program.c share. */
#ifndef CORE_STACKS_CFI_CURSOR_H
#define CORE_STACKS_CFI_CURSOR_H

#include <string.h>

#include "stacks/cfi.h"

/** A reader of the section; running out sticks. */
struct cfi_cursor {
	const uint8_t *data;
	uint64_t at, end;
	bool failed;
};

static inline uint64_t cfi_take_fixed(struct cfi_cursor *cursor, unsigned bytes)
{
	uint64_t value = 0;

	if (cursor->failed || cursor->end - cursor->at < bytes) {
		cursor->failed = true;
		return 0;
	}
	memcpy(&value, cursor->data + cursor->at, bytes);
	cursor->at += bytes;
	return value;
}

static inline uint64_t cfi_take_uleb(struct cfi_cursor *cursor)
{
	uint64_t value = 0;
	unsigned shift = 0;

	while (!cursor->failed && cursor->at < cursor->end) {
		uint8_t byte = cursor->data[cursor->at++];

		value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
		shift += 7;
		if ((byte & 0x80) == 0) {
			return value;
		}
	}
	cursor->failed = true;
	return 0;
}

static inline int64_t cfi_take_sleb(struct cfi_cursor *cursor)
{
	uint64_t value = 0;
	unsigned shift = 0;

	while (!cursor->failed && cursor->at < cursor->end) {
		uint8_t byte = cursor->data[cursor->at++];

		value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
		shift += 7;
		if ((byte & 0x80) == 0) {
			if (shift < 64 && (byte & 0x40) != 0) {
				value |= ~0ULL << shift;
			}
			return (int64_t)value;
		}
	}
	cursor->failed = true;
	return 0;
}

static inline void cfi_skip(struct cfi_cursor *cursor, uint64_t bytes)
{
	if (cursor->failed || cursor->end - cursor->at < bytes) {
		cursor->failed = true;
		return;
	}
	cursor->at += bytes;
}
/** A pointer as DW_EH_PE_... says; `vaddr` is that of data[0]. */
uint64_t cfi_take_pointer(struct cfi_cursor *cursor, uint64_t vaddr, uint8_t encoding);

/**
 * Run a program from a row on. Without on_row: the initial instructions of a common entry, which must not advance.
 * Returns: 0; PFC_ECORRUPT; what on_row returned.
 */
int cfi_interpret(const struct cfi_section *section, struct cfi_cursor program,
		  const struct cfi_common *common, struct cfi_row *row, cfi_row_fn on_row, void *ctx);

#endif
