/* SPDX-License-Identifier: MIT */
/* How many passes of each piece of work fill a given CPU time on this machine. */
#ifndef BACKEND_CALIBRATE_H
#define BACKEND_CALIBRATE_H

#include <stdint.h>

#include "work.h"

/** Passes of each piece in one request; a share of 0 means none. */
struct amounts {
	uint64_t passes[WORK_COUNT];
	uint64_t result; /* what the trial runs computed; nobody needs it, but it must be kept to be real */
};

/** Measure each piece for about 10 ms and fill the amounts for work_us split by the shares. */
void calibrate(const double split[WORK_COUNT], uint64_t work_us, struct amounts *ret_amounts);

#endif
