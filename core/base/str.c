/* SPDX-License-Identifier: MIT */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISTANCE_MAX 64

static bool reserve(struct str *str, size_t more)
{
	size_t room = str->room > 0 ? str->room : 128;
	char *text;

	if (str->failed) {
		return false;
	}
	while (room < str->bytes + more + 1) {
		room *= 2;
	}
	if (room == str->room) {
		return true;
	}
	text = realloc(str->text, room);
	if (text == NULL) {
		str->failed = true;
		return false;
	}
	str->text = text;
	str->room = room;
	return true;
}

void str_add_bytes(struct str *str, const void *data, size_t bytes)
{
	if (!reserve(str, bytes)) {
		return;
	}
	memcpy(str->text + str->bytes, data, bytes);
	str->bytes += bytes;
	str->text[str->bytes] = '\0';
}

void str_add(struct str *str, const char *text)
{
	str_add_bytes(str, text, strlen(text));
}

void str_format(struct str *str, const char *format, ...)
{
	va_list args;
	int bytes;

	va_start(args, format);
	bytes = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (bytes < 0 || !reserve(str, (size_t)bytes)) {
		str->failed = true;
		return;
	}
	va_start(args, format);
	vsnprintf(str->text + str->bytes, (size_t)bytes + 1, format, args);
	va_end(args);
	str->bytes += (size_t)bytes;
}

const char *str_text(const struct str *str)
{
	return str->text != NULL ? str->text : "";
}

char *str_take(struct str *str)
{
	char *text = NULL;

	if (!str->failed && reserve(str, 0)) {
		text = str->text;
		text[str->bytes] = '\0';
		str->text = NULL;
	}
	str_finish(str);
	return text;
}

void str_finish(struct str *str)
{
	free(str->text);
	memset(str, 0, sizeof(*str));
}

bool str_starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *text, const char *suffix)
{
	size_t text_bytes = strlen(text);
	size_t suffix_bytes = strlen(suffix);

	return text_bytes >= suffix_bytes && strcmp(text + text_bytes - suffix_bytes, suffix) == 0;
}

