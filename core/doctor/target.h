/* SPDX-License-Identifier: MIT */
/* What a config comes to: its target with what its programs let a profile hope for, and what each stage answered. */
#ifndef CORE_DOCTOR_TARGET_H
#define CORE_DOCTOR_TARGET_H

#include "run/run.h"

/** Add the checks of the target, for run_probe's look. */
void target_examine(const struct run *run, json_t *checks);

/** Add one check a stage. */
void stages_examine(const struct run_probed *probed, json_t *checks);

#endif
