/* SPDX-License-Identifier: MIT */
/*
 * Reading little-endian DWARF from bytes that are not trusted: a read past the end gives 0 and marks the cursor, which the
 * caller looks at when it is through.
 */
#ifndef CORE_STACKS_DWARF_CURSOR_H
#define CORE_STACKS_DWARF_CURSOR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct dwarf_cursor {
	const uint8_t *at, *end;
	bool is_bad;
};

static inline uint64_t cursor_left(const struct dwarf_cursor *cursor)
{
	return (uint64_t)(cursor->end - cursor->at);
}

static inline void cursor_skip(struct dwarf_cursor *cursor, uint64_t bytes)
{
	if (bytes > cursor_left(cursor)) {
		cursor->is_bad = true;
		cursor->at = cursor->end;
	} else {
		cursor->at += bytes;
	}
}

/* bytes: 1 to 8 */
static inline uint64_t cursor_number(struct dwarf_cursor *cursor, unsigned bytes)
{
	uint64_t value = 0;

	if (bytes > cursor_left(cursor)) {
		cursor->is_bad = true;
		cursor->at = cursor->end;
		return 0;
	}
	memcpy(&value, cursor->at, bytes);
	cursor->at += bytes;
	return value;
}

static inline uint64_t cursor_uleb(struct dwarf_cursor *cursor)
{
	uint64_t value = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		if (cursor->at == cursor->end) {
			cursor->is_bad = true;
			return 0;
		}
		byte = *cursor->at++;
		value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
		shift += 7;
	} while ((byte & 0x80) != 0);
	return value;
}

static inline int64_t cursor_sleb(struct dwarf_cursor *cursor)
{
	uint64_t value = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		if (cursor->at == cursor->end) {
			cursor->is_bad = true;
			return 0;
		}
		byte = *cursor->at++;
		value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
		shift += 7;
	} while ((byte & 0x80) != 0);
	if (shift < 64 && (byte & 0x40) != 0) {
		value |= ~0ULL << shift;
	}
	return (int64_t)value;
}

/* A text that ends within the bytes; "" where none does. */
static inline const char *cursor_text(struct dwarf_cursor *cursor)
{
	const char *text = (const char *)cursor->at;
	const uint8_t *end = memchr(cursor->at, 0, cursor_left(cursor));

	if (end == NULL) {
		cursor->is_bad = true;
		cursor->at = cursor->end;
		return "";
	}
	cursor->at = end + 1;
	return text;
}

#endif
