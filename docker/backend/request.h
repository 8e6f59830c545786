/* SPDX-License-Identifier: MIT */
/* An HTTP/1.x request head, parsed out of a buffer that a stranger filled. Allocates nothing, reads only what it was given. */
#ifndef BACKEND_REQUEST_H
#define BACKEND_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#define REQUEST_TARGET_MAX 512
#define REQUEST_BODY_MAX   65536

/** What a client asked for. */
struct request {
	char path[REQUEST_TARGET_MAX];  /* "/slow" */
	char query[REQUEST_TARGET_MAX]; /* "mode=io"; "" when absent */
	bool head;                      /* HEAD: the answer has no body */
	bool keep_alive;
	size_t head_bytes; /* up to and including the empty line */
	size_t body_bytes; /* Content-Length, to be skipped */
};

/**
 * Parse the request that starts at data.
 *
 * Returns: 1 with ret_request filled; 0 when the head is not complete yet; else minus the HTTP status that refuses it
 *          (400, 405, 413, 414, 501, 505), after which the connection cannot go on.
 */
int request_parse(const char *data, size_t bytes, struct request *ret_request);

/** Whether the query says key=value; a value of NULL asks for the key alone. */
bool request_query_has(const struct request *request, const char *key, const char *value);

/** Copy the query's value of key, cut to the room; false when the key is absent. */
bool request_query_value(const struct request *request, const char *key, char *value, size_t room);

#endif
