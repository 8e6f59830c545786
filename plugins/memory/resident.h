/* SPDX-License-Identifier: MIT */
/* The tier `resident`, what its files share: its life in resident.c, rows of processes in resident_rows.c, PSS in resident_pss.c. */
#ifndef MEMORY_RESIDENT_H
#define MEMORY_RESIDENT_H

#include "group.h"
#include "processes.h"
#include "tier.h"

struct resident {
	struct processes processes;
	struct group group;
	uint64_t interval_ns, due_ns;
	uint64_t ticks, late_ticks, cost_ns, max_cost_ns;
	double pss_share; /* of a CPU */
	double pss_credit_ns;
	uint64_t pss_last_ns;
	uint64_t pss_reads, pss_cost_ns, pss_max_cost_ns;
	size_t pss_next; /* whose turn it is */
	bool smaps;
	uint64_t peak_rss;
};

static inline uint64_t resident_now(const struct tier *tier)
{
	return tier_host(tier)->now(tier_host(tier)->ctx);
}

/** Rows of `mappings` of all processes; moment 0 before the window, 1 after it. */
int32_t resident_add_kinds(struct tier *tier, uint8_t moment);

/** New names and ends, from what the tracker told. */
int32_t resident_settle(struct tier *tier);

/** A row of `samples` for each process and one of `totals`. */
int32_t resident_sample(struct tier *tier, uint64_t now_ns);

/** PSS of one process now; a row of `pss`. */
int32_t resident_read_pss(struct tier *tier, struct process *process);

/** PSS of one process after the other, while there is credit. */
int32_t resident_spend_on_pss(struct tier *tier, uint64_t now_ns);

#endif
