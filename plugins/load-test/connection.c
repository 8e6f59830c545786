/* SPDX-License-Identifier: MIT */
/* One socket: connect, send, receive, close; never blocks, decides nothing about when. */
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * LOAD_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void watch(struct load_connection *connection, int epoll_fd, int operation, bool out)
{
	struct epoll_event event = { .events = EPOLLIN | (out ? EPOLLOUT : 0) };

	event.data.u64 = (uint64_t)connection->generation << 32 | connection->index;
	if (epoll_ctl(epoll_fd, operation, connection->fd, &event) == 0) {
		connection->wants_out = out;
	}
}

static uint16_t local_port(int fd)
{
	struct sockaddr_storage address;
	socklen_t bytes = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &bytes) != 0) {
		return 0;
	}
	if (address.ss_family == AF_INET6) {
		return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
	}
	return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static enum load_progress connected(struct load_connection *connection, int epoll_fd)
{
	connection->state = LOAD_STATE_UP;
	connection->answers = 0;
	connection->local_port = local_port(connection->fd);
	if (connection->wants_out) {
		watch(connection, epoll_fd, EPOLL_CTL_MOD, false);
	}
	return LOAD_PROGRESS_CONNECTED;
}

void load_connection_close(struct load_connection *connection)
{
	if (connection->fd >= 0) {
		close(connection->fd);
	}
	connection->fd = -1;
	connection->generation++;
	connection->state = LOAD_STATE_DOWN;
	connection->local_port = 0;
}

enum load_progress load_connection_open(struct load_connection *connection, int epoll_fd,
					const struct load_settings *settings)
{
	const struct sockaddr *address = (const struct sockaddr *)&settings->addresses[connection->address];
	int one = 1;
	int status;

	connection->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (connection->fd < 0) {
		return LOAD_PROGRESS_ERROR;
	}
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	connection->state = LOAD_STATE_CONNECTING;
	status = connect(connection->fd, address, settings->address_bytes[connection->address]);
	if (status != 0 && errno != EINPROGRESS) {
		int saved = errno;

		load_connection_close(connection);
		errno = saved;
		return LOAD_PROGRESS_ERROR;
	}
	watch(connection, epoll_fd, EPOLL_CTL_ADD, status != 0);
	return status != 0 ? LOAD_PROGRESS_WAIT : connected(connection, epoll_fd);
}

enum load_progress load_connection_opened(struct load_connection *connection, int epoll_fd)
{
	int error = 0;
	socklen_t bytes = sizeof(error);

	if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) {
		error = errno;
	}
	if (error != 0) {
		load_connection_close(connection);
		errno = error;
		return LOAD_PROGRESS_ERROR;
	}
	return connected(connection, epoll_fd);
}

enum load_progress load_connection_send(struct load_connection *connection, int epoll_fd,
					const struct load_settings *settings, uint8_t *ret_error)
{
	size_t left = settings->request_bytes - connection->sent_bytes;
	ssize_t sent;
	bool is_partial;

	if (connection->state == LOAD_STATE_UP) {
		connection->state = LOAD_STATE_BUSY;
		connection->first_byte_ns = 0;
		connection->received_bytes = 0;
		connection->sent_bytes = 0;
		left = settings->request_bytes;
		http_parser_init(&connection->parser, settings->is_head);
		connection->sent_ns = now_ns();
	}
	sent = send(connection->fd, settings->request + connection->sent_bytes, left, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		/* An answer may stand in the socket all the same (413, and closed): let the receiver find out. */
		if (errno != EPIPE && errno != ECONNRESET) {
			*ret_error = LOAD_OTHER;
			return LOAD_PROGRESS_ERROR;
		}
		return LOAD_PROGRESS_WAIT;
	}
	connection->sent_bytes += sent > 0 ? (size_t)sent : 0;
	is_partial = connection->sent_bytes < settings->request_bytes;
	if (is_partial != connection->wants_out) {
		watch(connection, epoll_fd, EPOLL_CTL_MOD, is_partial);
	}
	return LOAD_PROGRESS_WAIT;
}

static enum load_progress closed_by_peer(struct load_connection *connection, uint8_t *ret_error)
{
	connection->parser.close = true;
	if (connection->state == LOAD_STATE_BUSY && http_parser_eof(&connection->parser) == 0) {
		return LOAD_PROGRESS_ANSWERED;
	}
	*ret_error = LOAD_CLOSED;
	return LOAD_PROGRESS_ERROR;
}

enum load_progress load_connection_receive(struct load_connection *connection, char *buffer,
					   size_t buffer_bytes, uint8_t *ret_error)
{
	struct http_parser *parser = &connection->parser;
	ssize_t got = recv(connection->fd, buffer, buffer_bytes, 0);
	int64_t taken;

	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return LOAD_PROGRESS_WAIT;
	}
	*ret_error = LOAD_CLOSED;
	if (got < 0) {
		return LOAD_PROGRESS_ERROR;
	}
	if (got == 0) {
		return closed_by_peer(connection, ret_error);
	}
	if (connection->state != LOAD_STATE_BUSY) {
		*ret_error = LOAD_PROTOCOL;
		return LOAD_PROGRESS_ERROR;
	}
	if (connection->first_byte_ns == 0) {
		connection->first_byte_ns = now_ns();
	}
	connection->received_bytes += (uint64_t)got;
	taken = http_parser_feed(parser, buffer, (size_t)got);
	if (taken >= 0 && taken < got) {
		parser->why = "bytes after the end of the answer";
	}
	if (taken < got) {
		*ret_error = LOAD_PROTOCOL;
		return LOAD_PROGRESS_ERROR;
	}
	return parser->state == HTTP_DONE ? LOAD_PROGRESS_ANSWERED : LOAD_PROGRESS_WAIT;
}
