/* SPDX-License-Identifier: MIT */
/*
 * Who grew: page-fault stacks joined with the table `faults` of the memory artifact of the same stage, which says of each sample
 * whether its memory was still there at the end. A sample is known by its time and thread.
 */
#ifndef PLUGINS_LIB_GROWTH_H
#define PLUGINS_LIB_GROWTH_H

#include <stdbool.h>

#include "profile.h"
#include "rank.h"

struct growth {
	struct profile *profile; /* what came in, kept or not */
	uint64_t *kept;          /* bytes by stack, like profile->stack_weight */
	uint64_t *kept_samples;
	uint64_t kept_sum, kept_count;
	double scale;       /* of bytes, so that the samples add up to what the events counted exactly */
	double kept_scale;  /* likewise of what was kept, which is never more than what is there at the end */
	bool is_kept_bound; /* by that: the same pages came in again and again, and each time looks kept */
};

/** Join. Returns 0; PFC_ENOENT when the stacks lack a table; PFC_ENOMEM. Free with growth_finish in either case. */
int growth_read(const struct pfc_reader *memory, const struct pfc_reader *stacks, uint64_t seed,
		struct growth *ret);

/** Rank functions by what was kept. Returns 0 or PFC_ENOMEM. */
int growth_rank(struct growth *growth, struct rank *ret);

/** Half of the 95 % interval of a share, in points, of so many samples: normal, and one sample more where there are few. */
double growth_error_points(uint64_t part, uint64_t whole, uint64_t samples);

/** Bytes that came in, and that were kept, as they are once scaled. */
uint64_t growth_scaled(const struct growth *growth, uint64_t bytes);
uint64_t growth_kept_scaled(const struct growth *growth, uint64_t bytes);

void growth_finish(struct growth *growth);

#endif
