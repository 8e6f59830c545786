/* SPDX-License-Identifier: MIT */
/*
 * An open-addressing index: hash -> row number of an array that the caller keeps. It knows nothing of keys: the caller walks
 * the slots of a hash and compares its own rows. Never removes, never holds more than half its slots.
 */
#ifndef CORE_STACKS_HASH_H
#define CORE_STACKS_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_NONE UINT32_MAX

struct hash_slot {
	uint32_t hash;
	uint32_t row; /* HASH_NONE: free */
};

/** Zero-initialise; free with hash_finish. */
struct hash {
	struct hash_slot *slots;
	uint32_t mask; /* slots - 1; 0 while there are none */
	uint32_t count;
};

/** hash_reserve's slow half. */
int hash_grow(struct hash *hash);

/** Room for one more row; 0 or PFC_ENOMEM. Call it before a search that may add. */
static inline int hash_reserve(struct hash *hash)
{
	bool has_room = hash->slots != NULL && ((uint64_t)hash->count + 1) * 2 <= (uint64_t)hash->mask + 1;

	return has_room ? 0 : hash_grow(hash);
}

void hash_finish(struct hash *hash);

/** Mix 64 bits (the finaliser of MurmurHash3). */
static inline uint32_t hash_mix(uint64_t value)
{
	value ^= value >> 33;
	value *= 0xff51afd7ed558ccdULL;
	value ^= value >> 33;
	value *= 0xc4ceb9fe1a85ec53ULL;
	value ^= value >> 33;
	return (uint32_t)value;
}

uint32_t hash_bytes(const void *data, size_t bytes);

/**
 * Walk the rows that may be meant: `at` starts at hash_first and goes on with hash_next until hash_row gives HASH_NONE. A
 * slot whose hash differs is skipped by hash_row's caller through hash_is.
 */
static inline uint32_t hash_first(const struct hash *hash, uint32_t value)
{
	return value & hash->mask;
}

static inline uint32_t hash_next(const struct hash *hash, uint32_t at)
{
	return (at + 1) & hash->mask;
}

static inline bool hash_is(const struct hash *hash, uint32_t at, uint32_t value)
{
	return hash->slots[at].hash == value;
}

static inline uint32_t hash_row(const struct hash *hash, uint32_t at)
{
	return hash->slots[at].row;
}

/** Take the free slot at which a search ended. */
static inline void hash_take(struct hash *hash, uint32_t at, uint32_t value, uint32_t row)
{
	hash->slots[at].hash = value;
	hash->slots[at].row = row;
	hash->count++;
}

/** array_reserve's slow half. */
int array_grow(void *array_pointer, uint32_t *room, uint64_t need, size_t element_bytes);

/**
 * Grow *array so that it holds `need` elements: doubles, from 64. Leaves it unchanged when memory runs out.
 * Returns 0 or PFC_ENOMEM.
 */
static inline int array_reserve(void *array_pointer, uint32_t *room, uint64_t need, size_t element_bytes)
{
	return need <= *room ? 0 : array_grow(array_pointer, room, need, element_bytes);
}

#endif
