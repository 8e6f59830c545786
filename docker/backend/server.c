/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"

#define CONNECTIONS_MAX 4096
#define BACKLOG         1024

struct server {
	struct backend *backend;
	int listener;
	int epoll;
	int stop; /* eventfd, readable for ever once the end has come: wakes every worker */
	pthread_t *workers;
	unsigned worker_count;
	pthread_mutex_t lock; /* of the table below */
	struct connection **connections;
	size_t connection_count;
};

static int listen_at(const struct addrinfo *address)
{
	int on = 1;
	int listener = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (listener < 0) {
		return -1;
	}
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, address->ai_addr, address->ai_addrlen) != 0 || listen(listener, BACKLOG) != 0) {
		int error = errno;

		close(listener);
		errno = error;
		return -1;
	}
	return listener;
}

static int open_listener(const struct options *options)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM };
	struct addrinfo *address;
	char port[8];
	int listener;
	int error;

	snprintf(port, sizeof(port), "%u", (unsigned)options->port);
	error = getaddrinfo(options->host, port, &hints, &address);
	if (error != 0) {
		fprintf(stderr, "backend: --host %s: %s\n", options->host, gai_strerror(error));
		return -1;
	}
	listener = listen_at(address);
	freeaddrinfo(address);
	if (listener < 0) {
		fprintf(stderr, "backend: listen on %s port %s: %s; --port 0 takes a free one\n",
			options->host, port, strerror(errno));
	}
	return listener;
}

static int watch(struct server *server, int operation, int fd, uint32_t events, void *what)
{
	struct epoll_event event = { .events = events, .data.ptr = what };

	return epoll_ctl(server->epoll, operation, fd, &event);
}

static bool table_add(struct server *server, struct connection *connection)
{
	bool added = false;

	pthread_mutex_lock(&server->lock);
	if (server->connection_count < CONNECTIONS_MAX) {
		server->connections[server->connection_count++] = connection;
		added = true;
	}
	pthread_mutex_unlock(&server->lock);
	return added;
}

static void close_connection(struct server *server, struct connection *connection)
{
	pthread_mutex_lock(&server->lock);
	for (size_t i = 0; i < server->connection_count; i++) {
		if (server->connections[i] == connection) {
			server->connections[i] = server->connections[--server->connection_count];
			break;
		}
	}
	pthread_mutex_unlock(&server->lock);
	close(connection->socket);
	free(connection);
}

/* Take one waiting client. Another worker may have been faster: then there is none. */
static void accept_client(struct server *server)
{
	int socket = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct connection *connection;
	int on = 1;

	if (socket < 0) {
		return;
	}
	connection = calloc(1, sizeof(*connection));
	if (connection == NULL || !table_add(server, connection)) {
		free(connection);
		close(socket);
		return;
	}
	connection->socket = socket;
	setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (watch(server, EPOLL_CTL_ADD, socket, EPOLLIN | EPOLLONESHOT, connection) != 0) {
		close_connection(server, connection);
	}
}

static void serve_client(struct server *server, struct connection *connection)
{
	enum connection_next next = connection_serve(connection, server->backend);
	uint32_t events = EPOLLIN | EPOLLONESHOT;

	if (next == CONNECTION_AGAIN) {
		events |= EPOLLOUT; /* true at once: another turn after the others */
	}
	if (next == CONNECTION_CLOSE ||
	    watch(server, EPOLL_CTL_MOD, connection->socket, events, connection) != 0) {
		close_connection(server, connection);
	}
}

static void *work_loop(void *arg)
{
	struct server *server = arg;

	for (;;) {
		struct epoll_event event;
		int count = epoll_wait(server->epoll, &event, 1, -1);

		if (count < 0 && errno != EINTR) {
			return NULL;
		}
		if (count <= 0) {
			continue;
		}
		if (event.data.ptr == &server->stop) {
			return NULL;
		}
		if (event.data.ptr == &server->listener) {
			accept_client(server);
		} else {
			serve_client(server, event.data.ptr);
		}
	}
}

struct server *server_create(struct backend *backend)
{
	struct server *server = calloc(1, sizeof(*server));

	if (server == NULL) {
		return NULL;
	}
	server->backend = backend;
	pthread_mutex_init(&server->lock, NULL);
	server->listener = -1;
	server->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	server->connections = calloc(CONNECTIONS_MAX, sizeof(struct connection *));
	server->workers = calloc(backend->options.threads, sizeof(pthread_t));
	if (server->stop < 0 || server->epoll < 0 || server->connections == NULL || server->workers == NULL) {
		fprintf(stderr, "backend: %s\n", strerror(errno));
		server_destroy(server);
		return NULL;
	}
	server->listener = open_listener(&backend->options);
	if (server->listener < 0 ||
	    watch(server, EPOLL_CTL_ADD, server->listener, EPOLLIN | EPOLLEXCLUSIVE, &server->listener) !=
		    0 ||
	    watch(server, EPOLL_CTL_ADD, server->stop, EPOLLIN, &server->stop) != 0) {
		server_destroy(server);
		return NULL;
	}
	return server;
}

unsigned server_port(const struct server *server)
{
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	socklen_t bytes = sizeof(address);

	getsockname(server->listener, (struct sockaddr *)&address, &bytes);
	if (address.ss_family == AF_INET6) {
		return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
	}
	return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

int server_start(struct server *server)
{
	sigset_t all;
	sigset_t before;
	int error = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; i < server->backend->options.threads && error == 0; i++) {
		char name[24];

		error = pthread_create(&server->workers[i], NULL, work_loop, server);
		if (error != 0) {
			fprintf(stderr, "backend: thread: %s\n", strerror(error));
			break;
		}
		snprintf(name, sizeof(name), "worker-%u", i + 1);
		pthread_setname_np(server->workers[i], name);
		server->worker_count++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error == 0 ? 0 : -1;
}

void server_stop(struct server *server)
{
	uint64_t one = 1;

	if (write(server->stop, &one, sizeof(one)) != (ssize_t)sizeof(one)) {
		return;
	}
	for (unsigned i = 0; i < server->worker_count; i++) {
		pthread_join(server->workers[i], NULL);
	}
	server->worker_count = 0;
}

static void close_fd(int fd)
{
	if (fd >= 0) {
		close(fd);
	}
}

void server_destroy(struct server *server)
{
	if (server == NULL) {
		return;
	}
	for (size_t i = 0; server->connections != NULL && i < server->connection_count; i++) {
		close(server->connections[i]->socket);
		free(server->connections[i]);
	}
	free(server->connections);
	free(server->workers);
	close_fd(server->listener);
	close_fd(server->epoll);
	close_fd(server->stop);
	pthread_mutex_destroy(&server->lock);
	free(server);
}
