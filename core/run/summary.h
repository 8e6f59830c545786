/* SPDX-License-Identifier: MIT */
/* The run's summary: what its stages say of themselves as profcore.summary/1, merged by key. */
#ifndef CORE_RUN_SUMMARY_H
#define CORE_RUN_SUMMARY_H

#include "run/run.h"

/** Merge a stage's profcore.summary/1 documents into run->summary: objects by key, arrays one after the other. */
void summary_merge(struct run *run, const struct run_stage *stage);

/** Replay: the summaries of the stored drivers and collectors. */
void summary_merge_stored(struct run *run);

#endif
