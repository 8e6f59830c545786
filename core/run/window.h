/* SPDX-License-Identifier: MIT */
/* The window [T0, T1]: collectors contain it, drivers fill it. It opens once. */
#ifndef CORE_RUN_WINDOW_H
#define CORE_RUN_WINDOW_H

#include "run/run.h"

/** Start the collectors, then the drivers, and wait until T0. */
void window_open(struct run *run);

/** Until its time is up, the target or all stages have ended, or somebody interrupts; sets T1 and the reason. */
void window_hold(struct run *run);

/** Stop the drivers, then the collectors. */
void window_close(struct run *run);

#endif
