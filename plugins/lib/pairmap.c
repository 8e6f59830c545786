/* SPDX-License-Identifier: MIT */
#include "pairmap.h"

#include <stdlib.h>
#include <string.h>

/* The finalizer of splitmix64 (Steele, Lea, Flood 2014). */
uint64_t pairmap_mix(uint64_t key)
{
	key += 0x9e3779b97f4a7c15u;
	key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9u;
	key = (key ^ key >> 27) * 0x94d049bb133111ebu;
	return key ^ key >> 31;
}

static struct pairmap_slot *find(const struct pairmap *map, uint64_t key)
{
	uint32_t mask = map->room - 1;
	uint32_t at = (uint32_t)pairmap_mix(key) & mask;

	while (map->slots[at].used && map->slots[at].key != key) {
		at = (at + 1) & mask;
	}
	return &map->slots[at];
}

static bool grow(struct pairmap *map)
{
	struct pairmap bigger = { .room = map->room ? map->room * 2 : 64, .count = map->count };
	uint32_t i;

	if (map->room > UINT32_MAX / 2) {
		return false;
	}
	bigger.slots = calloc(bigger.room, sizeof(*bigger.slots));
	if (!bigger.slots) {
		return false;
	}
	for (i = 0; i < map->room; i++) {
		if (map->slots[i].used) {
			*find(&bigger, map->slots[i].key) = map->slots[i];
		}
	}
	free(map->slots);
	*map = bigger;
	return true;
}

uint32_t *pairmap_at(struct pairmap *map, uint64_t key, uint32_t missing, bool *ret_new)
{
	struct pairmap_slot *slot;

	if (map->count >= map->room / 4 * 3 && !grow(map)) {
		return NULL;
	}
	slot = find(map, key);
	if (ret_new) {
		*ret_new = !slot->used;
	}
	if (!slot->used) {
		slot->used = 1;
		slot->key = key;
		slot->value = missing;
		map->count++;
	}
	return &slot->value;
}

void pairmap_finish(struct pairmap *map)
{
	free(map->slots);
	memset(map, 0, sizeof(*map));
}
