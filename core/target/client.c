/* SPDX-License-Identifier: MIT */
/*
 * The reader looks at the packet that is next without taking it, and takes it when its last event is out: so the socket
 * itself is readable exactly while next() has something, and what is not read yet waits in the socket, not here.
 */
#include "target/client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "target/passfd.h"
#include "target/wire.h"

#define HELLO_MS 2000

struct target_client {
	struct pfc_target_service service;
	int fd;
	int files_fd;
	bool ended;
	size_t bytes; /* of the packet looked at; 0: none */
	size_t at;    /* the next event in it */
	pthread_mutex_t files_lock;
	uint32_t request_id;
	_Alignas(8) unsigned char packet[WIRE_PACKET_BYTES];
};

/* ---- events ---- */

static int32_t client_fd(void *ctx)
{
	struct target_client *client = ctx;

	return client->fd;
}

/* From the socket; the copy here stays, because its last text is the caller's until the next call. */
static void take_packet(const struct target_client *client)
{
	char byte;
	ssize_t ignored = recv(client->fd, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC);

	(void)ignored;
}

static int32_t look_at_packet(struct target_client *client)
{
	ssize_t got = recv(client->fd, client->packet, sizeof(client->packet), MSG_DONTWAIT | MSG_PEEK);

	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return PFC_EAGAIN;
	}
	if (got <= 0) {
		client->ended = true;
		return PFC_ECANCELED;
	}
	client->bytes = (size_t)got;
	client->at = 0;
	return PFC_OK;
}

/* The event at the cursor, or NULL when the packet is not well formed. */
static const struct wire_event *checked_event(const struct target_client *client)
{
	const struct wire_event *wire = (const void *)(client->packet + client->at);
	size_t rest = client->bytes - client->at;

	if (rest < sizeof(*wire) || wire->bytes <= sizeof(*wire) || wire->bytes > rest || wire->bytes % 8 != 0 ||
	    ((const char *)wire)[wire->bytes - 1] != '\0') {
		return NULL;
	}
	return wire;
}

static void fill_event(const struct wire_event *wire, struct pfc_target_event *ret)
{
	struct pfc_target_event event = {
		.struct_size = ret->struct_size,
		.kind = wire->kind,
		.time_ns = wire->time_ns,
		.pid = wire->pid,
		.tid = wire->tid,
		.ppid = wire->ppid,
		.generation = wire->generation,
		.start = wire->start,
		.length = wire->length,
		.offset = wire->offset,
		.inode = wire->inode,
		.dev_major = wire->dev_major,
		.dev_minor = wire->dev_minor,
		.text = (const char *)(wire + 1),
	};

	memcpy(ret, &event, ret->struct_size < sizeof(event) ? ret->struct_size : sizeof(event));
}

static int32_t client_next(void *ctx, struct pfc_target_event *ret)
{
	struct target_client *client = ctx;
	const struct wire_event *wire;
	int32_t status;

	if (ret == NULL || ret->struct_size < offsetof(struct pfc_target_event, pid)) {
		return PFC_EINVAL;
	}
	if (client->ended) {
		return PFC_ECANCELED;
	}
	if (client->at >= client->bytes) {
		status = look_at_packet(client);
		if (status < 0) {
			return status;
		}
	}
	wire = checked_event(client);
	if (wire == NULL) {
		client->ended = true;
		return PFC_ECANCELED;
	}
	fill_event(wire, ret);
	client->at += wire->bytes;
	if (client->at >= client->bytes) {
		take_packet(client);
	}
	return PFC_OK;
}

/* ---- files ---- */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Wait for the answer to `id`; answers to requests that were given up are dropped. */
static int32_t await_answer(struct target_client *client, uint32_t id, int64_t until_ms)
{
	for (;;) {
		struct pollfd poll_fd = { .fd = client->files_fd, .events = POLLIN };
		struct wire_answer answer;
		int64_t rest_ms = until_ms - now_ms();
		int ready = poll(&poll_fd, 1, rest_ms > 0 ? (int)rest_ms : 0);
		ssize_t got;
		int fd = -1;

		if (ready == 0 || (ready < 0 && errno != EINTR)) {
			return PFC_ETIMEDOUT;
		}
		got = passfd_receive(client->files_fd, &answer, sizeof(answer), &fd);
		if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
			continue;
		}
		if (got != (ssize_t)sizeof(answer)) {
			return PFC_ENOENT; /* the tracker has gone */
		}
		if (answer.id == id) {
			return answer.status < 0 ? answer.status : fd >= 0 ? fd : PFC_EIO;
		}
		if (fd >= 0) {
			close(fd);
		}
	}
}

