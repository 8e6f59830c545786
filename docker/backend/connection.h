/* SPDX-License-Identifier: MIT */
/* One client's connection: bytes in, requests out of them, answers back. Owned by one worker at a time. */
#ifndef BACKEND_CONNECTION_H
#define BACKEND_CONNECTION_H

#include "handle.h"

#define CONNECTION_INPUT_BYTES 8192

/** A connection. Zero but for the socket when new. */
struct connection {
	int socket;
	bool input_ended;  /* the client has sent all it wants to */
	bool answered;     /* the last answer is out: what still comes is thrown away */
	size_t skip_bytes; /* of a request's body, or after the last answer, still to come */
	size_t input_bytes;
	char input[CONNECTION_INPUT_BYTES];
};

/** What is to be done with the connection next. */
enum connection_next {
	CONNECTION_CLOSE,
	CONNECTION_WAIT,  /* until more comes in */
	CONNECTION_AGAIN, /* a complete request is still in the buffer */
};

/**
 * Read what is there and answer at most one request, so that a client who sends many at once shares the workers with the
 * others. Never waits: a client that does not read its answers is let go.
 */
enum connection_next connection_serve(struct connection *connection, struct backend *backend);

#endif
