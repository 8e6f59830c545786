/* SPDX-License-Identifier: MIT */
/* The one loop of the core: what stages say, how they end, deadlines, signals, progress. */
#ifndef CORE_RUN_LOOP_H
#define CORE_RUN_LOOP_H

#include "run/run.h"

/** Handle what happens until until_ns (0: until something happens) at the latest; returns after each batch of events. */
void loop_step(struct run *run, uint64_t until_ns);

/** Until no stage owes an answer, or the run was abandoned. */
void loop_wait_answers(struct run *run);

/** Keep one line of the run's log (logs/run.log), with its time since the start. */
void loop_log(struct run *run, int level, const char *origin, const char *text);

#endif
