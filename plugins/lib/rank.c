/* SPDX-License-Identifier: MIT */
#include "rank.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

/* The stack tree turned round, and what a walk over it needs. All arrays are indexed by stack but the last two. */
struct walk {
	const struct profile *profile;
	uint64_t *inclusive;
	uint64_t *inclusive_samples;
	uint32_t *child;   /* first child */
	uint32_t *sibling; /* next child of the same parent */
	uint32_t *on_path; /* by id: how often it is on the path from the root to here */
	struct rank_row *rows;
	bool modules;
};

static uint32_t id_of(const struct walk *walk, const struct profile_frame *frame)
{
	return walk->modules ? walk->profile->functions[frame->function].module : frame->function;
}

static int walk_init(struct walk *walk, const struct profile *profile, uint32_t ids)
{
	uint32_t stacks = profile->stack_count, i;

	walk->profile = profile;
	walk->inclusive = malloc(stacks * sizeof(*walk->inclusive));
	walk->inclusive_samples = malloc(stacks * sizeof(*walk->inclusive_samples));
	walk->child = calloc(stacks, sizeof(*walk->child));
	walk->sibling = calloc(stacks, sizeof(*walk->sibling));
	walk->on_path = calloc(ids, sizeof(*walk->on_path));
	walk->rows = calloc(ids, sizeof(*walk->rows));
	if (!walk->inclusive || !walk->inclusive_samples || !walk->child || !walk->sibling ||
	    !walk->on_path || !walk->rows) {
		return PFC_ENOMEM;
	}
	memcpy(walk->inclusive, profile->stack_weight, stacks * sizeof(*walk->inclusive));
	memcpy(walk->inclusive_samples, profile->stack_samples, stacks * sizeof(*walk->inclusive_samples));
	for (i = stacks - 1; i > 0; i--) {
		walk->inclusive[profile->parent[i]] += walk->inclusive[i];
		walk->inclusive_samples[profile->parent[i]] += walk->inclusive_samples[i];
		walk->sibling[i] = walk->child[profile->parent[i]];
		walk->child[profile->parent[i]] = i;
	}
	for (i = 0; i < ids; i++) {
		walk->rows[i].id = i;
	}
	return PFC_OK;
}

static void walk_finish(struct walk *walk)
{
	free(walk->inclusive);
	free(walk->inclusive_samples);
	free(walk->child);
	free(walk->sibling);
	free(walk->on_path);
	free(walk->rows);
}

static void enter(struct walk *walk, uint32_t stack)
{
	const struct profile *profile = walk->profile;
	uint32_t location = profile->stack_location[stack], i, id;

	for (i = profile->frame_first[location]; i < profile->frame_first[location + 1]; i++) {
		id = id_of(walk, &profile->frames[i]);
		if (walk->on_path[id]++ == 0) {
			walk->rows[id].total += walk->inclusive[stack];
			walk->rows[id].total_samples += walk->inclusive_samples[stack];
		}
	}
}

static void leave(struct walk *walk, uint32_t stack)
{
	const struct profile *profile = walk->profile;
	uint32_t location = profile->stack_location[stack], i;

	for (i = profile->frame_first[location]; i < profile->frame_first[location + 1]; i++) {
		walk->on_path[id_of(walk, &profile->frames[i])]--;
	}
}

/* Totals: depth first, without recursion, as the depth is the artifact's choice. */
static void add_totals(struct walk *walk)
{
	uint32_t at = walk->child[0];

	while (at) {
		enter(walk, at);
		if (walk->child[at]) {
			at = walk->child[at];
			continue;
		}
		leave(walk, at);
		while (!walk->sibling[at] && walk->profile->parent[at]) {
			at = walk->profile->parent[at];
			leave(walk, at);
		}
		at = walk->sibling[at];
	}
}

/*
 * The function of the innermost frame of the app; of each stack, filled from the root outwards. 0: none. A language's own library,
 * inlined into the app, leads only where nothing else of the app is in the stack.
 */
static int add_led(struct walk *walk)
{
	const struct profile *profile = walk->profile;
	uint32_t *leader = calloc(2 * (size_t)profile->stack_count, sizeof(*leader)), *stand_in;

	if (!leader) {
		return PFC_ENOMEM;
	}
	stand_in = leader + profile->stack_count;
	for (uint32_t stack = 1; stack < profile->stack_count; stack++) {
		uint32_t location = profile->stack_location[stack], own = 0, any = 0, led;

		for (uint32_t i = profile->frame_first[location + 1]; i-- > profile->frame_first[location];) {
			uint32_t function = profile->frames[i].function;

			own = profile_is_own(profile, function) ? function : own;
			any = profile->functions[function].kind == PROFILE_APP ? function : any;
		}
		leader[stack] = own ? own : leader[profile->parent[stack]];
		stand_in[stack] = any ? any : stand_in[profile->parent[stack]];
		led = leader[stack] ? leader[stack] : stand_in[stack];
		if (led) {
			walk->rows[led].led += profile->stack_weight[stack];
		}
	}
	free(leader);
	return PFC_OK;
}

