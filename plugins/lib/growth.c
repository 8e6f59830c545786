/* SPDX-License-Identifier: MIT */
/* Page-fault stacks and what was kept: see growth.h. */
#include "growth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "cols.h"
#include "pairmap.h"

/* The estimate by samples may be above what is there by so much, before that says anything. */
#define BOUND_SLACK 1.1

static uint64_t key_of(int64_t time_ns, int64_t tid)
{
	return pairmap_mix((uint64_t)time_ns) ^ (uint64_t)tid;
}

/* The samples whose memory is there at the end. */
static int read_kept(const struct pfc_reader *memory, struct pairmap *ret)
{
	static const char *const names[] = { "time", "tid", "kept" };
	struct cols cols;

	if (cols_begin(&cols, memory, "faults", names, 3) != PFC_OK) {
		return PFC_OK;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			uint64_t key = key_of(cols_int(&cols, 0, i, 0), cols_int(&cols, 1, i, 0));

			if (cols_int(&cols, 2, i, 0) == 1 && !pairmap_at(ret, key, 1, NULL)) {
				return PFC_ENOMEM;
			}
		}
	}
	return PFC_OK;
}

static int sum_kept(const struct pfc_reader *stacks, struct pairmap *kept, struct growth *growth)
{
	static const char *const names[] = { "time", "tid", "stack", "weight" };
	struct cols cols;

	if (cols_begin(&cols, stacks, "samples", names, 4) != PFC_OK) {
		return PFC_ENOENT;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			uint64_t key = key_of(cols_int(&cols, 0, i, 0), cols_int(&cols, 1, i, 0));
			uint32_t stack = cols_id(&cols, 2, i);
			uint32_t *is_kept = pairmap_at(kept, key, 0, NULL);
			int64_t weight = cols_int(&cols, 3, i, 0);

			if (!is_kept) {
				return PFC_ENOMEM;
			}
			if (*is_kept && stack < growth->profile->stack_count && weight > 0) {
				growth->kept[stack] += (uint64_t)weight;
				growth->kept_samples[stack]++;
				growth->kept_sum += (uint64_t)weight;
				growth->kept_count++;
			}
		}
	}
	return PFC_OK;
}

/* Anonymous memory of all processes when last looked at; 0 when that is not known. */
static uint64_t read_left(const struct pfc_reader *memory)
{
	static const char *const names[] = { "processes", "anon" };
	uint64_t left = 0;
	struct cols cols;

	if (cols_begin(&cols, memory, "totals", names, 2) != PFC_OK) {
		return 0;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			if (cols_int(&cols, 0, i, 0) > 0 && cols_int(&cols, 1, i, 0) >= 0) {
				left = (uint64_t)cols_int(&cols, 1, i, 0);
			}
		}
	}
	return left;
}

/* A page that came in ten times and is there has been kept once, but each of its samples finds it there. */
static void bound_kept(struct growth *growth, uint64_t left)
{
	double kept = (double)growth->kept_sum * growth->scale;

	growth->kept_scale = growth->scale;
	if (left > 0 && kept > BOUND_SLACK * (double)left) {
		growth->kept_scale = (double)left / (double)growth->kept_sum;
		growth->is_kept_bound = true;
	}
}

int growth_read(const struct pfc_reader *memory, const struct pfc_reader *stacks, uint64_t seed,
		struct growth *ret)
{
	struct profile_options options = { .seed = seed };
	struct pairmap kept = { 0 };
	double seen = 0;
	int status;

	memset(ret, 0, sizeof(*ret));
	status = profile_read(stacks, &options, &ret->profile);
	if (status != PFC_OK) {
		return status;
	}
	/* Far off, the samples miss a part that nobody knows: then they stand for themselves. */
	ret->scale =
		memory->fact(memory->ctx, "faults.seen_pct", &seen, NULL) == PFC_OK && seen > 50 && seen < 150
			? 100 / seen
			: 1;
	ret->kept = calloc(ret->profile->stack_count + 1u, sizeof(*ret->kept));
	ret->kept_samples = calloc(ret->profile->stack_count + 1u, sizeof(*ret->kept_samples));
	status = ret->kept && ret->kept_samples ? read_kept(memory, &kept) : PFC_ENOMEM;
	status = status ? status : sum_kept(stacks, &kept, ret);
	bound_kept(ret, read_left(memory));
	pairmap_finish(&kept);
	return status;
}

int growth_rank(struct growth *growth, struct rank *ret)
{
	struct profile *profile = growth->profile;
	uint64_t *weight = profile->stack_weight, *samples = profile->stack_samples, whole = profile->weight;
	int status;

	profile->stack_weight = growth->kept;
	profile->stack_samples = growth->kept_samples;
	profile->weight = growth->kept_sum;
	status = rank_functions(profile, ret);
	profile->stack_weight = weight;
	profile->stack_samples = samples;
	profile->weight = whole;
	return status;
}

double growth_error_points(uint64_t part, uint64_t whole, uint64_t samples)
{
	double share = whole ? (double)part / (double)whole : 0;
	double points =
		samples ? 196.0 * sqrt(share * (1 - share) / (double)samples) + 100.0 / (double)samples : 100;

	return points > 100 ? 100 : points;
}

uint64_t growth_scaled(const struct growth *growth, uint64_t bytes)
{
	return (uint64_t)((double)bytes * growth->scale);
}

uint64_t growth_kept_scaled(const struct growth *growth, uint64_t bytes)
{
	return (uint64_t)((double)bytes * growth->kept_scale);
}

void growth_finish(struct growth *growth)
{
	profile_destroy(growth->profile);
	free(growth->kept);
	free(growth->kept_samples);
	memset(growth, 0, sizeof(*growth));
}
