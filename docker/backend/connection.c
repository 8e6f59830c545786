/* SPDX-License-Identifier: MIT */
#include "connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* What a client may still send after its last answer. Closed with bytes unread, TCP would take the answer back. */
#define LINGER_BYTES (256u << 10)

/* Take bytes off the front of the input. */
static void consume(struct connection *connection, size_t bytes)
{
	memmove(connection->input, connection->input + bytes, connection->input_bytes - bytes);
	connection->input_bytes -= bytes;
}

/* Read what fits; false when the connection is broken. */
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
	if (bytes < 0) {
		return errno == EAGAIN;
	}
	connection->input_bytes += (size_t)bytes;
	connection->input_ended |= bytes == 0;
	return true;
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

static enum connection_next wait_unless_ended(const struct connection *connection)
{
	return connection->input_ended ? CONNECTION_CLOSE : CONNECTION_WAIT;
}

/* No more answers; let the client finish what it is sending, within bounds. */
static enum connection_next linger(struct connection *connection)
{
	if (!connection->answered) {
		connection->answered = true;
		connection->skip_bytes = LINGER_BYTES;
		shutdown(connection->socket, SHUT_WR);
	}
	skip_body(connection);
	return connection->skip_bytes == 0 ? CONNECTION_CLOSE : wait_unless_ended(connection);
}

static enum connection_next refuse(struct connection *connection, int status)
{
	struct answer answer;

	handle_refusal(status, &answer);
	return send_answer(connection, &answer) ? linger(connection) : CONNECTION_CLOSE;
}

static enum connection_next answer_request(struct connection *connection, struct backend *backend,
					   const struct request *request)
{
	struct answer answer;

	consume(connection, request->head_bytes);
	connection->skip_bytes = request->body_bytes;
	skip_body(connection);
	handle_request(backend, request, &answer);
	if (!send_answer(connection, &answer)) {
		return CONNECTION_CLOSE;
	}
	if (!answer.keep_alive) {
		return linger(connection);
	}
	return connection->input_bytes > 0 ? CONNECTION_AGAIN : wait_unless_ended(connection);
}

enum connection_next connection_serve(struct connection *connection, struct backend *backend)
{
	struct request request;
	int parsed;

	if (!receive(connection)) {
		return CONNECTION_CLOSE;
	}
	if (connection->answered) {
		return linger(connection);
	}
	skip_body(connection);
	if (connection->skip_bytes > 0) {
		return wait_unless_ended(connection);
	}
	parsed = request_parse(connection->input, connection->input_bytes, &request);
	if (parsed > 0) {
		return answer_request(connection, backend, &request);
	}
	if (parsed == 0 && connection->input_bytes < sizeof(connection->input)) {
		return wait_unless_ended(connection);
	}
	return refuse(connection, parsed == 0 ? 431 : -parsed);
}
