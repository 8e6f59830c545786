/* SPDX-License-Identifier: MIT */
/* Drivers and collectors, from probe to drain: every phase is one question to all of them, answered or timed out. */
#ifndef CORE_RUN_MEASURE_H
#define CORE_RUN_MEASURE_H

#include "run/run.h"

/** Probe to drain, with whatever stages are left. Fails only for the target's sake; stages fail for themselves. */
int measure_run(struct run *run, struct pfc_error *err);

/** Only up to probe; transforms and reporters are started as well, and asked nothing. */
int measure_probe(struct run *run, struct pfc_error *err);

/** Ask those that are left to drain into their outputs; transform_run waits for their answers. */
void measure_finish(struct run *run);

#endif
