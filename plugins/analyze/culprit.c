/* SPDX-License-Identifier: MIT */
/*
 * Who is to blame in a profile. Not the function with the most self time as such: that is often a copy routine or the
 * kernel, which no one can change. Each stack is laid to its innermost app frame; the app function that leads most weight is
 * the culprit. Without app frames (all library, all kernel) it is the function with the most self time. Names play no part.
 */
#include "analysis.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

/* Of all weight under a function: it explains the profile, or at least most of it. */
#define NEARLY_ALL_PCT 90.0
#define MOST_PCT       50.0

const char *view_subject(const struct view *view)
{
	static const char *const words[][2] = {
		{ "cpu", "CPU time" },     { "faults", "page faults" },     { "off-cpu", "off-CPU time" },
		{ "heap", "heap memory" }, { "alloc", "allocated memory" },
		{ "in-use", "heap in use" }, { "churn", "allocated heap memory" },
		{ "file-faults", "pages of files" }, { "mappings", "mapped memory" },
	};
	size_t i;

	if (strcmp(view->profile->signal, "faults") == 0 && strcmp(view->profile->unit, "bytes") == 0) {
		return "memory that came in by page faults";
	}
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(view->profile->signal, words[i][0]) == 0) {
			return words[i][1];
		}
	}
	return *view->profile->signal ? view->profile->signal : "samples";
}

static bool is_app(const struct profile *profile, uint32_t function)
{
	return profile->functions[function].kind == PROFILE_APP;
}

static void choose(const struct view *view, struct culprit *culprit)
{
	const struct rank_row *row, *best = NULL;
	uint32_t i;

	for (i = 0; i < view->self.count; i++) {
		row = &view->self.rows[i];
		if (row->led > 0 && (!best || row->led > best->led)) {
			best = row;
		}
	}
	for (i = 0; !best && i < view->self.count; i++) {
		if (view->self.rows[i].id != 0) {
			best = &view->self.rows[i];
		}
	}
	if (best && (best->led || best->self)) {
		culprit->function = best->id;
		culprit->self = best->self;
		culprit->total = best->total;
		culprit->led = best->led > best->self ? best->led : best->self;
	}
}

/* The innermost app function of a stack, and its innermost function of all. */
static uint32_t leader_of(const struct profile *profile, uint32_t stack, uint32_t *ret_leaf)
{
	uint32_t location, i;

	*ret_leaf = profile->frames[profile->frame_first[profile->stack_location[stack]]].function;
	for (; stack; stack = profile->parent[stack]) {
		location = profile->stack_location[stack];
		for (i = profile->frame_first[location]; i < profile->frame_first[location + 1]; i++) {
			if (is_app(profile, profile->frames[i].function)) {
				return profile->frames[i].function;
			}
		}
	}
	return 0;
}

/* What the culprit spends its weight in, where that is not itself. */
static int find_callee(const struct profile *profile, struct culprit *culprit)
{
	uint64_t *weight;
	uint32_t stack, leaf, i;

	if (culprit->led < 2 * culprit->self || !is_app(profile, culprit->function)) {
		return PFC_OK;
	}
	weight = calloc(profile->function_count, sizeof(*weight));
	if (!weight) {
		return PFC_ENOMEM;
	}
	for (stack = 1; stack < profile->stack_count; stack++) {
		if (profile->stack_weight[stack] && leader_of(profile, stack, &leaf) == culprit->function &&
		    leaf != culprit->function) {
			weight[leaf] += profile->stack_weight[stack];
		}
	}
	for (i = 1; i < profile->function_count; i++) {
		if (weight[i] > culprit->callee_weight) {
			culprit->callee_weight = weight[i];
			culprit->callee = i;
		}
	}
	free(weight);
	return PFC_OK;
}

/* Down the heaviest path: the last app function that still has `pct` of all weight below it, above the culprit. */
static uint32_t deepest(const struct view *view, const struct culprit *culprit, double pct,
			uint64_t *ret_total)
{
	const struct calltree_node *nodes = view->tree.nodes;
	double least = (double)view->profile->weight * pct / 100;
	uint32_t at = nodes[0].child, found = 0;

	for (; at && (double)nodes[at].total >= least; at = nodes[at].child) {
		if (nodes[at].function == culprit->function) {
			break;
		}
		if (is_app(view->profile, nodes[at].function)) {
			found = nodes[at].function;
			*ret_total = nodes[at].total;
		}
	}
	return found;
}

int culprit_find(const struct view *view, struct culprit *ret)
{
	struct culprit culprit = { 0 };
	int status = PFC_OK;

	choose(view, &culprit);
	if (culprit.function) {
		status = find_callee(view->profile, &culprit);
		culprit.under = deepest(view, &culprit, NEARLY_ALL_PCT, &culprit.under_total);
	}
	if (culprit.function && !culprit.under) {
		culprit.under = deepest(view, &culprit, MOST_PCT, &culprit.under_total);
	}
	if (status == PFC_OK) {
		*ret = culprit;
	}
	return status;
}
