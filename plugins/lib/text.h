/* SPDX-License-Identifier: MIT */
/*
 * Text for documents: a growing buffer, and the three ways in which bytes that nobody vouches for (symbol names, paths,
 * thread names of the target) get into it: cleaned, as XML, as JSON. It knows nothing of profiles.
 */
#ifndef PLUGINS_LIB_TEXT_H
#define PLUGINS_LIB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <profcore/artifact.h>

/**
 * A growing buffer. Zero-initialise it; free with text_finish. Running out of memory sticks: `failed` is set and later
 * calls do nothing, so that a caller checks once, at the end.
 */
struct text {
	char *data; /* terminated, or NULL while empty */
	size_t bytes;
	size_t room;
	bool failed;
};

void text_add(struct text *text, const char *add);
void text_bytes(struct text *text, const void *data, size_t bytes);
void text_char(struct text *text, char c, size_t times);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** The text so far; "" while empty. */
const char *text_str(const struct text *text);
void text_finish(struct text *text);

/**
 * Append raw bytes as printable UTF-8: what is not valid UTF-8 becomes \xNN, and what a reader would not see (control,
 * bidirectional, zero-width and line-separating characters, non-characters) becomes \u{N}. At most max_chars code
 * points of the source are taken; a cut shows as an ellipsis.
 */
void text_clean(struct text *text, struct pfc_string raw, size_t max_chars);

/** Append clean text as XML character data or attribute value: & < > " ' become entities. */
void text_xml(struct text *text, const char *clean);

/**
 * Append clean text as a JSON string with its quotes. Pure ASCII, and free of < > & and ', so that it can also stand in a
 * script inside XML or HTML.
 */
void text_json(struct text *text, const char *clean);

/** How many code points, which stand for columns of a terminal. */
size_t text_columns(const char *clean);

/** Append at most `columns` code points of clean text, the last of them an ellipsis when it is cut. */
void text_cut(struct text *text, const char *clean, size_t columns);

/** Decode one code point of at most `bytes` bytes. Returns its length, or 0 when it is not valid UTF-8. */
size_t text_decode(const unsigned char *data, size_t bytes, uint32_t *ret);

#endif
