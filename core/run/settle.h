/* SPDX-License-Identifier: MIT */
/* What becomes of a stage and of its outputs when it fails or ends. */
#ifndef CORE_RUN_SETTLE_H
#define CORE_RUN_SETTLE_H

#include "run/run.h"

/** Note a failure, tell the user once. */
void settle_failure(struct run *run, struct run_stage *stage, const char *phase, const struct pfc_error *err);

/** The process has ended: decide what each output is worth, merge its summary. */
void settle_end(struct run *run, struct run_stage *stage);

/** The stage will not run; why NULL: that was said already. */
void settle_skip(struct run *run, struct run_stage *stage, const char *why);

/** The stage has nothing to do: what it would read is absent for a stated reason. So is what it would write. */
void settle_spare(struct run_stage *stage);

/** Why an optional output was not made, as its stage stated it (the fact `absent`); "" when it was to be made. */
const char *settle_absence(const struct run_output *output);

/** What its stage says is missing of it (the fact `partial`); "" when it is whole. */
const char *settle_lack(const struct run_output *output);

#endif
