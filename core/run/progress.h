/* SPDX-License-Identifier: MIT */
/* Progress on stderr in the window: one live line a stage on a terminal, plain lines now and then elsewhere. */
#ifndef CORE_RUN_PROGRESS_H
#define CORE_RUN_PROGRESS_H

#include "run/run.h"

struct progress;

/** NULL is a display that shows nothing (quiet). */
struct progress *progress_create(const struct run *run);

/** Show a step that takes time: "waiting for http://... to answer". */
void progress_step(struct progress *progress, const char *text);

/** Draw if it is time to. */
void progress_update(struct progress *progress);

/** Draw the last state once more and let go of the screen. */
void progress_finish(struct progress *progress);
void progress_destroy(struct progress *progress);

#endif
