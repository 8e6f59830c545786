/* SPDX-License-Identifier: MIT */
/*
 * What a replay reads becomes part of its own folder, by hard links where possible: the run stays whole when the runs that it
 * was made from are removed.
 */
#ifndef CORE_RUN_KEEP_H
#define CORE_RUN_KEEP_H

#include "run/run.h"

/** The artifacts of the replayed run. */
int keep_stored(struct run *run, struct pfc_error *err);

/**
 * What was joined from runs beside it; their stages then stand in the manifest beside those of the replayed run. One whose
 * place is taken stays where it is.
 */
int keep_joined(struct run *run, struct pfc_error *err);

#endif
