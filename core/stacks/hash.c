/* SPDX-License-Identifier: MIT */
#include "stacks/hash.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#define FIRST_SLOTS 256

int hash_grow(struct hash *hash)
{
	uint64_t slot_count = hash->slots == NULL ? FIRST_SLOTS : ((uint64_t)hash->mask + 1) * 2;
	struct hash_slot *slots;

	if (slot_count > UINT32_MAX / 2) {
		return PFC_ENOMEM;
	}
	slots = malloc(slot_count * sizeof(*slots));
	if (slots == NULL) {
		return PFC_ENOMEM;
	}
	memset(slots, 0xff, slot_count * sizeof(*slots));
	for (uint32_t i = 0; hash->slots != NULL && i <= hash->mask; i++) {
		struct hash_slot slot = hash->slots[i];
		uint32_t at = slot.hash & (uint32_t)(slot_count - 1);

		if (slot.row == HASH_NONE) {
			continue;
		}
		while (slots[at].row != HASH_NONE) {
			at = (at + 1) & (uint32_t)(slot_count - 1);
		}
		slots[at] = slot;
	}
	free(hash->slots);
	hash->slots = slots;
	hash->mask = (uint32_t)(slot_count - 1);
	return 0;
}

void hash_finish(struct hash *hash)
{
	free(hash->slots);
	memset(hash, 0, sizeof(*hash));
}

uint32_t hash_bytes(const void *data, size_t bytes)
{
	const unsigned char *from = data;
	uint64_t value = 0x9e3779b97f4a7c15ULL ^ bytes;
	uint64_t word;

	for (; bytes >= sizeof(word); bytes -= sizeof(word), from += sizeof(word)) {
		memcpy(&word, from, sizeof(word));
		value = (value ^ word) * 0xff51afd7ed558ccdULL;
		value ^= value >> 29;
	}
	word = 0;
	memcpy(&word, from, bytes);
	return hash_mix(value ^ word);
}

int array_grow(void *array_pointer, uint32_t *room, uint64_t need, size_t element_bytes)
{
	uint64_t more = *room > 0 ? *room : 64;
	void *array;

	while (more < need) {
		more *= 2;
	}
	if (more > UINT32_MAX) {
		return PFC_ENOMEM;
	}
	memcpy(&array, array_pointer, sizeof(array));
	array = realloc(array, more * element_bytes);
	if (array == NULL) {
		return PFC_ENOMEM;
	}
	memcpy(array_pointer, &array, sizeof(array));
	*room = (uint32_t)more;
	return 0;
}
