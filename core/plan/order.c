/* SPDX-License-Identifier: MIT */
#include "plan/order.h"

#include <stdlib.h>

#include "base/str.h"
#include "plan/expand.h"

/* Whether all that `node` takes from is ordered. */
static bool node_is_next(const struct section_graph *graph, const bool *takes, size_t index)
{
	for (size_t j = 0; j < graph->count; j++) {
		if (j != index && takes[index * graph->count + j] && !graph->nodes[j].is_ordered) {
			return false;
		}
	}
	return true;
}

static void complain_cycle(const struct section_graph *graph, const bool *takes)
{
	struct str text = { 0 };
	size_t start = 0;
	size_t at;

	while (graph->nodes[start].is_ordered) {
		start++;
	}
	/* Walk to producers that are not ordered until a section comes again: from there on it is the cycle. */
	at = start;
	for (size_t steps = 0; steps <= graph->count; steps++) {
		for (size_t j = 0; j < graph->count; j++) {
			if (j != at && takes[at * graph->count + j] && !graph->nodes[j].is_ordered) {
				at = j;
				break;
			}
		}
	}
	start = at;
	do {
		str_format(&text, "%s takes from ", graph->nodes[at].section->name);
		for (size_t j = 0; j < graph->count; j++) {
			if (j != at && takes[at * graph->count + j] && !graph->nodes[j].is_ordered) {
				at = j;
				break;
			}
		}
	} while (at != start && text.bytes < 600);
	str_add(&text, at != start ? "... takes from " : "");
	str_add(&text, graph->nodes[start].section->name);
	diag_add(graph->diags, DIAG_ERROR, &graph->nodes[start].section->origin,
		 "stages wait for each other: %s; name what each takes with input.PORT = STAGE.PORT",
		 str_text(&text));
	str_finish(&text);
}

int order_expand(struct section_graph *graph, struct plan *plan, struct pfc_error *err)
{
	bool *takes = calloc(graph->count * graph->count + 1, sizeof(*takes));
	size_t ordered = 0;
	bool moved = true;
	int rc = 0;

	if (takes == NULL) {
		return error_nomem(err);
	}
	for (size_t i = 0; i < graph->count; i++) {
		for (size_t j = 0; j < graph->count; j++) {
			takes[i * graph->count + j] =
				i != j && join_depends(graph, &graph->nodes[i], &graph->nodes[j]);
		}
	}
	while (rc == 0 && moved) {
		moved = false;
		for (size_t i = 0; rc == 0 && i < graph->count; i++) {
			if (graph->nodes[i].is_ordered || !node_is_next(graph, takes, i)) {
				continue;
			}
			rc = expand_section(graph, &graph->nodes[i], plan, err);
			graph->nodes[i].is_ordered = true;
			ordered++;
			moved = true;
		}
	}
	if (rc == 0 && ordered < graph->count) {
		complain_cycle(graph, takes);
	}
	free(takes);
	return rc;
}
