/* SPDX-License-Identifier: MIT */
#include "calltree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

/* State while building. */
struct build {
	struct profile *profile;
	const struct calltree_options *options;
	struct calltree *tree;
	struct pairmap children; /* (parent node, function and inlined) to node */
	uint32_t limit;          /* deepest node allowed */
	uint32_t top;            /* node below which the present stacks go */
	uint32_t *node_of;       /* by stack: its node below `top`; UINT32_MAX while not known */
	bool *is_cut;            /* by stack: a limit stopped it before its innermost frame */
	uint32_t *path;          /* stacks from one up to one whose node is known */
	uint32_t *touched;       /* stacks whose node_of is set */
	uint32_t touched_count;
};

static int add_node(struct calltree *tree, uint32_t parent, uint32_t function, bool inlined)
{
	struct calltree_node *bigger, *node;

	if (tree->count == tree->room) {
		tree->room = tree->room ? tree->room * 2 : 1024;
		bigger = realloc(tree->nodes, tree->room * sizeof(*bigger));
		if (!bigger) {
			return PFC_ENOMEM;
		}
		tree->nodes = bigger;
	}
	node = &tree->nodes[tree->count];
	memset(node, 0, sizeof(*node));
	node->parent = parent;
	node->function = function;
	node->inlined = inlined;
	node->depth = tree->count ? tree->nodes[parent].depth + 1 : 0;
	tree->count++;
	return PFC_OK;
}

/* The child of a node for a function; the node itself, with *ret_cut set, where a limit stops the tree. */
static int child_of(struct build *build, uint32_t parent, uint32_t function, bool inlined, uint32_t *ret,
		    bool *ret_cut)
{
	struct calltree *tree = build->tree;
	uint32_t *node;
	bool is_new;

	if (tree->nodes[parent].depth >= build->limit || tree->count >= CALLTREE_MAX_NODES) {
		*ret_cut = true;
		*ret = parent;
		return PFC_OK;
	}
	node = pairmap_at(&build->children, pairmap_key(parent, function << 1 | inlined), tree->count,
			  &is_new);
	if (!node) {
		return PFC_ENOMEM;
	}
	*ret = *node;
	return is_new ? add_node(tree, parent, function, inlined) : PFC_OK;
}

/* Go from a node through the frames of one stack row, outermost first. */
static int descend(struct build *build, uint32_t stack, uint32_t *node, bool *ret_cut)
{
	const struct profile *profile = build->profile;
	uint32_t location = profile->stack_location[stack], i;
	int status = PFC_OK;

	for (i = profile->frame_first[location + 1];
	     status == PFC_OK && i-- > profile->frame_first[location];) {
		status = child_of(build, *node, profile->frames[i].function, profile->frames[i].inlined, node,
				  ret_cut);
	}
	return status;
}

/* The node of a stack; each stack is walked once per `top`, so that the whole is linear in the number of stacks. */
static int node_of_stack(struct build *build, uint32_t stack, uint32_t *ret, bool *ret_cut)
{
	uint32_t count = 0, node, at = stack;
	int status = PFC_OK;

	while (build->node_of[at] == UINT32_MAX) {
		build->path[count++] = at;
		at = build->profile->parent[at];
	}
	node = build->node_of[at];
	*ret_cut = build->is_cut[at];
	while (status == PFC_OK && count > 0) {
		at = build->path[--count];
		status = descend(build, at, &node, ret_cut);
		build->node_of[at] = node;
		build->is_cut[at] = *ret_cut;
		build->touched[build->touched_count++] = at;
	}
	*ret = node;
	return status;
}

/* The node of a stack read from its innermost frame outwards. */
static int node_of_callers(struct build *build, uint32_t stack, uint32_t *ret, bool *ret_cut)
{
	const struct profile *profile = build->profile;
	uint32_t node = build->top, location, i;
	int status = PFC_OK;

	for (; stack && status == PFC_OK && !*ret_cut; stack = profile->parent[stack]) {
		location = profile->stack_location[stack];
		for (i = profile->frame_first[location];
		     status == PFC_OK && !*ret_cut && i < profile->frame_first[location + 1]; i++) {
			status = child_of(build, node, profile->frames[i].function,
					  profile->frames[i].inlined, &node, ret_cut);
		}
	}
	*ret = node;
	return status;
}

static int add_stack(struct build *build, uint32_t stack, uint64_t weight, uint64_t samples)
{
	uint32_t node;
	bool cut = false;
	int status;

	if (stack == 0) {
		status = child_of(build, build->top, 0, false, &node, &cut);
	} else if (build->options->reverse) {
		status = node_of_callers(build, stack, &node, &cut);
	} else {
		status = node_of_stack(build, stack, &node, &cut);
	}
	if (status != PFC_OK) {
		return status;
	}
	build->tree->cut_weight += cut ? weight : 0;
	build->tree->nodes[node].self += weight;
	build->tree->nodes[node].self_samples += samples;
	return PFC_OK;
}

/* Forget the nodes of stacks and go on below another node. */
static void set_top(struct build *build, uint32_t top)
{
	while (build->touched_count > 0) {
		build->node_of[build->touched[--build->touched_count]] = UINT32_MAX;
	}
	build->top = top;
	build->node_of[0] = top; /* never cut */
}

