/* SPDX-License-Identifier: MIT */
/* The executable mappings of a process: ordered, without overlap, shared between forks until one of them changes. */
#ifndef CORE_TARGET_MAPS_H
#define CORE_TARGET_MAPS_H

#include "target/state.h"

struct path *path_get(struct state *state, const char *text);
void path_put(struct state *state, struct path *path);

/** One more owner; NULL gives NULL. */
struct maps *maps_share(struct maps *maps);
void maps_drop(struct state *state, struct maps *maps);

/**
 * Add a mapping: what it overlaps is cut, as the kernel does.
 * Returns 1 when it is new, 0 when it was there; PFC_ENOMEM; PFC_ENOSPC when there are too many.
 */
int maps_add(struct state *state, struct maps **maps, uint64_t time_ns, const struct proc_map *map);

#endif
