/* SPDX-License-Identifier: MIT */
/* The heavy piece: what checking a password or a signature costs. */
#include "work.h"

#define BLOCK_WORDS 16

NOINLINE uint64_t hash_rounds(uint64_t seed, uint64_t rounds)
{
	uint64_t block[BLOCK_WORDS];
	uint64_t hash = seed;

	for (unsigned i = 0; i < BLOCK_WORDS; i++) {
		block[i] = seed + i;
	}
	for (uint64_t round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < BLOCK_WORDS; i++) {
			hash ^= block[i];
			hash *= 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio: odd, well mixed */
			hash ^= hash >> 29;
			block[i] = hash;
		}
	}
	return hash;
}
