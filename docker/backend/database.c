/* SPDX-License-Identifier: MIT */
#include "database.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The array of strings EVAL SCRIPT 0 as Redis wants it on the wire (RESP: redis.io/docs/reference/protocol-spec). */
#define SCRIPT "local s = 0 for i = 1, 100000 do s = s + i end return s"
static const char query[] = "*3\r\n$4\r\nEVAL\r\n$55\r\n" SCRIPT "\r\n$1\r\n0\r\n";
_Static_assert(sizeof(SCRIPT) == 55 + 1, "the script's length stands in the query");

void database_init(struct database *database, const char *place)
{
	database->place = place;
	database->idle_count = 0;
	pthread_mutex_init(&database->lock, NULL);
}

void database_finish(struct database *database)
{
	while (database->idle_count > 0) {
		close(database->idle[--database->idle_count]);
	}
	pthread_mutex_destroy(&database->lock);
}

static int connect_address(const struct addrinfo *address)
{
	int link = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (link >= 0 && connect(link, address->ai_addr, address->ai_addrlen) != 0) {
		int error = errno;

		close(link);
		errno = error;
		link = -1;
	}
	return link;
}

/* A new connection, or -1 with errno. */
static int connect_place(const char *place)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(place, ':');
	struct addrinfo *address;
	char host[256];
	int link;

	if (colon == NULL ||
	    snprintf(host, sizeof(host), "%.*s", (int)(colon - place), place) >= (int)sizeof(host)) {
		errno = EINVAL;
		return -1;
	}
	if (getaddrinfo(host, colon + 1, &hints, &address) != 0) {
		errno = EHOSTUNREACH;
		return -1;
	}
	link = connect_address(address);
	freeaddrinfo(address);
	return link;
}

static int take_link(struct database *database)
{
	int link = -1;

	pthread_mutex_lock(&database->lock);
	if (database->idle_count > 0) {
		link = database->idle[--database->idle_count];
	}
	pthread_mutex_unlock(&database->lock);
	return link >= 0 ? link : connect_place(database->place);
}

static void give_link_back(struct database *database, int link)
{
	pthread_mutex_lock(&database->lock);
	if (database->idle_count < DATABASE_IDLE_MAX) {
		database->idle[database->idle_count++] = link;
		link = -1;
	}
	pthread_mutex_unlock(&database->lock);
	if (link >= 0) {
		close(link);
	}
}

NOINLINE int ask_database(struct database *database, struct truth *truth)
{
	uint64_t began_ns = truth_clock_ns(CLOCK_MONOTONIC);
	char answer[256];
	ssize_t bytes;
	int link;

	if (database->place == NULL) {
		return EDESTADDRREQ;
	}
	link = take_link(database);
	if (link < 0) {
		return errno;
	}
	bytes = -1;
	if (send(link, query, sizeof(query) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(query) - 1) {
		bytes = recv(link, answer, sizeof(answer), 0);
	}
	if (bytes <= 0 || answer[0] != ':') {
		int error = bytes < 0 ? errno : EPROTO;

		close(link);
		return error;
	}
	give_link_back(database, link);
	truth_add(&truth->db, 1, (uint64_t)bytes, truth_clock_ns(CLOCK_MONOTONIC) - began_ns);
	return 0;
}
