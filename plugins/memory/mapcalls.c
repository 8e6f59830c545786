/* SPDX-License-Identifier: MIT */
/* Stacks of mmap and its kin. */
#include "tier.h"

static int32_t mapcalls_probe(struct tier *tier)
{
	return tier_off(tier, "stacks of mmap, munmap, brk, mremap and madvise",
			"this version does not collect them yet", NULL);
}

static const char *const ports[] = { "maps", NULL };

const struct tier_calls tier_mapcalls = { .name = "map_calls", .probe = mapcalls_probe, .ports = ports };
