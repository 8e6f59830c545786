/* SPDX-License-Identifier: MIT */
/* How complete an output is, as data and as a sentence: from what its stage stated as facts. */
#ifndef RUN_COMPLETENESS_H
#define RUN_COMPLETENESS_H

#include <stddef.h>

#include "run/run.h"

/**
 * The facts, with "a.b" as an object a that has a b, and bytes_per_sample where the output has a table of samples. The caller owns
 * it.
 */
json_t *completeness_to_json(const struct run_output *output);

/** A sentence when an output holds stacks and too few of them are rooted (the stage's fact min_rooted, else 90 %); else "". */
void completeness_warning(const struct run_stage *stage, const struct run_output *output, char *to,
			  size_t to_bytes);

#endif
