/* SPDX-License-Identifier: MIT */
/* After the window: transforms and reporters start as their inputs become complete, side by side; then links to documents. */
#ifndef CORE_RUN_TRANSFORM_H
#define CORE_RUN_TRANSFORM_H

#include "run/run.h"

/** Until every transform and reporter has ended or was skipped. */
void transform_run(struct run *run);

/** Tell stages that have answered their last phase to quit. */
void transform_quit_finished(struct run *run);

/** profiling/flamegraph_<run-id>_cpu.svg -> the document, for each output that asks for a link. */
void transform_link_documents(struct run *run, const struct run_stage *stage);

#endif