/* Send a request whose path is set, and wait for its answer. */
static int32_t ask(struct target_client *client, struct wire_request *request)
{
	int64_t until_ms = now_ms() + WIRE_ANSWER_MS;
	struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };
	int32_t status;

	if (pthread_mutex_clocklock(&client->files_lock, CLOCK_MONOTONIC, &until) != 0) {
		return PFC_ETIMEDOUT;
	}
	request->id = ++client->request_id;
	if (send(client->files_fd, request, offsetof(struct wire_request, path) + strlen(request->path) + 1,
		 MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		status = errno == EAGAIN ? PFC_ETIMEDOUT : PFC_ENOENT;
	} else {
		status = await_answer(client, request->id, until_ms);
	}
	pthread_mutex_unlock(&client->files_lock);
	return status;
}

/* The request for something about a mapping. False: it is no mapping, or its path is too long. */
static bool fill_request(const struct pfc_target_event *map, struct wire_request *request)
{
	memset(request, 0, sizeof(*request));
	if (map == NULL || map->struct_size < sizeof(*map) || map->kind != PFC_TARGET_MAP || map->text == NULL ||
	    strnlen(map->text, sizeof(request->path)) >= sizeof(request->path)) {
		return false;
	}
	strcpy(request->path, map->text);
	request->inode = map->inode;
	request->dev_major = map->dev_major;
	request->dev_minor = map->dev_minor;
	request->pid = map->pid;
	return true;
}

static int32_t client_open_mapped(void *ctx, const struct pfc_target_event *map)
{
	struct wire_request request;

	return fill_request(map, &request) && map->inode != 0 ? ask(ctx, &request) : PFC_EINVAL;
}

static int32_t client_open_related(void *ctx, const struct pfc_target_event *map, uint32_t kind, const char *name)
{
	struct wire_request request;

	if (!fill_request(map, &request) || kind == 0 ||
	    (name != NULL && strnlen(name, sizeof(request.name)) >= sizeof(request.name))) {
		return PFC_EINVAL;
	}
	strcpy(request.name, name != NULL ? name : "");
	request.kind = kind;
	return ask(ctx, &request);
}

/* ---- life ---- */

/* The first packet brings the socket for files. */
static int receive_hello(struct target_client *client, struct pfc_error *err)
{
	struct pollfd poll_fd = { .fd = client->fd, .events = POLLIN };
	uint32_t hello = 0;

	if (poll(&poll_fd, 1, HELLO_MS) <= 0 ||
	    passfd_receive(client->fd, &hello, sizeof(hello), &client->files_fd) != (ssize_t)sizeof(hello) ||
	    hello != WIRE_HELLO || client->files_fd < 0) {
		return error_set(err, PFC_EPROTO, "it does not begin with a hello", "read the target stream");
	}
	return PFC_OK;
}

int target_client_create(int fd, struct target_client **ret, struct pfc_error *err)
{
	struct target_client *client = calloc(1, sizeof(*client));
	int status;

	if (client == NULL) {
		close(fd);
		return error_nomem(err);
	}
	client->fd = fd;
	client->files_fd = -1;
	pthread_mutex_init(&client->files_lock, NULL);
	client->service = (struct pfc_target_service){
		.struct_size = sizeof(client->service),
		.ctx = client,
		.fd = client_fd,
		.next = client_next,
		.open_mapped = client_open_mapped,
		.open_related = client_open_related,
	};
	status = receive_hello(client, err);
	if (status < 0) {
		target_client_destroy(client);
		return status;
	}
	*ret = client;
	return PFC_OK;
}

const struct pfc_target_service *target_client_service(struct target_client *client)
{
	return &client->service;
}

void target_client_destroy(struct target_client *client)
{
	if (client == NULL) {
		return;
	}
	close(client->fd);
	if (client->files_fd >= 0) {
		close(client->files_fd);
	}
	pthread_mutex_destroy(&client->files_lock);
	free(client);
}
