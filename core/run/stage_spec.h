/* SPDX-License-Identifier: MIT */
/* What a stage's process is told at its start, and the descriptors that it gets: stage/spec.h is its reader. */
#ifndef CORE_RUN_STAGE_SPEC_H
#define CORE_RUN_STAGE_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "run/run.h"

/* Descriptors to hand over: `from` in the core, its place in the stage is given by order. */
struct handover {
	int *from;
	size_t count;
	size_t room;
	bool failed;
	bool is_thread; /* the stage lives in this process: descriptors keep their numbers */
};

/**
 * Make the spec of a stage, with its outputs' files. The descriptors in fds belong to the caller, also after a failure;
 * fds->failed: memory ran out.
 */
int stage_spec_build(struct run *run, struct run_stage *stage, struct handover *fds, json_t **ret,
		     struct pfc_error *err);

/** Put it into a file in memory, which the stage reads. */
int stage_spec_write(const json_t *spec, int *ret_fd, struct pfc_error *err);

#endif