static void add_self(struct walk *walk)
{
	const struct profile *profile = walk->profile;
	struct rank_row *row;
	uint32_t stack;

	for (stack = 0; stack < profile->stack_count; stack++) {
		if (profile->stack_samples[stack]) {
			row = &walk->rows[id_of(
				walk,
				&profile->frames[profile->frame_first[profile->stack_location[stack]]])];
			row->self += profile->stack_weight[stack];
			row->self_samples += profile->stack_samples[stack];
		}
	}
	/* A sample without a stack counts as unknown, in the total too. */
	walk->rows[0].total += profile->stack_weight[0];
	walk->rows[0].total_samples += profile->stack_samples[0];
}

/* The address in each function that has the most weight, summed over all stacks that end there. */
static int add_addresses(struct walk *walk)
{
	const struct profile *profile = walk->profile;
	uint64_t *weight = calloc(profile->location_count, sizeof(*weight));
	struct rank_row *row;
	uint32_t i;

	if (!weight) {
		return PFC_ENOMEM;
	}
	for (i = 0; i < profile->stack_count; i++) {
		weight[profile->stack_location[i]] += profile->stack_weight[i];
	}
	for (i = 1; i < profile->location_count; i++) {
		row = &walk->rows[profile->frames[profile->frame_first[i]].function];
		if (weight[i] > row->address_weight) {
			row->address_weight = weight[i];
			row->address = profile->location_address[i];
		}
	}
	free(weight);
	return PFC_OK;
}

static int run(struct walk *walk, const struct profile *profile, uint32_t ids, struct rank *ret)
{
	uint32_t i, to = 0;
	int status = walk_init(walk, profile, ids);

	if (status == PFC_OK) {
		add_totals(walk);
		add_self(walk);
	}
	if (status == PFC_OK && !walk->modules) {
		status = add_led(walk);
	}
	if (status == PFC_OK && !walk->modules) {
		status = add_addresses(walk);
	}
	if (status == PFC_OK) {
		for (i = 0; i < ids; i++) {
			if (walk->rows[i].total_samples || walk->rows[i].self_samples) {
				walk->rows[to++] = walk->rows[i];
			}
		}
		ret->rows = walk->rows;
		ret->count = to;
		walk->rows = NULL;
	}
	walk_finish(walk);
	return status;
}

int rank_functions(const struct profile *profile, struct rank *ret)
{
	struct walk walk = { .modules = false };

	return run(&walk, profile, profile->function_count, ret);
}

int rank_modules(const struct profile *profile, struct rank *ret)
{
	struct walk walk = { .modules = true };

	return run(&walk, profile, profile->module_count, ret);
}

static int compare(uint64_t a, uint64_t b)
{
	return a > b ? -1 : a < b;
}

static int by_self(const void *a, const void *b)
{
	const struct rank_row *left = a, *right = b;
	int result = compare(left->self, right->self);

	if (result == 0) {
		result = compare(left->total, right->total);
	}
	return result ? result : left->id < right->id ? -1 : left->id > right->id;
}

static int by_total(const void *a, const void *b)
{
	const struct rank_row *left = a, *right = b;
	int result = compare(left->total, right->total);

	return result ? result : by_self(a, b);
}

static int by_led(const void *a, const void *b)
{
	const struct rank_row *left = a, *right = b;
	int result = compare(left->led, right->led);

	return result ? result : by_self(a, b);
}

void rank_sort(struct rank *rank, enum rank_order order)
{
	qsort(rank->rows, rank->count, sizeof(*rank->rows),
	      order == RANK_TOTAL ? by_total
	      : order == RANK_LED ? by_led
				  : by_self);
}

void rank_finish(struct rank *rank)
{
	free(rank->rows);
	memset(rank, 0, sizeof(*rank));
}

static int by_line(const void *a, const void *b)
{
	const struct rank_line *left = a, *right = b;

	if (left->function != right->function) {
		return left->function < right->function ? -1 : 1;
	}
	if (left->file != right->file) {
		return left->file < right->file ? -1 : 1;
	}
	return left->line < right->line ? -1 : left->line > right->line;
}

static int by_weight(const void *a, const void *b)
{
	const struct rank_line *left = a, *right = b;
	int result = compare(left->self, right->self);

	return result ? result : by_line(a, b);
}

int rank_lines(const struct profile *profile, struct rank_line **ret, uint32_t *ret_count)
{
	struct rank_line *lines = calloc(profile->stack_count, sizeof(*lines));
	const struct profile_frame *frame;
	uint32_t i, count = 0, to = 0;

	if (!lines) {
		return PFC_ENOMEM;
	}
	for (i = 1; i < profile->stack_count; i++) {
		frame = &profile->frames[profile->frame_first[profile->stack_location[i]]];
		if (profile->stack_samples[i] && frame->file && frame->line) {
			lines[count++] =
				(struct rank_line){ frame->function, frame->file, frame->line,
						    profile->stack_weight[i], profile->stack_samples[i] };
		}
	}
	qsort(lines, count, sizeof(*lines), by_line);
	for (i = 0; i < count; i++) {
		if (to > 0 && by_line(&lines[to - 1], &lines[i]) == 0) {
			lines[to - 1].self += lines[i].self;
			lines[to - 1].self_samples += lines[i].self_samples;
		} else {
			lines[to++] = lines[i];
		}
	}
	qsort(lines, to, sizeof(*lines), by_weight);
	*ret = lines;
	*ret_count = to;
	return PFC_OK;
}
