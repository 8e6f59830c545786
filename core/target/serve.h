/* SPDX-License-Identifier: MIT */
/*
 * The streams to the stages: one log of encoded events, and for each stream a place in it. A stream that falls off the
 * log's tail (its stage does not read) loses no memory here: it is told how much it missed and what is new in the state, once
 * it reads again. All calls under the tracker's lock, none blocks.
 */
#ifndef CORE_TARGET_SERVE_H
#define CORE_TARGET_SERVE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "target/opener.h"
#include "target/state.h"

#define SERVE_STREAMS_MAX 256u

struct packet;
struct stream;

struct server {
	struct state *state;
	struct opener *opener;
	struct stream *streams;
	uint32_t stream_count;
	struct packet *first; /* the log */
	struct packet *last;
	struct packet *open; /* not in the log yet */
	size_t log_bytes;
	size_t log_bytes_max;
	uint64_t told_ns; /* time of the latest event: what goes out never goes back in time */
};

void server_init(struct server *server, struct state *state, struct opener *opener);
void server_finish(struct server *server);

/** A new stream that begins with the present state; *ret_fd is the stage's end. */
int server_add(struct server *server, bool may_open_files, int *ret_fd, struct pfc_error *err);

/** Append to the log. */
void server_emit(struct server *server, const struct pfc_target_event *event);

/** Send what can be sent. */
void server_flush(struct server *server);

/** Fill `to` (room for 2 a stream) with what to wait for; returns how many. */
size_t server_polls(const struct server *server, struct pollfd *to);

/** After poll: answer requests, drop streams whose stage is gone. `polls` as server_polls filled it, streams unchanged since. */
void server_handle(struct server *server, const struct pollfd *polls, size_t count);

#endif
