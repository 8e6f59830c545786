/* SPDX-License-Identifier: MIT */
/*
 * A series: the same plan again and again on a steady schedule, each run in a process of its own. Times are counted from the
 * first run on, so that nothing drifts; one that would overlap the one before is left out, and that is said. Without a target
 * there is no run, and the series goes on. Of its own runs only the last ones may be kept.
 */
#ifndef CORE_RUN_SERIES_H
#define CORE_RUN_SERIES_H

#include "run/run.h"

struct series_settings {
	uint64_t every_ns;
	uint64_t keep; /* runs of series of this name to keep in the folder; 0: all */
};

/**
 * Until SIGTERM, SIGINT or SIGHUP: the run under way is then completed (a second signal ends its window, a third gives it up).
 * Returns: 0 and the exit code (0: every run was complete; 1: some was not; that of the first run when the environment refuses
 *          it); PFC_EINVAL: a run is longer than its turn; PFC_EAGAIN: a series of that name is at work there.
 */
int series_execute(const struct plan *plan, const struct run_settings *settings,
		   const struct series_settings *series, int *ret_exit, struct pfc_error *err);

#endif
