/* SPDX-License-Identifier: MIT */
/* When a launched command is ready: a URL answers, a port listens, or a time has passed. Looks without blocking. */
#ifndef CORE_TARGET_READY_H
#define CORE_TARGET_READY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define READY_ADDRESSES 2

enum ready_kind {
	READY_NOW = 0, /* nothing was asked for */
	READY_DURATION = 1,
	READY_TCP = 2,
	READY_HTTP = 3,
};

struct ready {
	enum ready_kind kind;
	uint64_t duration_ns;
	struct sockaddr_storage addresses[READY_ADDRESSES]; /* tried in turn: "localhost" is two */
	unsigned address_count;
	unsigned address; /* whose turn it is */
	char *request;    /* HTTP */
	uint64_t began_ns;
	int fd;           /* of the attempt under way; -1 */
	uint64_t attempt_ns; /* when it began, or the next may */
	bool connected;
	char answer[64];  /* HTTP: begin of the answer */
	unsigned answer_bytes;
	char last[96];    /* what came of the last attempt */
};

/** "http://HOST[:PORT]/PATH", "tcp:[HOST:]PORT", a duration, or NULL. HOST is an address or localhost. PFC_EINVAL. */
int ready_parse(const char *text, struct ready *ret, struct pfc_error *err);

/** Go on looking, from now_ns on; 1 ready, 0 not yet. A 2xx or 3xx answer counts. Never blocks. */
int ready_look(struct ready *ready, uint64_t now_ns);

void ready_finish(struct ready *ready);

#endif
