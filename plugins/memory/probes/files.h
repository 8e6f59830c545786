/* SPDX-License-Identifier: MIT */
/* The files that the target's processes map: each is looked into once, for the functions of an allocator and where to probe them. */
#ifndef MEMORY_PROBES_FILES_H
#define MEMORY_PROBES_FILES_H

#include "follow.h"

/** The number of a mapped file that was looked into, or UINT32_MAX. */
uint32_t files_known(const struct follow *follow, const struct pfc_target_event *map);

/** The same, and look into one that is new, which may take long. UINT32_MAX: there are too many. */
uint32_t files_find(struct follow *follow, const struct pfc_target_event *map);

#endif
