/* SPDX-License-Identifier: MIT */
#include "connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Take bytes off the front of the input. */
static void consume(struct connection *connection, size_t bytes)
{
	memmove(connection->input, connection->input + bytes, connection->input_bytes - bytes);
	connection->input_bytes -= bytes;
}

/* Read what fits; false when the client has gone. */
static bool receive(struct connection *connection)
{
	size_t room = sizeof(connection->input) - connection->input_bytes;
	ssize_t bytes;

	if (room == 0) {
		return true;
	}
	do {
		bytes = recv(connection->socket, connection->input + connection->input_bytes, room, 0);
	} while (bytes < 0 && errno == EINTR);
	if (bytes > 0) {
		connection->input_bytes += (size_t)bytes;
	}
	return bytes > 0 || (bytes < 0 && errno == EAGAIN);
}

static void skip_body(struct connection *connection)
{
	size_t bytes = connection->skip_bytes < connection->input_bytes ? connection->skip_bytes
									: connection->input_bytes;

	consume(connection, bytes);
	connection->skip_bytes -= bytes;
}

/* All of it at once or not at all: the socket's buffer holds many answers. */
static bool send_answer(const struct connection *connection, const struct answer *answer)
{
	ssize_t bytes;

	do {
		bytes = send(connection->socket, answer->text, answer->bytes, MSG_NOSIGNAL);
	} while (bytes < 0 && errno == EINTR);
	return bytes == (ssize_t)answer->bytes && answer->bytes > 0;
}

enum connection_next connection_serve(struct connection *connection, struct backend *backend)
{
	struct request request;
	struct answer answer;
	int parsed;

	if (!receive(connection)) {
		return CONNECTION_CLOSE;
	}
	skip_body(connection);
	if (connection->skip_bytes > 0) {
		return CONNECTION_WAIT;
	}
	parsed = request_parse(connection->input, connection->input_bytes, &request);
	if (parsed == 0 && connection->input_bytes < sizeof(connection->input)) {
		return CONNECTION_WAIT;
	}
	if (parsed <= 0) {
		handle_refusal(parsed == 0 ? 431 : -parsed, &answer);
		send_answer(connection, &answer);
		return CONNECTION_CLOSE;
	}
	consume(connection, request.head_bytes);
	connection->skip_bytes = request.body_bytes;
	skip_body(connection);
	handle_request(backend, &request, &answer);
	if (!send_answer(connection, &answer) || !answer.keep_alive) {
		return CONNECTION_CLOSE;
	}
	return connection->input_bytes > 0 ? CONNECTION_AGAIN : CONNECTION_WAIT;
}
