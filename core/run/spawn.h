/* SPDX-License-Identifier: MIT */
/* Starting stage processes: outputs made, inputs opened, the spec written, profcore executed again. */
#ifndef CORE_RUN_SPAWN_H
#define CORE_RUN_SPAWN_H

#include "run/run.h"
#include "run/stage.h"

struct run;

/** Start the process of a stage; its answer to "create" is then waited for. On failure the stage is marked failed. */
int spawn_stage(struct run *run, struct run_stage *stage, struct pfc_error *err);

/**
 * Read back an output that its stage could not report (it was killed): in a confined process of its own. The report,
 * or NULL when there is nothing to read.
 */
json_t *spawn_report(struct run *run, const struct run_output *output);

/** The main function of that process: prints the report of descriptor STAGE_FD_SPEC on standard output. */
int spawn_report_main(void);

#endif
