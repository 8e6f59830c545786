/* SPDX-License-Identifier: MIT */
/* Starting stage processes: the spec written, profcore executed again with the stage's descriptors in place. */
#ifndef CORE_RUN_SPAWN_H
#define CORE_RUN_SPAWN_H

#include <sys/types.h>

#include "run/run.h"
#include "run/stage.h"

/** Start the process of a stage; its answer to "create" is then waited for. On failure the stage is marked failed. */
int spawn_stage(struct run *run, struct run_stage *stage, struct pfc_error *err);

/** Lift descriptors above the places of the stage, so that spawn_become overwrites none. Returns 0 or -errno. */
int spawn_lift(int *fds, size_t count);

/** In the child after fork: put lifted descriptors in their places and execute profcore with that hidden word. */
void spawn_become(const int *from, size_t count, int log_fd, pid_t core, const char *word)
	__attribute__((noreturn));

#endif
