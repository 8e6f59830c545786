/* SPDX-License-Identifier: MIT */
/* The backend's command line. */
#ifndef BACKEND_OPTIONS_H
#define BACKEND_OPTIONS_H

#include <stdint.h>

#include "work.h"

/** All options, with their defaults from options_parse. */
struct options {
	const char *host; /* IPv4 or IPv6 address to bind */
	uint16_t port;    /* 0: any free one */
	unsigned threads;
	uint64_t work_us;         /* CPU time of one /slow request */
	double split[WORK_COUNT]; /* share of each piece of work, sum 1 */
	uint64_t leak_bytes;      /* per request with mode=leak */
	uint64_t leak_limit;      /* bytes leaked in all, then no more */
	uint64_t reads;           /* per request with mode=syscalls */
	const char *folder;       /* of the file that mode=io and mode=syscalls use */
	const char *db;           /* "host:port" of the Redis server that mode=db asks; NULL: none */
};

/** Fill the options from the command line; 0, 1 when only help was asked for (and printed), -1 after a message. */
int options_parse(int argc, char **argv, struct options *ret_options);

#endif
