/* SPDX-License-Identifier: MIT */
/*
 * Lines are gathered (their start is kept, their length is counted), then judged whole; bodies are counted and skipped.
 * What is ambiguous about where an answer ends is refused: a wrong guess would time another answer.
 */
#include "http_parse.h"

#include <string.h>
#include <strings.h>

#include <profcore/status.h>

static int fail(struct http_parser *parser, const char *why)
{
	parser->state = HTTP_FAILED;
	parser->why = why;
	return PFC_EPROTO;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
	if (is_digit(c)) {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int judge_status_line(struct http_parser *parser, const char *line, size_t bytes)
{
	if (bytes < 12 || memcmp(line, "HTTP/1.", 7) != 0 || !is_digit(line[7]) || line[8] != ' ') {
		return fail(parser, "no HTTP/1.x status line");
	}
	if (line[9] < '1' || line[9] > '5' || !is_digit(line[10]) || !is_digit(line[11]) ||
	    (bytes > 12 && line[12] != ' ')) {
		return fail(parser, "bad status code");
	}
	parser->status = (uint16_t)((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
	if (parser->status == 101) {
		return fail(parser, "switches protocols unasked");
	}
	parser->close = line[7] == '0';
	parser->has_length = false;
	parser->has_coding = false;
	parser->is_chunked = false;
	parser->left = 0;
	parser->state = HTTP_HEADERS;
	return 0;
}

static int judge_content_length(struct http_parser *parser, const char *value, size_t bytes)
{
	uint64_t length = 0;
	size_t i;

	if (bytes == 0 || bytes > 18) {
		return fail(parser, "bad Content-Length");
	}
	for (i = 0; i < bytes; i++) {
		if (!is_digit(value[i])) {
			return fail(parser, "bad Content-Length");
		}
		length = length * 10 + (uint64_t)(value[i] - '0');
	}
	if (parser->has_length && parser->left != length) {
		return fail(parser, "two different Content-Length");
	}
	parser->has_length = true;
	parser->left = length;
	return 0;
}

/* Whether the last word of a comma list is `word`; with `any`, whether one of them is. */
static bool list_has(const char *value, size_t bytes, const char *word, bool any)
{
	size_t word_bytes = strlen(word);
	bool found = false;
	size_t at = 0;

	while (at < bytes) {
		size_t end = at;
		size_t last;

		while (end < bytes && value[end] != ',') {
			end++;
		}
		last = end;
		while (at < last && (value[at] == ' ' || value[at] == '\t')) {
			at++;
		}
		while (last > at && (value[last - 1] == ' ' || value[last - 1] == '\t')) {
			last--;
		}
		if (last > at) {
			found = last - at == word_bytes && strncasecmp(value + at, word, word_bytes) == 0;
			if (found && any) {
				return true;
			}
		}
		at = end + 1;
	}
	return found && !any;
}

static bool name_is(const char *line, size_t name_bytes, const char *name)
{
	return strlen(name) == name_bytes && strncasecmp(line, name, name_bytes) == 0;
}

static int judge_known_header(struct http_parser *parser, const char *line, size_t name_bytes,
			      const char *value, size_t bytes)
{
	if (name_is(line, name_bytes, "content-length")) {
		return judge_content_length(parser, value, bytes);
	}
	if (name_is(line, name_bytes, "transfer-encoding")) {
		if (parser->is_chunked) {
			return fail(parser, "Transfer-Encoding after chunked");
		}
		parser->has_coding = true;
		parser->is_chunked = list_has(value, bytes, "chunked", false);
		return 0;
	}
	if (name_is(line, name_bytes, "connection")) {
		if (list_has(value, bytes, "close", true)) {
			parser->close = true;
		} else if (list_has(value, bytes, "keep-alive", true)) {
			parser->close = false;
		}
	}
	return 0;
}

static int judge_header(struct http_parser *parser, const char *line, size_t bytes)
{
	const char *colon = memchr(line, ':', bytes);
	size_t name_bytes;
	size_t at;
	char first;

	/* A folded line would belong to the header before it, which may be one that counts. */
	if (colon == NULL || colon == line || line[0] == ' ' || line[0] == '\t' || colon[-1] == ' ' ||
	    colon[-1] == '\t') {
		return fail(parser, "bad header line");
	}
	name_bytes = (size_t)(colon - line);
	first = (char)(line[0] | 0x20);
	if (first != 'c' && first != 't') {
		return 0;
	}
	if (name_bytes != 10 && name_bytes != 14 && name_bytes != 17) {
		return 0; /* not as long as one of the three */
	}
	for (at = name_bytes + 1; at < bytes && (line[at] == ' ' || line[at] == '\t'); at++) {
	}
	while (bytes > at && (line[bytes - 1] == ' ' || line[bytes - 1] == '\t')) {
		bytes--;
	}
	if (parser->line_bytes > HTTP_LINE_BYTES &&
	    (name_is(line, name_bytes, "content-length") || name_is(line, name_bytes, "transfer-encoding") ||
	     name_is(line, name_bytes, "connection"))) {
		return fail(parser, "header line too long");
	}
	return judge_known_header(parser, line, name_bytes, line + at, bytes - at);
}

/* The empty line: what follows? RFC 9112 section 6.3, in its order. */
static int end_of_headers(struct http_parser *parser)
{
	if (parser->status < 200) {
		parser->state =
			HTTP_STATUS_LINE; /* interim: the answer proper follows, within the same bound of bytes */
		parser->status = 0;
	} else if (parser->is_head || parser->status == 204 || parser->status == 304) {
		parser->state = HTTP_DONE;
	} else if (parser->has_coding) {
		parser->close = parser->close || parser->has_length || !parser->is_chunked;
		parser->state = parser->is_chunked ? HTTP_CHUNK_SIZE : HTTP_BODY_TO_EOF;
	} else if (parser->has_length) {
		parser->state = parser->left > 0 ? HTTP_BODY_LENGTH : HTTP_DONE;
	} else {
		parser->close = true;
		parser->state = HTTP_BODY_TO_EOF;
	}
	return 0;
}

static int judge_chunk_size(struct http_parser *parser, const char *line, size_t bytes)
{
	uint64_t size = 0;
	size_t i;

	for (i = 0; i < bytes && hex_digit(line[i]) >= 0; i++) {
		if (size >> 58) {
			return fail(parser, "chunk size too large");
		}
		size = size * 16 + (uint64_t)hex_digit(line[i]);
	}
	if (i == 0 || (i < bytes && line[i] != ';' && line[i] != ' ' && line[i] != '\t')) {
		return fail(parser, "bad chunk size");
	}
	parser->left = size;
	parser->state = size > 0 ? HTTP_CHUNK_DATA : HTTP_TRAILERS;
	return 0;
}

static int judge_line(struct http_parser *parser)
{
	size_t bytes = parser->line_bytes < HTTP_LINE_BYTES ? parser->line_bytes : HTTP_LINE_BYTES;
	const char *line = parser->line;

	if (parser->line_bytes <= HTTP_LINE_BYTES && bytes > 0 && line[bytes - 1] == '\r') {
		bytes--;
	}
	if (memchr(line, '\0', bytes) != NULL) {
		return fail(parser, "NUL byte in a header");
	}
	switch (parser->state) {
	case HTTP_STATUS_LINE:
		return judge_status_line(parser, line, bytes);
	case HTTP_HEADERS:
		return bytes == 0 ? end_of_headers(parser) : judge_header(parser, line, bytes);
	case HTTP_CHUNK_SIZE:
		return judge_chunk_size(parser, line, bytes);
	case HTTP_CHUNK_END:
		if (bytes != 0) {
			return fail(parser, "chunk longer than its size");
		}
		parser->state = HTTP_CHUNK_SIZE;
		return 0;
	default: /* HTTP_TRAILERS */
		if (bytes == 0) {
			parser->state = HTTP_DONE;
		}
		return 0;
	}
}

/* Bound what lines may cost: heads and trailers in all, chunk lines each. */
static int count_line_bytes(struct http_parser *parser, size_t bytes)
{
	bool is_chunk = parser->state == HTTP_CHUNK_SIZE || parser->state == HTTP_CHUNK_END;

	if (is_chunk) {
		return parser->line_bytes + bytes > HTTP_CHUNK_LINE_BYTES_MAX
			       ? fail(parser, "chunk line too long")
			       : 0;
	}
	if (parser->head_bytes + bytes > HTTP_HEAD_BYTES_MAX) {
		return fail(parser, "headers too long");
	}
	parser->head_bytes += (uint32_t)bytes;
	return 0;
}

/* Take bytes up to and with the next line feed. Returns how many. */
static int64_t feed_line(struct http_parser *parser, const char *data, size_t bytes)
{
	const char *end = memchr(data, '\n', bytes);
	size_t taken = end != NULL ? (size_t)(end - data) : bytes;
	size_t kept = taken;
	int status;

	status = count_line_bytes(parser, taken + (end != NULL));
	if (status != 0) {
		return status;
	}
	if (parser->line_bytes < HTTP_LINE_BYTES) {
		if (kept > HTTP_LINE_BYTES - parser->line_bytes) {
			kept = HTTP_LINE_BYTES - parser->line_bytes;
		}
		memcpy(parser->line + parser->line_bytes, data, kept);
	}
	parser->line_bytes += (uint32_t)taken;
	if (end == NULL) {
		return (int64_t)taken;
	}
	status = judge_line(parser);
	parser->line_bytes = 0;
	return status != 0 ? status : (int64_t)taken + 1;
}

static size_t feed_body(struct http_parser *parser, size_t bytes)
{
	size_t taken = bytes;

	if (parser->state == HTTP_BODY_TO_EOF) {
		return taken;
	}
	if (taken > parser->left) {
		taken = (size_t)parser->left;
	}
	parser->left -= taken;
	if (parser->left == 0) {
		parser->state = parser->state == HTTP_CHUNK_DATA ? HTTP_CHUNK_END : HTTP_DONE;
	}
	return taken;
}

void http_parser_init(struct http_parser *parser, bool is_head)
{
	memset(parser, 0, offsetof(struct http_parser, line));
	parser->is_head = is_head;
}

int64_t http_parser_feed(struct http_parser *parser, const char *data, size_t bytes)
{
	size_t at = 0;

	if (parser->state == HTTP_FAILED) {
		return PFC_EPROTO;
	}
	while (at < bytes && parser->state != HTTP_DONE) {
		if (parser->state == HTTP_BODY_LENGTH || parser->state == HTTP_BODY_TO_EOF ||
		    parser->state == HTTP_CHUNK_DATA) {
			at += feed_body(parser, bytes - at);
		} else {
			int64_t taken = feed_line(parser, data + at, bytes - at);

			if (taken < 0) {
				return taken;
			}
			at += (size_t)taken;
		}
	}
	return (int64_t)at;
}

int http_parser_eof(struct http_parser *parser)
{
	if (parser->state == HTTP_BODY_TO_EOF || parser->state == HTTP_DONE) {
		parser->state = HTTP_DONE;
		return 0;
	}
	parser->why = "closed before the end of the answer";
	return PFC_EIO;
}
