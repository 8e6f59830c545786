/* SPDX-License-Identifier: MIT */
/*
 * Inside the client: its state, which client.c (the loop), schedule.c (which request is next) and traffic.c (what becomes
 * of a connection) share. Each connection is in one of three lists:
 *   idle     can take a request now: connected, or down and free to connect
 *   waiting  down, to be tried again at retry_ns
 *   busy     connecting, or with a request under way; oldest first, so that the head is the next to time out
 */
#ifndef LOAD_CLIENT_H
#define LOAD_CLIENT_H

#include <sys/epoll.h>

#include "load.h"

#define LOAD_BUFFER_BYTES 65536
#define LOAD_EVENTS_MAX   256

enum load_phase {
	LOAD_PHASE_CONNECT, /* before T0 */
	LOAD_PHASE_SEND,
	LOAD_PHASE_DRAIN,
};

struct load_client {
	const struct load_settings *settings;
	struct load_recorder *recorder;
	int epoll_fd;
	int stop_fd;
	enum load_phase phase;
	bool has_pwait2; /* Linux 5.11 */
	uint64_t t0_ns;
	uint64_t t1_ns;
	uint64_t drain_end_ns;
	uint64_t due;      /* open loop: number of the next request */
	uint64_t retry_ns; /* when the waiting list is looked through next */
	struct load_link idle;
	struct load_link waiting;
	struct load_link busy;
	struct load_connection *connections;
	struct epoll_event events[LOAD_EVENTS_MAX];
	char buffer[LOAD_BUFFER_BYTES];
};

/** The first of a list that is not empty. */
static inline struct load_connection *load_first(const struct load_link *list)
{
	return (struct load_connection *)list->next;
}

static inline bool load_list_empty(const struct load_link *list)
{
	return list->next == list;
}

/** Move to the end of a list from whichever it is in. */
static inline void load_move_to(struct load_link *list, struct load_link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->prev = list->prev;
	link->next = list;
	list->prev->next = link;
	list->prev = link;
}

uint64_t load_now_ns(void);

/* --- traffic.c --------------------------------------------------------------------------------------------------- */

/** From the idle list: connect if need be, send if it has a request. */
void load_traffic_take(struct load_client *client, struct load_connection *connection, uint64_t start_ns);

/** Something can be received, or the peer has gone. */
void load_traffic_receive(struct load_client *client, struct load_connection *connection);

/** Send on what is left of the request. */
void load_traffic_send(struct load_client *client, struct load_connection *connection);

/** An event came while connecting. */
void load_traffic_opened(struct load_client *client, struct load_connection *connection);

/** Record its request, if it has one, as failed; close it. It goes to the idle or the waiting list. */
void load_traffic_fail(struct load_client *client, struct load_connection *connection, uint8_t error,
		       uint64_t now);

/* --- schedule.c -------------------------------------------------------------------------------------------------- */

/** Give requests that are due to the connections that are free. */
void load_schedule_dispatch(struct load_client *client);

/** Open loop: requests that found no connection within the timeout have timed out. */
void load_schedule_expire(struct load_client *client, uint64_t now);

/** Open loop, at the end: record what was due and found no connection. */
void load_schedule_give_up(struct load_client *client);

/** Open loop: when the next request is due. */
uint64_t load_schedule_due(const struct load_client *client);

#endif
