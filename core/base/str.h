/* SPDX-License-Identifier: MIT */
/* Strings: a growing buffer, and small questions about text. */
#ifndef CORE_BASE_STR_H
#define CORE_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>

/**
 * A growing buffer of text. Zero-initialise it; free with str_finish. Running out of memory sticks: `failed` is set, later
 * calls do nothing, and str_take returns NULL. So a caller checks once, at the end.
 */
struct str {
	char *text; /* terminated, or NULL while empty */
	size_t bytes;
	size_t room;
	bool failed;
};

void str_add(struct str *str, const char *text);
void str_add_bytes(struct str *str, const void *data, size_t bytes);
void str_format(struct str *str, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Text so far; "" while empty. */
const char *str_text(const struct str *str);
/** [moved] Hand the text over to the caller, who frees it; NULL when memory ran out. Leaves str empty. */
char *str_take(struct str *str);
void str_finish(struct str *str);

bool str_starts(const char *text, const char *prefix);
bool str_ends(const char *text, const char *suffix);
bool str_equal(const char *a, const char *b);

/** Bytes of the UTF-8 sequence that begins at text, of which room bytes may be read; 0 when it is none. */
size_t str_utf8_bytes(const char *text, size_t room);
bool str_is_utf8(const char *text);

/** A new formatted string, freed by the caller; NULL when memory ran out. */
char *str_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** How many edits (insert, delete, replace, swap of neighbours) lead from a to b; both are cut at 64 bytes. */
unsigned str_distance(const char *a, const char *b);

/**
 * The candidate nearest to `word`, or NULL when none is near enough to be meant. Case counts for nothing, - equals _; a
 * short form ("freq" of "frequency"), a part of the name and changed halves ("graph_call") count as near.
 */
const char *str_nearest(const char *word, const char *const *candidates, size_t count);

/** What to say of a word that is not in a list: `none of a, b; did you mean "b"?`. The caller frees; NULL without memory. */
char *str_none_of(const char *word, const char *const *words, size_t count);

#endif
