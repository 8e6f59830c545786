/* SPDX-License-Identifier: MIT */
/*
 * The call tree in text: callees below their callers, heaviest first. Branches indent, and what is below a branch; a
 * chain of calls stays in its column however deep it is.
 */
#include "report.h"

#include <profcore/status.h>

#include "lib/calltree.h"
#include "lib/grid.h"
#include "lib/units.h"

#define WIDTH      100u
#define INDENT_MAX 40u

struct printer {
	const struct report *report;
	const struct calltree *tree;
	struct text *to;
	uint64_t least;
	uint64_t hidden; /* weight of branches left out */
};

static const struct calltree_node *node_at(const struct printer *printer, uint32_t node)
{
	return &printer->tree->nodes[node];
}

static bool is_visible(const struct printer *printer, uint32_t node)
{
	return node && node_at(printer, node)->total >= printer->least;
}

/* Whether two children or more will be printed; children are sorted by weight. */
static bool is_branching(const struct printer *printer, uint32_t node)
{
	uint32_t child = node_at(printer, node)->child;

	return child && is_visible(printer, node_at(printer, child)->sibling);
}

/* Whether the children of a node stand one step further in. */
static unsigned step_below(const struct printer *printer, uint32_t node)
{
	return is_branching(printer, node) || (node && is_branching(printer, node_at(printer, node)->parent));
}

static void add_node(struct printer *printer, uint32_t at, unsigned indent)
{
	const struct profile *profile = printer->report->profile;
	const struct calltree_node *node = node_at(printer, at);
	const char *module = profile_function_module(profile, node->function);
	struct text line = { 0 };

	text_format(&line, "%6.2f  %6.2f  ", units_pct(node->total, profile->weight),
		    units_pct(node->self, profile->weight));
	text_char(&line, ' ', 2 * (size_t)(indent < INDENT_MAX ? indent : INDENT_MAX));
	text_add(&line, profile_function_name(profile, node->function));
	if (node->inlined) {
		text_add(&line, " (inlined)");
	} else if (*module) {
		text_format(&line, "  [%s]", module);
	}
	text_cut(printer->to, text_str(&line), WIDTH);
	text_add(printer->to, "\n");
	printer->to->failed |= line.failed;
	text_finish(&line);
}

/* Depth first, without recursion; `indent` counts the branchings above. */
static void walk(struct printer *printer)
{
	uint32_t at = node_at(printer, 0)->child;
	unsigned indent = 0;
	bool is_new = true;

	while (at) {
		const struct calltree_node *node = node_at(printer, at);

		if (is_new && node->total >= printer->least) {
			add_node(printer, at, indent);
			if (node->child) {
				indent += step_below(printer, at);
				at = node->child;
				continue;
			}
		} else if (is_new) {
			for (; at; at = node_at(printer, at)->sibling) {
				printer->hidden += node_at(printer, at)->total;
				node = node_at(printer, at);
			}
		}
		if (node->sibling) {
			at = node->sibling;
			is_new = true;
			continue;
		}
		at = node->parent;
		indent -= at ? step_below(printer, at) : 0;
		is_new = false;
	}
}

int report_tree(const struct report *report, struct text *to)
{
	struct calltree_options options = { .max_depth = report->tree_depth, .order = CALLTREE_BY_WEIGHT };
	struct calltree tree = { 0 };
	struct printer printer = { .report = report, .tree = &tree, .to = to };
	char text[UNITS_ROOM];
	int status = calltree_build(report->profile, &options, &tree);

	if (status != PFC_OK) {
		return status;
	}
	printer.least = (uint64_t)((double)report->profile->weight * report->tree_min_pct / 100);
	grid_heading(to, "Call tree: total %, self %, function");
	walk(&printer);
	if (printer.hidden) {
		text_format(to, "(%s %% is in branches below %g %%)\n",
			    units_pct_text(text, units_pct(printer.hidden, report->profile->weight)),
			    report->tree_min_pct);
	}
	if (tree.cut_weight) {
		text_format(to, "(%s %% is in stacks deeper than %u frames)\n",
			    units_pct_text(text, units_pct(tree.cut_weight, report->profile->weight)),
			    report->tree_depth);
	}
	calltree_finish(&tree);
	return PFC_OK;
}
