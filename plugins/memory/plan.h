/* SPDX-License-Identifier: MIT */
/*
 * The capability plan: what will be seen of this target, what not and why, and what it is expected to cost. Made in probe and
 * prepare, told to the user before T0, kept in the facts of the timeline (plan.1, plan.2, ...).
 */
#ifndef MEMORY_PLAN_H
#define MEMORY_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include <profcore/profcore.h>

#define PLAN_LINES      24
#define PLAN_LINE_BYTES 400

struct plan {
	struct {
		bool is_seen;
		char text[PLAN_LINE_BYTES];
	} lines[PLAN_LINES];
	uint32_t count;
};

/** "RSS of each process: 10 times a second" with what it costs: "60 us a process and tick"; cost may be NULL. */
void plan_sees(struct plan *plan, const char *what, const char *cost);

/** What will not be seen, why, and how it could be had; remedy may be NULL. */
void plan_lacks(struct plan *plan, const char *what, const char *why, const char *remedy);

/** Tell the user, on lines for a terminal of 100 columns. */
void plan_log(const struct plan *plan, const struct pfc_host *host);

/** Keep it as facts. */
void plan_keep(const struct plan *plan, const struct pfc_writer *writer);

#endif
