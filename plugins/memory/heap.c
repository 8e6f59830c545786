/* SPDX-License-Identifier: MIT */
/*
 * The heap as the allocator sees it. Which way leads there depends on the mode: a sampler in a launched target (preload), probes
 * on a target that runs (uprobes).
 */
#include "tier.h"

static int32_t heap_probe(struct tier *tier)
{
	const struct pfc_host *host = tier_host(tier);

	if (tier->memory->mode == MODE_PRELOAD || tier->memory->mode == MODE_UPROBES) {
		return host->fail(host->ctx, PFC_ENOTSUP, "mode",
				  "this version does not see the heap in this way yet",
				  "mode = resident or auto");
	}
	return tier_off(tier, "heap: allocations in use, churn, leaks",
			tier->memory->mode == MODE_RESIDENT ? "mode = resident leaves it out"
							    : "this version does not see it yet",
			NULL);
}

static const char *const ports[] = { "heap", "churn", NULL };

const struct tier_calls tier_heap = { .name = "heap", .probe = heap_probe, .ports = ports };
