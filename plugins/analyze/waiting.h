/* SPDX-License-Identifier: MIT */
/* What the target waits for: see waiting.c. */
#ifndef PLUGINS_ANALYZE_WAITING_H
#define PLUGINS_ANALYZE_WAITING_H

#include "analysis.h"
#include "causes.h"

/** Read all syscalls artifacts. Returns 0 or PFC_ENOMEM. */
int waiting_read(struct analysis *analysis, const struct pfc_host *host);
void waiting_finish(struct analysis *analysis);

/** Findings: lock, disk, network, sleep, run_queue, syscalls. Returns 0 or PFC_ENOMEM. */
int waiting_conclude(struct analysis *analysis);

/** Append "; woken by THREAD in FUNCTION ...": who ended most of the waits of one cause of one function, if that is known. Returns 0 or PFC_ENOMEM. */
int wakers_say(const struct analysis *analysis, const struct view *waits, enum cause cause, uint32_t function,
	       struct text *to);

/** The verdict where there is no profile of CPU time: the heaviest wait with a cause, else where the time of the threads went. */
void waiting_say(const struct analysis *analysis, struct text *to);

/** ": TITLE" of the heaviest wait with a cause; nothing without one. */
void waiting_say_most(const struct analysis *analysis, struct text *to);

#endif
