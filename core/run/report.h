/* SPDX-License-Identifier: MIT */
/* Reading back what a killed stage left, in a confined process of its own: the core parses no artifact. */
#ifndef CORE_RUN_REPORT_H
#define CORE_RUN_REPORT_H

#include "run/run.h"

/** The report of an output that its stage could not give (it was killed); NULL when there is nothing to read. */
json_t *report_artifact(struct run *run, const struct run_output *output);

/** The main function of that process: prints the report of descriptor STAGE_FD_SPEC on standard output. */
int report_main(void);

#endif