static int thread_top(struct build *build, const struct profile_thread *thread)
{
	struct profile_function function = { .kind = PROFILE_THREAD, .named = true };
	const char *name = names_text(&build->profile->names, thread->name);
	char text[NAMES_MAX_CHARS * 8 + 64];
	uint32_t id, node;
	bool cut = false;
	int status;

	snprintf(text, sizeof(text), "%s (thread %d)", *name ? name : "?", thread->tid);
	status = names_clean(&build->profile->names, text, &function.name);
	if (status == PFC_OK) {
		status = profile_function_add(build->profile, &function, &id);
	}
	if (status == PFC_OK) {
		status = child_of(build, 0, id, false, &node, &cut);
	}
	if (status == PFC_OK) {
		set_top(build, node);
	}
	return status;
}

static int add_by_thread(struct build *build)
{
	const struct profile *profile = build->profile;
	const struct profile_share *share;
	uint32_t i;
	int status = PFC_OK;

	for (i = 0; status == PFC_OK && i < profile->share_count; i++) {
		share = &profile->shares[i];
		if (i == 0 || share->thread != share[-1].thread) {
			status = thread_top(build, &profile->threads[share->thread]);
		}
		if (status == PFC_OK) {
			status = add_stack(build, share->stack, share->weight, share->samples);
		}
	}
	return status;
}

static int add_all(struct build *build)
{
	const struct profile *profile = build->profile;
	uint32_t stack;
	int status = PFC_OK;

	set_top(build, 0);
	if (build->options->by_thread) {
		return add_by_thread(build);
	}
	for (stack = 0; status == PFC_OK && stack < profile->stack_count; stack++) {
		if (profile->stack_samples[stack]) {
			status = add_stack(build, stack, profile->stack_weight[stack],
					   profile->stack_samples[stack]);
		}
	}
	return status;
}

static void sum_up(struct calltree *tree)
{
	struct calltree_node *node;
	uint32_t i;

	for (i = tree->count; i-- > 0;) {
		node = &tree->nodes[i];
		node->total += node->self;
		node->total_samples += node->self_samples;
		if (i > 0) {
			tree->nodes[node->parent].total += node->total;
			tree->nodes[node->parent].total_samples += node->total_samples;
		}
	}
}

/* A node and what it is sorted by. */
struct entry {
	uint32_t node;
	uint32_t parent;
	uint64_t weight;
	const char *name;
	const char *module;
};

static int by_parent_and_order(const void *a, const void *b)
{
	const struct entry *left = a, *right = b;
	int result;

	if (left->parent != right->parent) {
		return left->parent < right->parent ? -1 : 1;
	}
	if (left->weight != right->weight) {
		return left->weight > right->weight ? -1 : 1;
	}
	result = strcmp(left->name, right->name);
	if (result == 0) {
		result = strcmp(left->module, right->module);
	}
	return result ? result : left->node < right->node ? -1 : 1;
}

static int link_children(struct calltree *tree, const struct profile *profile, enum calltree_order order)
{
	struct entry *entries = calloc(tree->count, sizeof(*entries));
	struct calltree_node *parent;
	uint32_t i, function;

	if (!entries) {
		return PFC_ENOMEM;
	}
	for (i = 1; i < tree->count; i++) {
		function = tree->nodes[i].function;
		entries[i] = (struct entry){
			.node = i,
			.parent = tree->nodes[i].parent,
			.weight = order == CALLTREE_BY_WEIGHT ? tree->nodes[i].total : 0,
			.name = profile_function_name(profile, function),
			.module = profile_function_module(profile, function),
		};
	}
	qsort(entries + 1, tree->count - 1, sizeof(*entries), by_parent_and_order);
	for (i = tree->count; i-- > 1;) {
		parent = &tree->nodes[entries[i].parent];
		tree->nodes[entries[i].node].sibling = parent->child;
		parent->child = entries[i].node;
	}
	free(entries);
	return PFC_OK;
}

static int build_init(struct build *build)
{
	uint32_t stacks = build->profile->stack_count;

	build->node_of = malloc(stacks * sizeof(*build->node_of));
	build->path = malloc(stacks * sizeof(*build->path));
	build->touched = malloc(stacks * sizeof(*build->touched));
	build->is_cut = calloc(stacks, sizeof(*build->is_cut));
	if (!build->is_cut || !build->node_of || !build->path || !build->touched) {
		return PFC_ENOMEM;
	}
	memset(build->node_of, 0xff, stacks * sizeof(*build->node_of));
	build->limit = build->options->max_depth;
	if (build->limit == 0 || build->limit > CALLTREE_MAX_DEPTH) {
		build->limit = CALLTREE_MAX_DEPTH;
	}
	build->limit += build->options->by_thread;
	return add_node(build->tree, 0, 0, false);
}

int calltree_build(struct profile *profile, const struct calltree_options *options, struct calltree *ret)
{
	struct calltree tree = { 0 };
	struct build build = { .profile = profile, .options = options, .tree = &tree };
	int status = build_init(&build);

	if (status == PFC_OK) {
		status = add_all(&build);
	}
	if (status == PFC_OK) {
		sum_up(&tree);
		status = link_children(&tree, profile, options->order);
	}
	pairmap_finish(&build.children);
	free(build.node_of);
	free(build.path);
	free(build.touched);
	free(build.is_cut);
	if (status == PFC_OK) {
		*ret = tree;
	} else {
		calltree_finish(&tree);
	}
	return status;
}

void calltree_finish(struct calltree *tree)
{
	free(tree->nodes);
	memset(tree, 0, sizeof(*tree));
}
