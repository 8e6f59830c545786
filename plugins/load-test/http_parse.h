/* SPDX-License-Identifier: MIT */
/*
 * An incremental parser of HTTP/1.x answers (RFC 9112): says where an answer ends, its status, and whether the
 * connection may be used again. It keeps no body and allocates nothing. What it reads is hostile.
 */
#ifndef LOAD_HTTP_PARSE_H
#define LOAD_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Status line, headers (of interim answers too) and trailers of one answer together. */
#define HTTP_HEAD_BYTES_MAX 65536
/* A chunk-size line with its extensions. */
#define HTTP_CHUNK_LINE_BYTES_MAX 4096
/* What is kept of a line: enough for each header that is understood. */
#define HTTP_LINE_BYTES 256

enum http_state {
	HTTP_STATUS_LINE = 0,
	HTTP_HEADERS,
	HTTP_BODY_LENGTH, /* `left` bytes to go */
	HTTP_BODY_TO_EOF,
	HTTP_CHUNK_SIZE,
	HTTP_CHUNK_DATA, /* `left` bytes to go */
	HTTP_CHUNK_END,  /* the line break after the data of a chunk */
	HTTP_TRAILERS,
	HTTP_DONE,
	HTTP_FAILED,
};

struct http_parser {
	uint8_t state; /* enum http_state */
	bool is_head;  /* answer to HEAD: never a body */
	bool has_length;
	bool has_coding; /* any Transfer-Encoding */
	bool is_chunked; /* "chunked" is the last one */
	bool close;      /* the connection ends with this answer */
	uint16_t status; /* 0 until known */
	uint32_t head_bytes;
	uint32_t line_bytes; /* of the present line, also what was not kept */
	uint64_t left;
	const char *why; /* static text when failed */
	char line[HTTP_LINE_BYTES];
};

void http_parser_init(struct http_parser *parser, bool is_head);

/**
 * Read bytes of the answer.
 *
 * Returns: how many were taken: all, or fewer when state is HTTP_DONE; PFC_EPROTO (state HTTP_FAILED, `why` set).
 */
int64_t http_parser_feed(struct http_parser *parser, const char *data, size_t bytes);

/** The peer closed. Returns 0 when that ends the answer (state HTTP_DONE), PFC_EIO when it cut the answer short. */
int http_parser_eof(struct http_parser *parser);

#endif
