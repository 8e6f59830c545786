/* SPDX-License-Identifier: MIT */
/* The run's target: opened as [target] says, written to target.json, released, and what is to be said of its end. */
#ifndef CORE_RUN_RUN_TARGET_H
#define CORE_RUN_RUN_TARGET_H

#include "run/run.h"

/** Find or launch it, as the plan's [target] says; the output of a launched one goes to logs/target.log. */
int run_target_open(struct run *run, struct pfc_error *err);

/** Write target.json as it is now. */
void run_target_write(struct run *run);

/** Give a held command the environment that the stages asked for. */
int run_target_apply_env(struct run *run, struct pfc_error *err);

/** Whether it is a command that has to answer before the window opens. */
bool run_target_has_ready(const struct run *run);

/** Release a launched target and wait until it answers. */
int run_target_make_ready(struct run *run, struct pfc_error *err);

/** Folder of its control group now, "" where it is none: as JSON, for the stages. */
json_t *run_target_cgroup(struct run *run);

/** When it began anew, ns, the first few times: as JSON, for the artifacts. */
json_t *run_target_restarts(struct run *run);

/** Warnings of restarts, and of an end within the window. */
void run_target_note_restarts(struct run *run);
void run_target_note_end(struct run *run);

#endif
