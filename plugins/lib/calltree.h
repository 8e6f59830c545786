/* SPDX-License-Identifier: MIT */
/*
 * The call tree by function: stacks that differ only in addresses fall together. Turned round (callers), each path starts
 * with the innermost function. Optionally split by thread at the top.
 */
#ifndef PLUGINS_LIB_CALLTREE_H
#define PLUGINS_LIB_CALLTREE_H

#include "profile.h"

/** A node; node 0 is the root, which is no function. Siblings are linked in the order of the tree. */
struct calltree_node {
	uint32_t function;
	uint32_t parent;
	uint32_t child;   /* first child, 0 for none */
	uint32_t sibling; /* next child of the same parent, 0 for none */
	uint32_t depth;   /* root: 0 */
	bool inlined;
	uint64_t self, total;
	uint64_t self_samples, total_samples;
};

enum calltree_order { CALLTREE_BY_NAME, CALLTREE_BY_WEIGHT };

struct calltree_options {
	bool reverse;
	bool by_thread; /* the profile was read with by_thread */
	uint32_t
		max_depth; /* frames kept of a stack, counted from the root; 0 for no limit but CALLTREE_MAX_DEPTH */
	enum calltree_order order;
};

#define CALLTREE_MAX_DEPTH 2048
#define CALLTREE_MAX_NODES (1u << 22)

struct calltree {
	struct calltree_node *nodes;
	uint32_t count;
	uint32_t room;
	uint64_t
		cut_weight; /* of stacks that lost frames to a limit; their weight stays with the node reached */
};

/**
 * Build the tree. Adds thread pseudo functions to the profile when it is split by thread.
 *
 * Returns: 0 or PFC_ENOMEM. Free with calltree_finish.
 */
int calltree_build(struct profile *profile, const struct calltree_options *options, struct calltree *ret);
void calltree_finish(struct calltree *tree);

#endif