bool str_equal(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* The table of well-formed sequences: no overlong forms, surrogates, or values past U+10FFFF (Unicode 15, table 3-7). */
size_t str_utf8_bytes(const char *from, size_t room)
{
	const unsigned char *text = (const unsigned char *)from;
	static const struct {
		unsigned char first_min, first_max, second_min, second_max;
		size_t bytes;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	if (room > 0 && text[0] < 0x80) {
		return 1;
	}
	for (size_t i = 0; room > 0 && i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (text[0] < forms[i].first_min || text[0] > forms[i].first_max) {
			continue;
		}
		if (room < forms[i].bytes || text[1] < forms[i].second_min || text[1] > forms[i].second_max) {
			return 0;
		}
		for (size_t k = 2; k < forms[i].bytes; k++) {
			if (text[k] < 0x80 || text[k] > 0xbf) {
				return 0;
			}
		}
		return forms[i].bytes;
	}
	return 0;
}

bool str_is_utf8(const char *text)
{
	size_t room = strlen(text);

	while (room > 0) {
		size_t step = str_utf8_bytes(text, room);

		if (step == 0) {
			return false;
		}
		text += step;
		room -= step;
	}
	return true;
}

char *str_printf(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int bytes;

	va_start(args, format);
	bytes = vasprintf(&text, format, args);
	va_end(args);
	return bytes < 0 ? NULL : text;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/* Damerau-Levenshtein with neighbours swapped at most once (optimal string alignment), three rows at a time. */
unsigned str_distance(const char *a, const char *b)
{
	size_t a_bytes = strnlen(a, DISTANCE_MAX);
	size_t b_bytes = strnlen(b, DISTANCE_MAX);
	unsigned rows[3][DISTANCE_MAX + 1];

	for (size_t j = 0; j <= b_bytes; j++) {
		rows[0][j] = (unsigned)j;
	}
	for (size_t i = 1; i <= a_bytes; i++) {
		unsigned *now = rows[i % 3];
		const unsigned *last = rows[(i - 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b_bytes; j++) {
			bool same = a[i - 1] == b[j - 1];

			now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + !same);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    rows[(i - 2) % 3][j - 2] + 1 < now[j]) {
				now[j] = rows[(i - 2) % 3][j - 2] + 1;
			}
		}
	}
	return rows[a_bytes % 3][b_bytes];
}

/* To lower case, with - as _, cut at DISTANCE_MAX: how names are compared when they are guessed at. */
static void fold(const char *text, char *to)
{
	size_t at = 0;

	for (; text[at] != '\0' && at < DISTANCE_MAX; at++) {
		char c = text[at];

		to[at] = c == '-' ? '_' : c;
		if (c >= 'A' && c <= 'Z') {
			to[at] = (char)(c - 'A' + 'a');
		}
	}
	to[at] = '\0';
}

/* Whether a is b with its two halves changed over: "graph_call" for "call_graph". */
static bool is_turned(const char *a, const char *b)
{
	size_t bytes = strlen(a);

	if (strlen(b) != bytes) {
		return false;
	}
	for (const char *cut = strchr(a, '_'); cut != NULL; cut = strchr(cut + 1, '_')) {
		size_t head = (size_t)(cut - a);
		size_t tail = bytes - head - 1;

		if (memcmp(b, cut + 1, tail) == 0 && b[tail] == '_' && memcmp(b + tail + 1, a, head) == 0) {
			return true;
		}
	}
	return false;
}

/* Whether `word` is one of the parts of `name` between _, or several in a row: "timeout" of "ready_timeout". */
static bool is_part(const char *word, const char *name)
{
	size_t bytes = strlen(word);

	for (const char *at = strstr(name, word); at != NULL; at = strstr(at + 1, word)) {
		if ((at == name || at[-1] == '_') && (at[bytes] == '\0' || at[bytes] == '_')) {
			return true;
		}
	}
	return false;
}

/*
 * How far a candidate is from what was written; lower is nearer, SCORE_NONE too far. Edits count four each, so that what
 * follows them only orders equals: people get the first letter and the length right more often than not. A short form
 * ("freq"), a part of the name or turned halves are as near as one edit or two, however many letters differ.
 * How many edits are still a slip of the pen: one in four letters or less, two up to seven, a third of them beyond.
 */
#define SCORE_NONE 1000u

static unsigned score(const char *word, const char *candidate)
{
	size_t word_bytes = strlen(word);
	size_t candidate_bytes = strlen(candidate);
	unsigned distance = str_distance(word, candidate);
	unsigned limit = word_bytes <= 4 ? 1 : (unsigned)(word_bytes + 1) / 3;
	unsigned order = (word[0] != candidate[0]) + (word_bytes != candidate_bytes);

	if (distance <= limit && distance < candidate_bytes) {
		return 4 * distance + order;
	}
	if (word_bytes >= 3 && candidate_bytes > word_bytes && memcmp(word, candidate, word_bytes) == 0) {
		return 5 + order;
	}
	if (is_turned(word, candidate)) {
		return 5 + order;
	}
	if ((word_bytes >= 4 && is_part(word, candidate)) || (candidate_bytes >= 3 && is_part(candidate, word))) {
		return 9 + order;
	}
	return SCORE_NONE;
}

const char *str_nearest(const char *word, const char *const *candidates, size_t count)
{
	const char *nearest = NULL;
	unsigned least = SCORE_NONE;
	char folded_word[DISTANCE_MAX + 1];
	char folded[DISTANCE_MAX + 1];

	fold(word, folded_word);
	for (size_t i = 0; i < count; i++) {
		unsigned now;

		fold(candidates[i], folded);
		now = score(folded_word, folded);
		if (now < least) {
			least = now;
			nearest = candidates[i];
		}
	}
	return nearest;
}

char *str_none_of(const char *word, const char *const *words, size_t count)
{
	const char *near = str_nearest(word, words, count);
	struct str text = { 0 };

	str_add(&text, "none of ");
	for (size_t i = 0; i < count; i++) {
		str_format(&text, "%s%s", i > 0 ? ", " : "", words[i]);
	}
	if (near != NULL) {
		str_format(&text, "; did you mean \"%s\"?", near);
	}
	return str_take(&text);
}
