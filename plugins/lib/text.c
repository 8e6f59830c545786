/* SPDX-License-Identifier: MIT */
/* The growing buffer. Escaping is in escape.c. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct text *text, size_t more)
{
	size_t need, room;
	char *data;

	if (text->failed) {
		return false;
	}
	if (__builtin_add_overflow(text->bytes, more + 1, &need) || need > SIZE_MAX / 2) {
		text->failed = true;
		return false;
	}
	if (need <= text->room) {
		return true;
	}
	room = text->room ? text->room : 256;
	while (room < need) {
		room *= 2;
	}
	data = realloc(text->data, room);
	if (!data) {
		text->failed = true;
		return false;
	}
	text->data = data;
	text->room = room;
	return true;
}

void text_bytes(struct text *text, const void *data, size_t bytes)
{
	if (!reserve(text, bytes)) {
		return;
	}
	memcpy(text->data + text->bytes, data, bytes);
	text->bytes += bytes;
	text->data[text->bytes] = '\0';
}

void text_add(struct text *text, const char *add)
{
	text_bytes(text, add, strlen(add));
}

void text_char(struct text *text, char c, size_t times)
{
	if (!reserve(text, times)) {
		return;
	}
	memset(text->data + text->bytes, c, times);
	text->bytes += times;
	text->data[text->bytes] = '\0';
}

void text_format(struct text *text, const char *format, ...)
{
	va_list args;
	int bytes;

	va_start(args, format);
	bytes = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (bytes < 0 || !reserve(text, (size_t)bytes)) {
		text->failed = true;
		return;
	}
	va_start(args, format);
	vsnprintf(text->data + text->bytes, (size_t)bytes + 1, format, args);
	va_end(args);
	text->bytes += (size_t)bytes;
}

const char *text_str(const struct text *text)
{
	return text->data ? text->data : "";
}

void text_finish(struct text *text)
{
	free(text->data);
	memset(text, 0, sizeof(*text));
}
