/* SPDX-License-Identifier: MIT */
/*
 * Who ends the waits of a function: rows of `long_waits` are joined to the stack of the wait, and to that of the thread that ended it,
 * which the same stage took.
 */
#include "waiting.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "lib/cols.h"
#include "lib/sampled.h"
#include "lib/units.h"

struct tally {
	uint64_t ns, longest_ns;
	char thread[24]; /* that ended the longest */
};

/* The stacks of waits, and of those who ended them. */
struct join {
	const struct profile *waits, *wakers;
	struct sampled wait_samples, waker_samples;
	bool *is_wanted;       /* by stack of `waits` */
	struct tally *tallies; /* by function of `wakers`; [0]: no function of the app */
	uint64_t all_ns;
};

static bool is_of_one_stage(const struct pfc_reader *a, const struct pfc_reader *b)
{
	struct pfc_artifact x = { .struct_size = sizeof(x) }, y = { .struct_size = sizeof(y) };

	return a && b && a->describe(a->ctx, &x) == PFC_OK && b->describe(b->ctx, &y) == PFC_OK &&
	       x.producer && y.producer && strcmp(x.producer, y.producer) == 0;
}

static void add_row(struct join *join, const struct cols *cols, uint64_t row)
{
	uint32_t stack = sampled_at(&join->wait_samples, (uint64_t)cols_int(cols, 0, row, 0),
				    (int32_t)cols_int(cols, 1, row, 0));
	uint64_t blocked_ns = (uint64_t)cols_int(cols, 4, row, 0);
	int32_t waker_tid = (int32_t)cols_int(cols, 3, row, 0);
	struct text thread = { 0 };
	struct tally *tally;
	uint32_t function;

	if (waker_tid <= 0 || !join->is_wanted[stack]) {
		return;
	}
	cause_of_stack(join->wakers,
		       sampled_at(&join->waker_samples, (uint64_t)cols_int(cols, 2, row, 0), waker_tid),
		       &function);
	tally = &join->tallies[function];
	tally->ns += blocked_ns;
	join->all_ns += blocked_ns;
	if (blocked_ns > tally->longest_ns) {
		tally->longest_ns = blocked_ns;
		text_clean(&thread, cols_string(cols, 5, row), 20);
		strncpy(tally->thread, text_str(&thread), sizeof(tally->thread) - 1);
		text_finish(&thread);
	}
}

static int read_join(struct join *join, const struct view *waits, const struct view *wakers,
		     const struct pfc_reader *syscalls, enum cause cause, uint32_t wanted)
{
	static const char *const columns[] = { "time", "tid", "woken", "waker_tid", "blocked_ns", "waker" };
	struct cols cols;
	uint32_t app;
	int status;

	join->waits = waits->profile;
	join->wakers = wakers->profile;
	join->is_wanted = calloc((size_t)join->waits->stack_count + 1, sizeof(*join->is_wanted));
	join->tallies = calloc((size_t)join->wakers->function_count + 1, sizeof(*join->tallies));
	if (!join->is_wanted || !join->tallies) {
		return PFC_ENOMEM;
	}
	for (uint32_t stack = 1; stack < join->waits->stack_count; stack++) {
		join->is_wanted[stack] = join->waits->stack_weight[stack] &&
					 cause_of_stack(join->waits, stack, &app) == cause && app == wanted;
	}
	status = sampled_read(&join->wait_samples, waits->reader, join->waits->stack_count);
	if (status == PFC_OK) {
		status = sampled_read(&join->waker_samples, wakers->reader, join->wakers->stack_count);
	}
	if (status != PFC_OK || cols_begin(&cols, syscalls, "long_waits", columns, 6) != PFC_OK) {
		return status;
	}
	while (cols_next(&cols)) {
		for (uint64_t row = 0; row < cols.rows; row++) {
			add_row(join, &cols, row);
		}
	}
	return PFC_OK;
}

static void say(const struct join *join, struct text *to)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < join->wakers->function_count; i++) {
		best = join->tallies[i].ns > join->tallies[best].ns ? i : best;
	}
	if (join->tallies[best].ns == 0) {
		return;
	}
	text_format(to, "; woken by %s", join->tallies[best].thread);
	if (best) {
		text_add(to, " in ");
		text_cut(to, profile_function_name(join->wakers, best), 120);
	}
	text_format(to, " for %.0f %% of it", units_pct(join->tallies[best].ns, join->all_ns));
}

static const struct view *wakers_of(const struct analysis *analysis, const struct view *waits)
{
	for (uint32_t i = 0; i < analysis->view_count; i++) {
		const struct view *view = &analysis->views[i];

		if (view->profile && strcmp(view->profile->signal, "wakers") == 0 &&
		    is_of_one_stage(view->reader, waits->reader)) {
			return view;
		}
	}
	return NULL;
}

int wakers_say(const struct analysis *analysis, const struct view *waits, enum cause cause, uint32_t function,
	       struct text *to)
{
	const struct view *wakers = wakers_of(analysis, waits);
	int status = PFC_OK;

	for (uint32_t i = 0; wakers && i < analysis->calls_count; i++) {
		const struct calls *calls = &analysis->calls[i];
		struct join join = { 0 };

		if (!calls->is_read || !is_of_one_stage(calls->model.reader, waits->reader)) {
			continue;
		}
		status = read_join(&join, waits, wakers, calls->model.reader, cause, function);
		if (status == PFC_OK) {
			say(&join, to);
		}
		sampled_finish(&join.wait_samples);
		sampled_finish(&join.waker_samples);
		free(join.is_wanted);
		free(join.tallies);
		break;
	}
	return status;
}
