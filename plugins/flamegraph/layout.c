/* SPDX-License-Identifier: MIT */
/* From the call tree to boxes: pre-order, children side by side, what is too narrow in one box at their right end. */
#include "flame.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

/* A box whose children are being laid out. */
struct level {
	uint32_t next; /* child node that comes next, 0: none left */
	uint64_t x;
	uint64_t merged, merged_samples;
	uint32_t merged_count;
};

static struct flame_box *add_box(struct flame *flame)
{
	struct flame_box *bigger;

	if (flame->box_count == flame->box_room) {
		flame->box_room = flame->box_room ? flame->box_room * 2 : 1024;
		bigger = realloc(flame->boxes, flame->box_room * sizeof(*bigger));
		if (!bigger) {
			return NULL;
		}
		flame->boxes = bigger;
	}
	return &flame->boxes[flame->box_count++];
}

static int box_of_node(struct flame *flame, uint32_t node, uint64_t x)
{
	const struct calltree_node *from = &flame->tree.nodes[node];
	struct flame_box *box = add_box(flame);

	if (!box) {
		return PFC_ENOMEM;
	}
	*box = (struct flame_box){ .x = x,
				   .weight = from->total,
				   .samples = from->total_samples,
				   .function = from->function,
				   .depth = from->depth,
				   .inlined = from->inlined };
	flame->depth = box->depth > flame->depth ? box->depth : flame->depth;
	return PFC_OK;
}

/* The box of what was too narrow, if that is wide enough together. */
static int close_level(struct flame *flame, const struct level *level, uint32_t depth, uint64_t least)
{
	struct flame_box *box;

	flame->merged += level->merged;
	if (level->merged_count == 0 || level->merged < least) {
		return PFC_OK;
	}
	box = add_box(flame);
	if (!box) {
		return PFC_ENOMEM;
	}
	*box = (struct flame_box){ .x = level->x,
				   .weight = level->merged,
				   .samples = level->merged_samples,
				   .depth = depth,
				   .merged = level->merged_count };
	flame->depth = depth > flame->depth ? depth : flame->depth;
	return PFC_OK;
}

int flame_layout(struct flame *flame)
{
	const struct calltree_node *nodes = flame->tree.nodes, *node;
	struct level *levels = calloc(CALLTREE_MAX_DEPTH + 3, sizeof(*levels)), *level;
	uint64_t least = (uint64_t)((double)nodes[0].total * flame->min_width_pct / 100);
	uint32_t depth = 0, at;
	int status;

	if (!levels) {
		return PFC_ENOMEM;
	}
	status = box_of_node(flame, 0, 0);
	levels[0].next = nodes[0].child;
	while (status == PFC_OK) {
		level = &levels[depth];
		at = level->next;
		if (!at) {
			status = close_level(flame, level, depth + 1, least);
			if (depth-- == 0) {
				break;
			}
			continue;
		}
		node = &nodes[at];
		level->next = node->sibling;
		if (node->total < least || node->total == 0) {
			level->merged += node->total;
			level->merged_samples += node->total_samples;
			level->merged_count++;
			continue;
		}
		status = box_of_node(flame, at, level->x);
		levels[++depth] = (struct level){ .next = node->child, .x = level->x };
		level->x += node->total;
	}
	free(levels);
	return status;
}
