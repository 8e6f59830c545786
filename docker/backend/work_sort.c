/* SPDX-License-Identifier: MIT */
/* The middle piece: comments ordered by score, on every request, though the order rarely changes. */
#include "work.h"

#define COMMENTS 64

struct comment {
	uint32_t score;
	uint32_t id;
};

NOINLINE uint64_t sort_comments(uint64_t seed, uint64_t passes)
{
	struct comment comments[COMMENTS];
	uint64_t random = seed | 1;
	uint64_t sum = 0;

	for (uint64_t pass = 0; pass < passes; pass++) {
		for (uint32_t i = 0; i < COMMENTS; i++) {
			random = random * 6364136223846793005u + 1442695040888963407u; /* an LCG of Knuth's */
			comments[i] = (struct comment){ (uint32_t)(random >> 33), i };
		}
		/* Shell sort, gaps 13, 4, 1: no callee and no extra memory. */
		for (uint32_t gap = 13; gap > 0; gap /= 3) {
			for (uint32_t i = gap; i < COMMENTS; i++) {
				struct comment moved = comments[i];
				uint32_t at = i;

				while (at >= gap && comments[at - gap].score < moved.score) {
					comments[at] = comments[at - gap];
					at -= gap;
				}
				comments[at] = moved;
			}
		}
		sum += comments[0].id + comments[COMMENTS - 1].score;
		random ^= sum;
	}
	return sum;
}
