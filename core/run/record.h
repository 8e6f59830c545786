/* SPDX-License-Identifier: MIT */
/* What a run tells about itself: manifest.json, the object of --json, target.json, the exit code. */
#ifndef CORE_RUN_RECORD_H
#define CORE_RUN_RECORD_H

#include "run/run.h"

/** Write manifest.json as the run is now. A failure is logged and remembered in run->has_write_error. */
void record_write(struct run *run);

/** The object that --json prints (docs/json.md). The caller owns it. */
json_t *record_to_json(const struct run *run);

/** "complete", "partial", "failed". */
const char *record_status(const struct run *run);

/** The exit code as far as the run is known (design, section 5, point 7). */
int record_exit_code(const struct run *run);

/** Share of [T0, T1] that the stage measured; NAN when that is not known. */
double record_coverage(const struct run *run, const struct run_stage *stage);

/** Observations lost, all causes; rows of the table that counts. */
int64_t record_lost(const struct run_output *output);
int64_t record_rows(const struct run_output *output);

/** Length of the window in seconds, of the stored run in a replay; 0: there was none. */
double record_window_seconds(const struct run *run);

/** "2026-11-23T15:04:05Z" of a CLOCK_REALTIME time. */
char *record_date(char *to, size_t to_bytes, uint64_t realtime_ns);

#endif
