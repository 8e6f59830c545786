/* SPDX-License-Identifier: MIT */
/* Probes as events of the kernel's uprobe PMU, one for each entry and return: what there is before Linux 6.6. */
#ifndef MEMORY_PROBES_EVENTS_H
#define MEMORY_PROBES_EVENTS_H

#include "probes.h"

/** Attach to the file of that path, in one process. Returns 0 or -errno; what was attached is in *ret then too. */
int probes_attach_events(struct probes *probes, const char *path, int32_t pid,
			 const struct probe_point *points, uint32_t count, struct probe_link *ret);

#endif
