/* SPDX-License-Identifier: MIT */
/* Reading a profile: samples, summed up by stack and by thread in one pass (two when none lay in the window). */
#include "profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "cols.h"

#define MAX_THREADS (1u << 20)
#define FAR_NS      60000000000u /* a sample so far from the window belongs to another run */

enum { TIME, PID, TID, WEIGHT, STACK, COLUMNS };

/* State of the pass. */
struct pass {
	struct profile *profile;
	struct pairmap thread_ids;
	struct pairmap share_ids; /* (thread, stack) */
	uint32_t thread_room;
	uint32_t share_room;
	uint8_t *only; /* by stack: whether it is taken; NULL: all are */
	bool by_thread;
	uint64_t t0_ns, t1_ns;
	uint64_t nearest_ns; /* how far from the window the nearest of the samples outside is */
};

static int thread_at(struct pass *pass, int32_t pid, int32_t tid, uint32_t *ret)
{
	struct profile *profile = pass->profile;
	struct profile_thread *bigger;
	uint32_t *id;
	bool is_new;

	if (profile->thread_count == pass->thread_room) {
		pass->thread_room = pass->thread_room ? pass->thread_room * 2 : 64;
		bigger = realloc(profile->threads, pass->thread_room * sizeof(*bigger));
		if (!bigger) {
			return PFC_ENOMEM;
		}
		profile->threads = bigger;
	}
	if (profile->thread_count == MAX_THREADS) {
		pid = tid = -1; /* all further threads together */
	}
	id = pairmap_at(&pass->thread_ids, pairmap_key((uint32_t)pid, (uint32_t)tid), profile->thread_count,
			&is_new);
	if (!id) {
		return PFC_ENOMEM;
	}
	if (is_new) {
		profile->threads[profile->thread_count++] = (struct profile_thread){ .pid = pid, .tid = tid };
	}
	*ret = *id;
	return PFC_OK;
}

static int share_add(struct pass *pass, uint32_t thread, uint32_t stack, uint64_t weight)
{
	struct profile *profile = pass->profile;
	struct profile_share *bigger;
	uint32_t *id;
	bool is_new;

	if (profile->share_count == pass->share_room) {
		pass->share_room = pass->share_room ? pass->share_room * 2 : 1024;
		bigger = realloc(profile->shares, pass->share_room * sizeof(*bigger));
		if (!bigger) {
			return PFC_ENOMEM;
		}
		profile->shares = bigger;
	}
	id = pairmap_at(&pass->share_ids, pairmap_key(thread, stack), profile->share_count, &is_new);
	if (!id) {
		return PFC_ENOMEM;
	}
	if (is_new) {
		profile->shares[profile->share_count++] =
			(struct profile_share){ .thread = thread, .stack = stack };
	}
	profile->shares[*id].weight += weight;
	profile->shares[*id].samples++;
	return PFC_OK;
}

/* Whether the innermost frame says nothing: no module, or no name. */
static bool is_unknown(const struct profile *profile, uint32_t stack)
{
	uint32_t location = profile->stack_location[stack];

	return !profile->functions[profile->frames[profile->frame_first[location]].function].named;
}

static int take(struct pass *pass, const struct cols *cols, uint64_t row)
{
	struct profile *profile = pass->profile;
	uint64_t time = (uint64_t)cols_int(cols, TIME, row, 0);
	uint64_t weight = (uint64_t)cols_int(cols, WEIGHT, row, 1), distance;
	uint32_t stack, thread;
	int status;

	if (pass->t1_ns && cols_has(cols, TIME) && (time < pass->t0_ns || time > pass->t1_ns)) {
		distance = time < pass->t0_ns ? pass->t0_ns - time : time - pass->t1_ns;
		pass->nearest_ns = distance < pass->nearest_ns ? distance : pass->nearest_ns;
		profile->outside++;
		return PFC_OK;
	}
	stack = profile_id(profile, cols_id(cols, STACK, row), profile->stack_count);
	if (pass->only && !pass->only[stack]) {
		profile->other_samples++;
		if (__builtin_add_overflow(profile->other_weight, weight, &profile->other_weight)) {
			profile->other_weight = UINT64_MAX;
		}
		return PFC_OK;
	}
	status = thread_at(pass, (int32_t)cols_int(cols, PID, row, 0), (int32_t)cols_int(cols, TID, row, 0),
			   &thread);
	if (status == PFC_OK && pass->by_thread) {
		status = share_add(pass, thread, stack, weight);
	}
	if (status != PFC_OK) {
		return status;
	}
	if (__builtin_add_overflow(profile->weight, weight, &profile->weight)) {
		profile->weight =
			UINT64_MAX; /* only nonsense weighs that much; the sums below stay within it */
		weight = 0;
	}
	profile->samples++;
	profile->stack_weight[stack] += weight;
	profile->stack_samples[stack]++;
	profile->threads[thread].weight += weight;
	profile->threads[thread].samples++;
	profile->no_stack += stack == 0;
	profile->unknown_leaf += stack == 0 || is_unknown(profile, stack);
	profile->first_ns = profile->samples == 1 || time < profile->first_ns ? time : profile->first_ns;
	profile->last_ns = time > profile->last_ns ? time : profile->last_ns;
	return PFC_OK;
}

