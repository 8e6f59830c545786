/* SPDX-License-Identifier: MIT */
#include "target/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "target/passfd.h"
#include "target/serve_inside.h"
#include "target/wire.h"

#define LOG_BYTES_MAX     (1u << 20)
#define REPLAY_EVENTS_MAX 400000u
#define REQUESTS_A_TURN   64

void server_init(struct server *server, struct state *state, struct opener *opener)
{
	memset(server, 0, sizeof(*server));
	server->state = state;
	server->opener = opener;
	server->log_bytes_max = LOG_BYTES_MAX;
}

static void free_stream(struct stream *stream)
{
	packet_destroy_all(stream->replay);
	if (stream->fd >= 0) {
		close(stream->fd);
	}
	if (stream->files_fd >= 0) {
		close(stream->files_fd);
	}
	free(stream);
}

void server_finish(struct server *server)
{
	while (server->streams != NULL) {
		struct stream *next = server->streams->next;

		free_stream(server->streams);
		server->streams = next;
	}
	packet_destroy_all(server->first);
	free(server->open);
	server->first = NULL;
	server->last = NULL;
	server->open = NULL;
	server->stream_count = 0;
}

/* ---- the log ---- */

static void fall_behind(struct stream *stream)
{
	for (struct packet *packet = stream->at; packet != NULL; packet = packet->next) {
		stream->missed += packet->events;
	}
	stream->at = NULL;
	stream->behind = true;
}

static bool is_wanted(const struct server *server, const struct packet *packet)
{
	for (const struct stream *stream = server->streams; stream != NULL; stream = stream->next) {
		if (stream->at == packet) {
			return true;
		}
	}
	return false;
}

/* Drop what all have; beyond the bound also what somebody has not. */
static void trim(struct server *server)
{
	while (server->first != NULL) {
		struct packet *packet = server->first;

		if (is_wanted(server, packet)) {
			if (server->log_bytes <= server->log_bytes_max) {
				return;
			}
			for (struct stream *stream = server->streams; stream != NULL; stream = stream->next) {
				if (stream->at == packet) {
					fall_behind(stream);
				}
			}
		}
		server->log_bytes -= packet->bytes;
		server->first = packet->next;
		if (server->first == NULL) {
			server->last = NULL;
		}
		free(packet);
	}
}

/* Put the open packet into the log. */
static void close_packet(struct server *server)
{
	struct packet *packet = server->open;

	server->open = NULL;
	if (packet == NULL) {
		return;
	}
	packet = packet_shrink(packet);
	for (struct stream *stream = server->streams; stream != NULL; stream = stream->next) {
		if (stream->behind) {
			stream->missed += packet->events;
		} else if (stream->at == NULL) {
			stream->at = packet;
		}
	}
	if (server->last != NULL) {
		server->last->next = packet;
	} else {
		server->first = packet;
	}
	server->last = packet;
	server->log_bytes += packet->bytes;
	trim(server);
}

static void all_fall_behind(struct server *server)
{
	for (struct stream *stream = server->streams; stream != NULL; stream = stream->next) {
		fall_behind(stream);
		stream->missed++;
	}
}

void server_emit(struct server *server, const struct pfc_target_event *event)
{
	struct pfc_target_event ordered = *event;

	if (ordered.time_ns < server->told_ns) {
		ordered.time_ns = server->told_ns;
	}
	server->told_ns = ordered.time_ns;
	if (server->streams == NULL) {
		return;
	}
	if (server->open != NULL && packet_append(server->open, &ordered)) {
		return;
	}
	close_packet(server);
	server->open = packet_create();
	if (server->open == NULL || !packet_append(server->open, &ordered)) {
		all_fall_behind(server);
	}
}

/* ---- replay ---- */

struct replay {
	struct stream *stream;
	uint64_t failed;
};

static void emit_replay(void *ctx, const struct pfc_target_event *event)
{
	struct replay *replay = ctx;
	struct stream *stream = replay->stream;
	struct packet *packet = stream->replay_last;

	if (packet != NULL && packet_append(packet, event)) {
		return;
	}
	packet = packet_create();
	if (packet == NULL || !packet_append(packet, event)) {
		free(packet);
		replay->failed++;
		return;
	}
	if (stream->replay_last != NULL) {
		stream->replay_last->next = packet;
	} else {
		stream->replay = packet;
	}
	stream->replay_last = packet;
}

static void tell_loss(struct replay *replay, uint64_t time_ns, uint64_t count)
{
	struct pfc_target_event event = {
		.kind = PFC_TARGET_LOST,
		.time_ns = time_ns,
		.generation = 1,
		.length = count,
	};

	if (count > 0) {
		emit_replay(replay, &event);
	}
}

