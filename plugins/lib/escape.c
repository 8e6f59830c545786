/* SPDX-License-Identifier: MIT */
/*
 * Escaping of text from the target. Every name goes through text_clean once, when it is read; what is clean then only
 * needs the quoting of the document that it lands in.
 */
#include "text.h"

#include <string.h>

size_t text_decode(const unsigned char *data, size_t bytes, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length, i;
	uint32_t c;

	if (bytes == 0) {
		return 0;
	}
	c = data[0];
	if (c < 0x80) {
		*ret = c;
		return 1;
	}
	length = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 0;
	if (length == 0 || length > bytes) {
		return 0;
	}
	c &= 0x7fu >> length;
	for (i = 1; i < length; i++) {
		if ((data[i] & 0xc0) != 0x80) {
			return 0;
		}
		c = c << 6 | (data[i] & 0x3f);
	}
	if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
		return 0;
	}
	*ret = c;
	return length;
}

/* Characters that change how others look, or that cannot be seen. */
static bool is_hidden(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0x00, 0x1f },     { 0x7f, 0x9f },       { 0xad, 0xad },     { 0x34f, 0x34f },
		{ 0x61c, 0x61c },   { 0x115f, 0x1160 },   { 0x17b4, 0x17b5 }, { 0x180b, 0x180f },
		{ 0x200b, 0x200f }, { 0x2028, 0x202e },   { 0x2060, 0x206f }, { 0x3164, 0x3164 },
		{ 0xfdd0, 0xfdef }, { 0xfe00, 0xfe0f },   { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 },
		{ 0xfff0, 0xfffb }, { 0xe0000, 0xe0fff },
	};
	size_t i;

	if ((c & 0xfffe) == 0xfffe) {
		return true;
	}
	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]) && c >= ranges[i].first; i++) {
		if (c <= ranges[i].last) {
			return true;
		}
	}
	return false;
}

void text_clean(struct text *text, struct pfc_string raw, size_t max_chars)
{
	const unsigned char *at = (const unsigned char *)raw.data;
	size_t left = raw.data ? (size_t)raw.bytes : 0, length, chars;
	uint32_t c;

	for (chars = 0; left > 0; chars++, at += length, left -= length) {
		if (chars == max_chars) {
			text_add(text, "\xe2\x80\xa6");
			return;
		}
		if (*at >= 0x20 && *at < 0x7f) {
			length = 1;
			text_bytes(text, at, 1);
			continue;
		}
		length = text_decode(at, left, &c);
		if (length == 0) {
			length = 1;
			text_format(text, "\\x%02x", *at);
		} else if (is_hidden(c)) {
			text_format(text, "\\u{%x}", (unsigned)c);
		} else {
			text_bytes(text, at, length);
		}
	}
}

void text_xml(struct text *text, const char *clean)
{
	const char *at, *from = clean, *entity;

	for (at = clean; *at; at++) {
		entity = *at == '&'   ? "&amp;"
			 : *at == '<' ? "&lt;"
			 : *at == '>' ? "&gt;"
			 : *at == '"' ? "&quot;"
				      : NULL;
		if (*at == '\'') {
			entity = "&#39;";
		}
		if (entity) {
			text_bytes(text, from, (size_t)(at - from));
			text_add(text, entity);
			from = at + 1;
		}
	}
	text_bytes(text, from, (size_t)(at - from));
}

void text_json(struct text *text, const char *clean)
{
	const unsigned char *at = (const unsigned char *)clean;
	size_t left = strlen(clean), length;
	uint32_t c;

	text_add(text, "\"");
	for (; left > 0; at += length, left -= length) {
		length = text_decode(at, left, &c);
		if (length == 0) {
			length = 1;
			c = 0xfffd;
		}
		if (c == '"' || c == '\\') {
			text_format(text, "\\%c", (char)c);
		} else if (c >= 0x20 && c < 0x7f && !strchr("<>&'", (int)c)) {
			text_bytes(text, at, 1);
		} else if (c < 0x10000) {
			text_format(text, "\\u%04x", (unsigned)c);
		} else {
			c -= 0x10000;
			text_format(text, "\\u%04x\\u%04x", (unsigned)(0xd800 + (c >> 10)),
				    (unsigned)(0xdc00 + (c & 0x3ff)));
		}
	}
	text_add(text, "\"");
}

size_t text_columns(const char *clean)
{
	size_t columns = 0;

	for (; *clean; clean++) {
		columns += ((unsigned char)*clean & 0xc0) != 0x80;
	}
	return columns;
}

void text_cut(struct text *text, const char *clean, size_t columns)
{
	const char *at = clean;
	size_t seen = 0;

	if (text_columns(clean) <= columns) {
		text_add(text, clean);
		return;
	}
	if (columns == 0) {
		return;
	}
	for (; *at; at++) {
		if (((unsigned char)*at & 0xc0) != 0x80 && seen++ == columns - 1) {
			break;
		}
	}
	text_bytes(text, clean, (size_t)(at - clean));
	text_add(text, "\xe2\x80\xa6");
}