static int read_all(struct pass *pass, const struct pfc_reader *reader)
{
	static const char *const columns[COLUMNS] = { "time", "pid", "tid", "weight", "stack" };
	struct cols cols;
	uint64_t row;
	int status = cols_begin(&cols, reader, "samples", columns, COLUMNS);

	if (status != PFC_OK) {
		return status;
	}
	pass->profile->has_weight = cols_has(&cols, WEIGHT);
	while (cols_next(&cols)) {
		for (row = 0; row < cols.rows; row++) {
			status = take(pass, &cols, row);
			if (status != PFC_OK) {
				return status;
			}
		}
	}
	pass->profile->cut |= cols.cut;
	return PFC_OK;
}

/* The last name of each thread that has samples. */
static int name_threads(struct pass *pass, const struct pfc_reader *reader)
{
	static const char *const columns[] = { "pid", "tid", "name" };
	struct profile *profile = pass->profile;
	struct cols cols;
	uint32_t *id;
	uint64_t row, key;
	int status;

	cols_begin(&cols, reader, "threads", columns, 3);
	while (cols_next(&cols)) {
		for (row = 0; row < cols.rows; row++) {
			key = pairmap_key((uint32_t)cols_int(&cols, 0, row, 0),
					  (uint32_t)cols_int(&cols, 1, row, 0));
			id = pairmap_at(&pass->thread_ids, key, UINT32_MAX, NULL);
			if (!id) {
				return PFC_ENOMEM;
			}
			if (*id == UINT32_MAX) {
				continue; /* it has no sample */
			}
			status = profile_string(profile, cols_id(&cols, 2, row), &profile->threads[*id].name);
			if (status != PFC_OK) {
				return status;
			}
		}
	}
	return PFC_OK;
}

static int by_thread(const void *a, const void *b)
{
	const struct profile_share *left = a, *right = b;

	if (left->thread != right->thread) {
		return left->thread < right->thread ? -1 : 1;
	}
	return left->stack < right->stack ? -1 : left->stack > right->stack;
}

/* Where no sample weighs anything, each weighs one. */
static void weigh_by_count(struct profile *profile)
{
	uint32_t i;

	memcpy(profile->stack_weight, profile->stack_samples,
	       profile->stack_count * sizeof(*profile->stack_weight));
	for (i = 0; i < profile->thread_count; i++) {
		profile->threads[i].weight = profile->threads[i].samples;
	}
	for (i = 0; i < profile->share_count; i++) {
		profile->shares[i].weight = profile->shares[i].samples;
	}
	profile->weight = profile->samples;
	profile->other_weight = profile->other_samples;
	profile->has_weight = false;
	snprintf(profile->unit, sizeof(profile->unit), "count");
}

int profile_read_samples(struct profile *profile, const struct pfc_reader *reader,
			 const struct profile_options *options)
{
	struct pass pass = {
		.profile = profile,
		.by_thread = options->by_thread,
		.t0_ns = options->t0_ns,
		.t1_ns = options->t1_ns,
		.nearest_ns = UINT64_MAX,
	};
	int status = PFC_ENOMEM;

	profile->stack_weight = calloc(profile->stack_count, sizeof(*profile->stack_weight));
	profile->stack_samples = calloc(profile->stack_count, sizeof(*profile->stack_samples));
	if (profile->stack_weight && profile->stack_samples) {
		status = profile_only_stacks(profile, &pass.only);
	}
	if (status == PFC_OK) {
		status = read_all(&pass, reader);
	}
	if (status == PFC_OK && profile->samples == 0 && profile->other_samples == 0 &&
	    profile->outside > 0 && pass.nearest_ns > FAR_NS) {
		profile->window_ignored = true;
		profile->outside = 0;
		pass.t0_ns = pass.t1_ns = 0;
		status = read_all(&pass, reader);
	}
	if (status == PFC_OK) {
		status = name_threads(&pass, reader);
	}
	if (status == PFC_OK && (profile->weight == 0 || !profile->has_weight)) {
		weigh_by_count(profile);
	}
	if (status == PFC_OK && profile->share_count) {
		qsort(profile->shares, profile->share_count, sizeof(*profile->shares), by_thread);
	}
	free(pass.only);
	pairmap_finish(&pass.thread_ids);
	pairmap_finish(&pass.share_ids);
	return status;
}