/* Queue the state for a stream that is new or was too slow. What it missed is told last: it is about all before that time. */
static void replay_state(struct server *server, struct stream *stream)
{
	struct replay replay = { .stream = stream };
	uint64_t missed = stream->missed;

	stream->behind = false;
	stream->missed = 0;
	missed += state_replay(server->state, stream->since_ns, REPLAY_EVENTS_MAX, emit_replay, &replay);
	tell_loss(&replay, server->told_ns, missed + replay.failed);
}

/* ---- sending ---- */

/* Returns false when the socket is full or the stage is gone. */
static bool send_packet(struct stream *stream, const struct packet *packet)
{
	ssize_t sent = send(stream->fd, packet->data, packet->bytes, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent >= 0) {
		stream->since_ns = packet->last_ns > stream->since_ns ? packet->last_ns : stream->since_ns;
		return true;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM) {
		stream->blocked = true;
	} else {
		stream->dead = true;
	}
	return false;
}

static void pump(struct server *server, struct stream *stream)
{
	stream->blocked = false;
	while (!stream->dead) {
		if (stream->replay != NULL) {
			struct packet *packet = stream->replay;

			if (!send_packet(stream, packet)) {
				return;
			}
			stream->replay = packet->next;
			if (stream->replay == NULL) {
				stream->replay_last = NULL;
			}
			free(packet);
		} else if (stream->behind) {
			replay_state(server, stream);
		} else if (stream->at != NULL) {
			if (!send_packet(stream, stream->at)) {
				return;
			}
			stream->at = stream->at->next;
		} else {
			return;
		}
	}
}

static void remove_dead(struct server *server)
{
	struct stream **link = &server->streams;

	while (*link != NULL) {
		struct stream *stream = *link;

		if (stream->dead) {
			*link = stream->next;
			server->stream_count--;
			free_stream(stream);
		} else {
			link = &stream->next;
		}
	}
}

void server_flush(struct server *server)
{
	close_packet(server);
	for (struct stream *stream = server->streams; stream != NULL; stream = stream->next) {
		if (!stream->blocked) {
			pump(server, stream);
		}
	}
	trim(server);
}

/* ---- streams ---- */

static int make_pairs(int events[2], int files[2], struct pfc_error *err)
{
	uint32_t hello = WIRE_HELLO;
	int status = PFC_OK;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, events) < 0) {
		return error_errno(err, errno, "create the socket of a target stream");
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, files) < 0) {
		status = error_errno(err, errno, "create the socket of a target stream");
		close(events[0]);
		close(events[1]);
		return status;
	}
	if (passfd_send(events[0], &hello, sizeof(hello), files[1]) < 0) {
		status = error_errno(err, errno, "begin a target stream");
		close(events[0]);
		close(events[1]);
		close(files[0]);
	}
	close(files[1]);
	return status;
}

int server_add(struct server *server, bool may_open_files, int *ret_fd, struct pfc_error *err)
{
	struct stream *stream = NULL;
	int events[2];
	int files[2];
	int status;

	if (server->stream_count >= SERVE_STREAMS_MAX) {
		return error_set(err, PFC_ENOSPC, "there are 256 already", "open a target stream");
	}
	status = make_pairs(events, files, err);
	if (status < 0) {
		return status;
	}
	stream = calloc(1, sizeof(*stream));
	if (stream == NULL) {
		close(events[0]);
		close(events[1]);
		close(files[0]);
		return error_nomem(err);
	}
	close_packet(server); /* the state holds what is in it */
	stream->fd = events[0];
	stream->files_fd = files[0];
	stream->may_open_files = may_open_files;
	stream->behind = true;
	stream->next = server->streams;
	server->streams = stream;
	server->stream_count++;
	pump(server, stream);
	*ret_fd = events[1];
	return PFC_OK;
}

size_t server_polls(const struct server *server, struct pollfd *to)
{
	size_t count = 0;

	for (const struct stream *stream = server->streams; stream != NULL; stream = stream->next) {
		to[count++] = (struct pollfd){ .fd = stream->fd, .events = stream->blocked ? POLLOUT : 0 };
		to[count++] = (struct pollfd){ .fd = stream->files_fd, .events = POLLIN };
	}
	return count;
}

void server_handle(struct server *server, const struct pollfd *polls, size_t count)
{
	struct stream *stream = server->streams;

	for (size_t i = 0; i + 1 < count && stream != NULL; i += 2, stream = stream->next) {
		if (polls[i].fd != stream->fd) {
			return; /* a stream was added meanwhile, in front: next turn */
		}
		if ((polls[i].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
			stream->dead = true;
		} else if ((polls[i].revents & POLLOUT) != 0) {
			pump(server, stream);
		}
		if (!stream->dead && stream->files_fd >= 0 && polls[i + 1].revents != 0) {
			serve_files(server, stream);
		}
	}
	remove_dead(server);
	trim(server);
}
