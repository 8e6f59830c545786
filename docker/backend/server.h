/* SPDX-License-Identifier: MIT */
/* Sockets and threads: one listening socket, one epoll, N workers that each serve whichever connection is next. */
#ifndef BACKEND_SERVER_H
#define BACKEND_SERVER_H

#include "slow.h"

struct server;

/** Listen where the options say; NULL after a message. */
struct server *server_create(struct backend *backend);
/** Its port, also when the options left the choice open. */
unsigned server_port(const struct server *server);
/** Start the workers, which have all signals blocked; 0 or -1 after a message. */
int server_start(struct server *server);
/** Let the workers finish the request they are at, and join them. */
void server_stop(struct server *server);
/** Close all connections and free; NULL is allowed. */
void server_destroy(struct server *server);

#endif
