/* SPDX-License-Identifier: MIT */
#include "target/maps.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

static uint32_t hash_text(const char *text)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *text != '\0'; text++) {
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	}
	return hash;
}

struct path *path_get(struct state *state, const char *text)
{
	uint32_t hash = hash_text(text);
	struct path **bucket = &state->paths[hash % STATE_BUCKETS];
	size_t bytes = strlen(text) + 1;
	struct path *path;

	for (path = *bucket; path != NULL; path = path->next) {
		if (path->hash == hash && strcmp(path->text, text) == 0) {
			path->refs++;
			return path;
		}
	}
	path = malloc(sizeof(*path) + bytes);
	if (path == NULL) {
		return NULL;
	}
	path->refs = 1;
	path->hash = hash;
	memcpy(path->text, text, bytes);
	path->next = *bucket;
	*bucket = path;
	return path;
}

void path_put(struct state *state, struct path *path)
{
	struct path **link;

	if (path == NULL || --path->refs > 0) {
		return;
	}
	link = &state->paths[path->hash % STATE_BUCKETS];
	while (*link != path) {
		link = &(*link)->next;
	}
	*link = path->next;
	free(path);
}

struct maps *maps_share(struct maps *maps)
{
	if (maps != NULL) {
		maps->refs++;
	}
	return maps;
}

void maps_drop(struct state *state, struct maps *maps)
{
	if (maps == NULL || --maps->refs > 0) {
		return;
	}
	for (uint32_t i = 0; i < maps->count; i++) {
		path_put(state, maps->items[i].path);
	}
	free(maps->items);
	free(maps);
}

/* A list of its own with room for two more entries (a mapping in the middle of another splits it). */
static struct maps *make_writable(struct state *state, struct maps **maps)
{
	struct maps *old = *maps;
	uint32_t count = old != NULL ? old->count : 0;
	struct maps *own = old;

	if (own == NULL || own->refs > 1) {
		own = calloc(1, sizeof(*own));
		if (own == NULL) {
			return NULL;
		}
		own->refs = 1;
	}
	if (own->room < count + 2) {
		uint32_t room = count + count / 2 + 8;
		struct map *items = realloc(own->items, room * sizeof(*items));

		if (items == NULL) {
			if (own != old) {
				free(own);
			}
			return NULL;
		}
		own->items = items;
		own->room = room;
	}
	if (own != old) {
		for (uint32_t i = 0; i < count; i++) {
			own->items[i] = old->items[i];
			own->items[i].path->refs++;
		}
		own->count = count;
		maps_drop(state, old);
		*maps = own;
	}
	return own;
}

/* First entry that ends after `start`. */
static uint32_t lower_bound(const struct maps *maps, uint64_t start)
{
	uint32_t low = 0;
	uint32_t high = maps->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (maps->items[middle].start + maps->items[middle].length <= start) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static bool is_same(const struct map *old, const struct proc_map *map)
{
	return old->start == map->start && old->length == map->length && old->offset == map->offset &&
	       old->inode == map->inode && old->dev_major == map->dev_major && old->dev_minor == map->dev_minor &&
	       strcmp(old->path->text, map->path) == 0;
}

static void remove_entry(struct state *state, struct maps *maps, uint32_t at)
{
	path_put(state, maps->items[at].path);
	maps->count--;
	memmove(&maps->items[at], &maps->items[at + 1], (maps->count - at) * sizeof(*maps->items));
}

static void insert_entry(struct maps *maps, uint32_t at, const struct map *entry)
{
	memmove(&maps->items[at + 1], &maps->items[at], (maps->count - at) * sizeof(*maps->items));
	maps->items[at] = *entry;
	maps->count++;
}

static void cut_front(struct map *entry, uint64_t to)
{
	uint64_t cut = to - entry->start;

	entry->start = to;
	entry->length -= cut;
	entry->offset += entry->inode != 0 ? cut : 0;
}

/* Take [start, end) out of the list; returns where an entry that begins at start belongs. */
static uint32_t clear_range(struct state *state, struct maps *maps, uint64_t start, uint64_t end)
{
	uint32_t at = lower_bound(maps, start);

	if (at < maps->count && maps->items[at].start < start) {
		struct map rest = maps->items[at];

		maps->items[at].length = start - rest.start;
		if (rest.start + rest.length > end) {
			cut_front(&rest, end);
			rest.path->refs++;
			insert_entry(maps, at + 1, &rest);
		}
		at++;
	}
	while (at < maps->count && maps->items[at].start + maps->items[at].length <= end) {
		remove_entry(state, maps, at);
	}
	if (at < maps->count && maps->items[at].start < end) {
		cut_front(&maps->items[at], end);
	}
	return at;
}

int maps_add(struct state *state, struct maps **maps, uint64_t time_ns, const struct proc_map *map)
{
	struct map entry = {
		.time_ns = time_ns,
		.start = map->start,
		.length = map->length,
		.offset = map->offset,
		.inode = map->inode,
		.dev_major = map->dev_major,
		.dev_minor = map->dev_minor,
	};
	struct maps *own;

	if (map->length == 0 || map->start + map->length < map->start) {
		return 0;
	}
	if (*maps != NULL) {
		uint32_t at = lower_bound(*maps, map->start);

		if (at < (*maps)->count && is_same(&(*maps)->items[at], map)) {
			return 0;
		}
		if ((*maps)->count >= STATE_MAPS_MAX) {
			return PFC_ENOSPC;
		}
	}
	own = make_writable(state, maps);
	entry.path = own != NULL ? path_get(state, map->path) : NULL;
	if (entry.path == NULL) {
		return PFC_ENOMEM;
	}
	insert_entry(own, clear_range(state, own, map->start, map->start + map->length), &entry);
	return 1;
}
