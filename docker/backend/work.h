/* SPDX-License-Identifier: MIT */
/*
 * The three pieces of real work whose shares are planted. Each is one function without callees, not even inline ones, in
 * a file of its own, so that neither inlining nor cloning nor a C library call blurs what a profiler must find. The unit of each is one pass;
 * calibrate.c finds out how many passes fill a share of a request.
 */
#ifndef BACKEND_WORK_H
#define BACKEND_WORK_H

#include <stdint.h>

#define NOINLINE __attribute__((noinline))

enum work {
	WORK_HASH,
	WORK_SORT,
	WORK_MARKDOWN,
	WORK_COUNT,
};

/** Hash a block of 16 words, chained over so many rounds. */
uint64_t hash_rounds(uint64_t seed, uint64_t rounds);

/** Order 64 comments by score, so many times with new scores. */
uint64_t sort_comments(uint64_t seed, uint64_t passes);

/** Turn a comment of about 200 bytes into HTML, so many times. */
uint64_t render_markdown(uint64_t seed, uint64_t passes);

/** Do so many passes of one piece; the result depends on all of them. */
uint64_t work_do(enum work work, uint64_t seed, uint64_t passes);

/** Name of the function that does it, "hash_rounds". */
const char *work_name(enum work work);

#endif
