/* SPDX-License-Identifier: MIT */
/* What a space had mapped where: its mappings laid over one another, up to a time. */
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "stacks/hash.h"
#include "stacks/space.h"

struct space_span {
	uint64_t start, end;
	uint32_t map;
};

/* How many spans end at or below an address: the index of the first that may hold it. */
static uint32_t spans_below(const struct space *space, uint64_t address)
{
	uint32_t low = 0;
	uint32_t high = space->span_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (space->spans[middle].end <= address) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* Lay one mapping over the picture: cut what it overlaps. */
static int lay_map(struct space *space, uint32_t number)
{
	const struct space_map *map = &space->maps[number];
	uint32_t first = spans_below(space, map->start);
	uint32_t last = first; /* the first span that stays behind the mapping */
	struct space_span pieces[3];
	uint32_t piece_count = 0;

	if (array_reserve(&space->spans, &space->span_room, (uint64_t)space->span_count + 2,
			  sizeof(*space->spans)) != 0) {
		return PFC_ENOMEM;
	}
	while (last < space->span_count && space->spans[last].start < map->end) {
		last++;
	}
	if (first < last && space->spans[first].start < map->start) {
		pieces[piece_count++] =
			(struct space_span){ space->spans[first].start, map->start, space->spans[first].map };
	}
	pieces[piece_count++] = (struct space_span){ map->start, map->end, number };
	if (first < last && space->spans[last - 1].end > map->end) {
		pieces[piece_count++] = (struct space_span){ map->end, space->spans[last - 1].end,
							     space->spans[last - 1].map };
	}
	memmove(&space->spans[first + piece_count], &space->spans[last],
		(space->span_count - last) * sizeof(*space->spans));
	memcpy(&space->spans[first], pieces, piece_count * sizeof(*pieces));
	space->span_count = space->span_count - (last - first) + piece_count;
	return 0;
}

/* For a time before the newest picture: the youngest mapping that was there by then. */
static const struct space_map *find_in_past(const struct space *space, uint64_t time_ns, uint64_t address)
{
	for (uint32_t i = space->map_count; i > 0; i--) {
		const struct space_map *map = &space->maps[i - 1];

		if (map->from_ns <= time_ns && address >= map->start && address < map->end) {
			return map;
		}
	}
	return NULL;
}

bool space_advance(struct spaces *spaces, struct space *space, uint64_t time_ns)
{
	while (space->applied < space->map_count && space->maps[space->applied].from_ns <= time_ns) {
		if (lay_map(space, space->applied) != 0) {
			return false;
		}
		space->applied++;
		space->stamp = ++spaces->next_stamp;
	}
	return space->applied == 0 || space->maps[space->applied - 1].from_ns <= time_ns;
}

const struct space_map *space_find(struct spaces *spaces, struct space *space, uint64_t time_ns,
				   uint64_t address)
{
	uint32_t at;

	if (!space_advance(spaces, space, time_ns)) {
		return find_in_past(space, time_ns, address);
	}
	at = spans_below(space, address);
	if (at < space->span_count && space->spans[at].start <= address) {
		return &space->maps[space->spans[at].map];
	}
	return NULL;
}
