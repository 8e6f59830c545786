/* SPDX-License-Identifier: MIT */
/* What serving is made of: serve_packet.c encodes, serve_files.c answers requests for files, serve.c is the log and the streams. */
#ifndef CORE_TARGET_SERVE_INSIDE_H
#define CORE_TARGET_SERVE_INSIDE_H

#include "target/serve.h"

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
	uint64_t since_ns;     /* the latest event that was sent */
	struct packet *at;     /* next in the log; NULL: all sent */
	struct packet *replay; /* the state, sent before the log goes on */
	struct packet *replay_last;
};

/** An empty one; NULL without memory. */
struct packet *packet_create(void);

/** Whether the event had room. */
bool packet_append(struct packet *packet, const struct pfc_target_event *event);

/** Give back what a full one does not need. [moved] packet. */
struct packet *packet_shrink(struct packet *packet);

/** It and all after it. NULL is fine. */
void packet_destroy_all(struct packet *packet);

/** Take what a stage asks for, as much as is bearable in one turn. */
void serve_files(struct server *server, struct stream *stream);

#endif
