/* SPDX-License-Identifier: MIT */
/*
 * How many passes of each piece of work fill a given CPU time on this machine, now. Measured at the start, and learned
 * again from every request: what a pass costs depends on who else is running.
 */
#ifndef BACKEND_CALIBRATE_H
#define BACKEND_CALIBRATE_H

#include <stdatomic.h>
#include <stdint.h>

#include "work.h"

/** Cost and target of each piece. */
struct amounts {
	uint64_t target_ns[WORK_COUNT];       /* CPU time in one request */
	_Atomic uint64_t pass_ps[WORK_COUNT]; /* what a pass costs, in picoseconds */
	uint64_t result; /* what the trial runs computed; nobody needs it, but it must be kept to be real */
};

/** Measure each piece for about 10 ms; work_us is split by the shares. */
void calibrate(struct amounts *amounts, const double split[WORK_COUNT], uint64_t work_us);

/** Passes that take so long, at least one unless the time is 0. Any thread. */
uint64_t amounts_passes(struct amounts *amounts, enum work work, uint64_t ns);

/** Learn from so many passes that took so long. Any thread; what two learn at once may be what one does. */
void amounts_learn(struct amounts *amounts, enum work work, uint64_t passes, uint64_t ns);

#endif
