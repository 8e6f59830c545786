/* SPDX-License-Identifier: MIT */
/*
 * jit-PID.dump: what a just-in-time compiler says of its code in more than names: a record for each function, with its place,
 * and one before it with the lines of its source (Linux, tools/perf/Documentation/jitdump-specification.txt). The compiler maps
 * the file, so that profilers learn where it is. As in perf_map.h later records win, and nothing but the answers is kept.
 */
#ifndef CORE_STACKS_JIT_DUMP_H
#define CORE_STACKS_JIT_DUMP_H

#include <stdbool.h>
#include <stdint.h>

#define JIT_DUMP_NAME_BYTES 512

/** What is known of addresses[index]. file: "" and line 0 where it is not known; not 0 stops. */
typedef int (*jit_dump_code_fn)(void *ctx, uint32_t index, const char *name, const char *file, uint32_t line);

struct jit_dump_request {
	int fd;
	const uint64_t *addresses; /* ascending */
	uint32_t count;
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	jit_dump_code_fn on_code;
	void *ctx;
};

/** Whether a mapped file is called as such files are: .../jit-123.dump. */
bool jit_dump_is(const char *path);

/**
 * Returns: 0, also of a file that breaks off; PFC_ECORRUPT: it is no such file, or of another byte order; PFC_ETIMEDOUT,
 * PFC_ENOSPC (longer than the bound): what was found till then was told; PFC_ENOMEM; what on_code returned.
 */
int jit_dump_resolve(const struct jit_dump_request *request);

#endif
