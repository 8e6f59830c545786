/* SPDX-License-Identifier: MIT */
/* What tiers have in common: see tier.h. */
#include "tier.h"

#include <stdio.h>

int32_t tier_off(struct tier *tier, const char *what, const char *why, const char *remedy)
{
	tier->is_off = true;
	snprintf(tier->why_off, sizeof(tier->why_off), "%s", why);
	plan_lacks(&tier->memory->plan, what, why, remedy);
	return PFC_OK;
}

void tier_absent(const struct memory *memory, const char *port, const char *why)
{
	const struct pfc_host *host = memory->host;
	const struct pfc_writer *writer;

	if (host->output(host->ctx, port, &writer) == PFC_OK) {
		writer->fact_text(writer->ctx, "absent", why);
	}
}
