/* SPDX-License-Identifier: MIT */
/* Off-CPU time by stack: the heaviest call paths, innermost function first. */
#include "strace.h"

#include <stdlib.h>

#include <profcore/status.h>

#include "lib/calltree.h"
#include "lib/grid.h"
#include "lib/profile.h"
#include "lib/units.h"

#define STACKS_SHOWN 10
#define FRAMES_SHOWN 24
#define WIDTH        100u

/* The nodes with the most weight of their own, at most `most`; a heap would be no shorter. */
static uint32_t pick(const struct calltree *tree, uint32_t *ret, uint32_t most)
{
	uint32_t count = 0;

	for (uint32_t node = 1; node < tree->count; node++) {
		uint32_t at = count;

		if (tree->nodes[node].self == 0 ||
		    (count == most && tree->nodes[node].self <= tree->nodes[ret[most - 1]].self)) {
			continue;
		}
		for (at = count < most ? count++ : most - 1;
		     at > 0 && tree->nodes[ret[at - 1]].self < tree->nodes[node].self; at--) {
			ret[at] = ret[at - 1];
		}
		ret[at] = node;
	}
	return count;
}

static void add_frames(const struct profile *profile, const struct calltree *tree, uint32_t node,
		       struct text *to)
{
	uint32_t shown = 0;

	for (; node && shown < FRAMES_SHOWN; node = tree->nodes[node].parent, shown++) {
		const char *module = profile_function_module(profile, tree->nodes[node].function);
		struct text line = { 0 };

		text_format(&line, "%12s%s%s%s%s", "",
			    profile_function_name(profile, tree->nodes[node].function), *module ? "  [" : "",
			    module, *module ? "]" : "");
		text_cut(to, text_str(&line), WIDTH);
		text_add(to, "\n");
		to->failed |= line.failed;
		text_finish(&line);
	}
	if (node) {
		text_format(to, "%12s... (%u more)\n", "", tree->nodes[node].depth);
	}
}

static void add_stacks(const struct profile *profile, const struct calltree *tree, struct text *to)
{
	uint32_t nodes[STACKS_SHOWN];
	uint32_t count = pick(tree, nodes, STACKS_SHOWN);
	char pct[UNITS_ROOM], weight[UNITS_ROOM], waits[UNITS_ROOM];

	grid_heading(to, "Time off the CPU by stack, innermost function first");
	for (uint32_t i = 0; i < count; i++) {
		const struct calltree_node *node = &tree->nodes[nodes[i]];

		text_format(to, "%s%5s %%  %s in %s waits\n", i ? "\n" : "",
			    units_pct_text(pct, units_pct(node->self, profile->weight)),
			    units_weight(weight, node->self, profile->unit),
			    units_count(waits, node->self_samples));
		add_frames(profile, tree, nodes[i], to);
	}
}

int strace_print_stacks(struct profile *profile, struct text *to)
{
	struct calltree_options shape = { .order = CALLTREE_BY_WEIGHT };
	struct calltree tree = { 0 };
	int status = PFC_OK;

	if (profile->samples) {
		status = calltree_build(profile, &shape, &tree);
		if (status == PFC_OK) {
			add_stacks(profile, &tree, to);
		}
		calltree_finish(&tree);
	}
	return status;
}
