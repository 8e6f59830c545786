/* SPDX-License-Identifier: MIT */
/*
 * /tmp/perf-PID.map: what a just-in-time compiler says of its code, a line "start bytes name" (hex, hex, text) for each function
 * as it makes it. Later lines win: code memory is used again. Read once for all addresses, keeping nothing but the answers, so
 * that a list of any length costs its reading.
 */
#ifndef CORE_STACKS_PERF_MAP_H
#define CORE_STACKS_PERF_MAP_H

#include <stdint.h>

#define PERF_MAP_NAME_BYTES 512

/** The name of addresses[index], cut at PERF_MAP_NAME_BYTES; not 0 stops. */
typedef int (*perf_map_name_fn)(void *ctx, uint32_t index, const char *name);

struct perf_map_request {
	int fd;
	const uint64_t *addresses; /* ascending */
	uint32_t count;
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	perf_map_name_fn on_name;
	void *ctx;
};

/**
 * Name the addresses that a line covers.
 * Returns: 0; PFC_ETIMEDOUT, PFC_ENOSPC (the list is longer than the bound): what was found till then was told; PFC_ENOMEM;
 * what on_name returned.
 */
int perf_map_resolve(const struct perf_map_request *request);

#endif
