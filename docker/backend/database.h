/* SPDX-License-Identifier: MIT */
/* mode=db: a Redis server as what a page waits for. Its connections are kept between requests. */
#ifndef BACKEND_DATABASE_H
#define BACKEND_DATABASE_H

#include <pthread.h>

#include "truth.h"

#define DATABASE_IDLE_MAX 64

/** Where the server is, and the connections that nobody uses now. */
struct database {
	const char *place; /* "host:port"; NULL when there is none */
	pthread_mutex_t lock;
	int idle[DATABASE_IDLE_MAX];
	unsigned idle_count;
};

/** Connects to nothing yet. */
void database_init(struct database *database, const char *place);
/** Close what is open. */
void database_finish(struct database *database);

/**
 * Ask the server to count to 100000, which takes about a millisecond of its one thread, and wait for the answer.
 *
 * Returns: 0 or an errno value: EDESTADDRREQ without a place, EHOSTUNREACH when its name is unknown, EPROTO when it is
 *          no Redis or refuses.
 */
int ask_database(struct database *database, struct truth *truth);

#endif
