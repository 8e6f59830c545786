/* SPDX-License-Identifier: MIT */
/* Page-fault stacks. */
#include "tier.h"

static int32_t faults_probe(struct tier *tier)
{
	return tier_off(tier, "page-fault stacks", "this version does not collect them yet", NULL);
}

static const char *const ports[] = { "faults", "file_faults", NULL };

const struct tier_calls tier_faults = { .name = "faults", .probe = faults_probe, .ports = ports };
