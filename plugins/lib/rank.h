/* SPDX-License-Identifier: MIT */
/*
 * Who has how much: functions, modules, source lines, ranked. A function that calls itself counts once in a stack, so
 * that no total exceeds the whole.
 */
#ifndef PLUGINS_LIB_RANK_H
#define PLUGINS_LIB_RANK_H

#include "profile.h"

struct rank_row {
	uint32_t id;    /* function, module, or as the call says */
	uint64_t self;  /* weight of stacks that end in it */
	uint64_t total; /* weight of stacks that it is in */
	uint64_t self_samples;
	uint64_t total_samples;
	uint64_t led;     /* functions: weight of stacks whose innermost app frame it is, so with the
				   libraries and the kernel that it calls */
	uint64_t address; /* functions: where most of its own weight is; 0 without any */
	uint64_t address_weight;
};

/** A ranking; free with rank_finish. Rows without any weight are left out. */
struct rank {
	struct rank_row *rows;
	uint32_t count;
};

/** Order of a ranking: by self or by total or by led, heaviest first; ties by the other figures, then by id. */
enum rank_order { RANK_SELF, RANK_TOTAL, RANK_LED };

/** Rank functions. Returns 0 or PFC_ENOMEM. */
int rank_functions(const struct profile *profile, struct rank *ret);

/** Rank modules (rows' id: module). Returns 0 or PFC_ENOMEM. */
int rank_modules(const struct profile *profile, struct rank *ret);

/** A source line with weight of its own. */
struct rank_line {
	uint32_t function, file, line;
	uint64_t self, self_samples;
};

/** Rank source lines by self, heaviest first; only those that are known. The array is the caller's. */
int rank_lines(const struct profile *profile, struct rank_line **ret, uint32_t *ret_count);

void rank_sort(struct rank *rank, enum rank_order order);
void rank_finish(struct rank *rank);

#endif
