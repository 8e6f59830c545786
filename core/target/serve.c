/* SPDX-License-Identifier: MIT */
#include "target/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "target/passfd.h"
#include "target/related.h"
#include "target/wire.h"

#define LOG_BYTES_MAX    (1u << 20)
#define REPLAY_EVENTS_MAX 400000u
#define REQUESTS_A_TURN  64

struct packet {
	struct packet *next;
	uint32_t bytes;
	uint32_t events; /* without SYNC: what is lost when it is dropped */
	uint64_t last_ns;
	unsigned char data[];
};

struct stream {
	struct stream *next;
	int fd;
	int files_fd; /* -1 once the stage closed it */
	bool may_open_files;
	bool blocked; /* the socket is full */
	bool behind;  /* it must be told the state again */
	bool dead;
	uint64_t missed;
	uint64_t since_ns;          /* the latest event that was sent */
	struct packet *at;          /* next in the log; NULL: all sent */
	struct packet *replay;      /* the state, sent before the log goes on */
	struct packet *replay_last;
};

void server_init(struct server *server, struct state *state, struct opener *opener)
{
	memset(server, 0, sizeof(*server));
	server->state = state;
	server->opener = opener;
	server->log_bytes_max = LOG_BYTES_MAX;
}

static void free_packets(struct packet *packet)
{
	while (packet != NULL) {
		struct packet *next = packet->next;

		free(packet);
		packet = next;
	}
}

static void free_stream(struct stream *stream)
{
	free_packets(stream->replay);
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
	free_packets(server->first);
	free(server->open);
	server->first = NULL;
	server->last = NULL;
	server->open = NULL;
	server->stream_count = 0;
}

/* ---- encoding ---- */

static uint32_t encode(unsigned char *to, size_t room, const struct pfc_target_event *event)
{
	size_t text_bytes = event->text != NULL ? strnlen(event->text, WIRE_TEXT_BYTES - 1) : 0;
	struct wire_event wire = {
		.bytes = (uint32_t)((sizeof(wire) + text_bytes + 1 + 7) & ~(size_t)7),
		.kind = event->kind,
		.time_ns = event->time_ns,
		.pid = event->pid,
		.tid = event->tid,
		.ppid = event->ppid,
		.generation = event->generation,
		.start = event->start,
		.length = event->length,
		.offset = event->offset,
		.inode = event->inode,
		.dev_major = event->dev_major,
		.dev_minor = event->dev_minor,
	};

	if (wire.bytes > room) {
		return 0;
	}
	memset(to, 0, wire.bytes);
	memcpy(to, &wire, sizeof(wire));
	if (text_bytes > 0) {
		memcpy(to + sizeof(wire), event->text, text_bytes);
	}
	return wire.bytes;
}

static struct packet *new_packet(void)
{
	struct packet *packet = malloc(sizeof(*packet) + WIRE_PACKET_BYTES);

	if (packet != NULL) {
		packet->next = NULL;
		packet->bytes = 0;
		packet->events = 0;
		packet->last_ns = 0;
	}
	return packet;
}

static bool append(struct packet *packet, const struct pfc_target_event *event)
{
	uint32_t bytes = encode(packet->data + packet->bytes, WIRE_PACKET_BYTES - packet->bytes, event);

	packet->bytes += bytes;
	packet->events += bytes > 0 && event->kind != PFC_TARGET_SYNC;
	if (bytes > 0 && event->time_ns > packet->last_ns) {
		packet->last_ns = event->time_ns;
	}
	return bytes > 0;
}

/* A full packet takes what it needs, no more. */
static struct packet *shrink(struct packet *packet)
{
	struct packet *smaller = realloc(packet, sizeof(*packet) + packet->bytes);

	return smaller != NULL ? smaller : packet;
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
	packet = shrink(packet);
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
	if (server->open != NULL && append(server->open, &ordered)) {
		return;
	}
	close_packet(server);
	server->open = new_packet();
	if (server->open == NULL || !append(server->open, &ordered)) {
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

	if (packet != NULL && append(packet, event)) {
		return;
	}
	packet = new_packet();
	if (packet == NULL || !append(packet, event)) {
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

/* A list of symbols is asked for by pid alone: only for processes of the target, also ended ones that it still remembers. */
static bool is_known(const struct server *server, const struct related *related)
{
	return related_is_valid(related) &&
	       (related->kind != PFC_TARGET_PERF_MAP || state_proc(server->state, related->pid) != NULL);
}

static void answer(struct server *server, struct stream *stream, const struct wire_request *request, size_t bytes)
{
	size_t path_room = bytes - offsetof(struct wire_request, path);
	struct wire_answer reply = { .id = request->id, .status = PFC_EINVAL };
	struct proc_map map = {
		.inode = request->inode,
		.dev_major = request->dev_major,
		.dev_minor = request->dev_minor,
		.path = request->path,
	};
	struct related related = {
		.kind = request->kind,
		.pid = request->pid,
		.path = request->path,
		.name = request->name,
	};
	bool is_whole = memchr(request->path, '\0', path_room) != NULL &&
			memchr(request->name, '\0', sizeof(request->name)) != NULL;
	int fd;

	if (!stream->may_open_files) {
		reply.status = PFC_EPERM;
	} else if (is_whole && (request->kind == 0 || is_known(server, &related))) {
		fd = fcntl(stream->files_fd, F_DUPFD_CLOEXEC, 0);
		if (fd >= 0) {
			opener_request(server->opener, fd, request->id, &map,
				       request->kind != 0 ? &related : NULL);
			return;
		}
		reply.status = PFC_EIO;
	}
	send(stream->files_fd, &reply, sizeof(reply), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void read_requests(struct server *server, struct stream *stream)
{
	struct wire_request request;

	for (unsigned i = 0; i < REQUESTS_A_TURN; i++) {
		ssize_t bytes = recv(stream->files_fd, &request, sizeof(request), MSG_DONTWAIT);

		if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) {
			return;
		}
		if (bytes <= (ssize_t)offsetof(struct wire_request, path)) {
			close(stream->files_fd);
			stream->files_fd = -1;
			return;
		}
		answer(server, stream, &request, (size_t)bytes);
	}
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
			read_requests(server, stream);
		}
	}
	remove_dead(server);
	trim(server);
}
