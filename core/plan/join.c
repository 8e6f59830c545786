/* SPDX-License-Identifier: MIT */
#include "plan/join.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define INPUT_PREFIX "input."

bool join_matches(const struct manifest_port *input, const char *type, const char *signal)
{
	return str_equal(input->type, type) && (input->signal[0] == '\0' || str_equal(input->signal, signal));
}

static const struct config_value *explicit_input(const struct section_node *node, const char *port)
{
	for (const struct config_value *v = node->section->values; v != NULL; v = v->next) {
		if (str_starts(v->key, INPUT_PREFIX) && str_equal(v->key + strlen(INPUT_PREFIX), port)) {
			return v;
		}
	}
	return NULL;
}

/* Copies the next word of a comma list; returns where to go on, or NULL when the list has ended. */
static const char *next_word(const char *list, char *word, size_t word_bytes)
{
	size_t bytes;
	const char *end;

	list += strspn(list, ", \t");
	if (*list == '\0') {
		return NULL;
	}
	end = list + strcspn(list, ",");
	bytes = (size_t)(end - list);
	while (bytes > 0 && (list[bytes - 1] == ' ' || list[bytes - 1] == '\t')) {
		bytes--;
	}
	if (bytes >= word_bytes) {
		bytes = word_bytes - 1;
	}
	memcpy(word, list, bytes);
	word[bytes] = '\0';
	return end;
}

/* An output of an expanded stage, or a stored artifact. */
struct offer {
	const char *stage;
	const char *port;
	const char *type;
	const char *signal;
	struct plan_edge edge;
};

/* Whether word is "stage.port" or "stage". */
static bool word_names(const char *word, const char *stage, const char *port)
{
	size_t stage_bytes = strlen(stage);

	if (strncmp(word, stage, stage_bytes) != 0) {
		return false;
	}
	return word[stage_bytes] == '\0' || (word[stage_bytes] == '.' && str_equal(word + stage_bytes + 1, port));
}

/* Likewise; a section that became several stages names all of them. */
static bool word_names_offer(const char *word, const struct offer *offer)
{
	return word_names(word, offer->stage, offer->port) ||
	       (offer->edge.output != NULL && word_names(word, offer->edge.output->stage->section, offer->port));
}

static bool word_names_node(const char *word, const struct section_node *node)
{
	const char *name = node->section->name;
	size_t bytes = strlen(name);

	return strncmp(word, name, bytes) == 0 && (word[bytes] == '\0' || word[bytes] == '.' || word[bytes] == '[');
}

bool join_depends(const struct section_graph *graph, const struct section_node *to, const struct section_node *from)
{
	(void)graph;
	for (size_t i = 0; i < to->manifest->port_count; i++) {
		const struct manifest_port *input = &to->manifest->ports[i];
		const struct config_value *value;
		char word[256];

		if (input->is_output) {
			continue;
		}
		value = explicit_input(to, input->name);
		for (const char *at = value != NULL ? value->text : NULL;
		     at != NULL && (at = next_word(at, word, sizeof(word))) != NULL;) {
			if (word_names_node(word, from)) {
				return true;
			}
		}
		for (size_t j = 0; value == NULL && j < from->manifest->port_count; j++) {
			const struct manifest_port *output = &from->manifest->ports[j];

			if (output->is_output && str_equal(output->type, input->type) &&
			    (output->signal[0] == '\0' || join_matches(input, output->type, output->signal))) {
				return true;
			}
		}
	}
	return false;
}

/* An artifact that is there already is not taken twice: all in it would count double. */
static int add_edge(struct plan_edge **edges, size_t *count, struct plan_edge edge)
{
	struct plan_edge *grown;

	for (size_t i = 0; i < *count; i++) {
		if ((*edges)[i].output == edge.output && (*edges)[i].stored == edge.stored) {
			return 0;
		}
	}
	grown = realloc(*edges, (*count + 1) * sizeof(**edges));
	if (grown == NULL) {
		return PFC_ENOMEM;
	}
	grown[(*count)++] = edge;
	*edges = grown;
	return 0;
}

struct offer_walk {
	const struct section_graph *graph;
	const struct section_node *except;
	size_t node, stage, output;
	const struct plan_stored *stored;
};

static bool offer_next(struct offer_walk *walk, struct offer *offer)
{
	while (walk->node < walk->graph->count) {
		const struct section_node *node = &walk->graph->nodes[walk->node];
		const struct plan_stage *stage;

		if (node == walk->except || walk->stage >= node->stage_count) {
			walk->node++;
			walk->stage = 0;
			walk->output = 0;
			continue;
		}
		stage = node->stages[walk->stage];
		if (walk->output >= stage->output_count) {
			walk->stage++;
			walk->output = 0;
			continue;
		}
		offer->edge = (struct plan_edge){ .output = &stage->outputs[walk->output++] };
		offer->stage = stage->name;
		offer->port = offer->edge.output->port->name;
		offer->type = offer->edge.output->port->type;
		offer->signal = offer->edge.output->signal;
		return true;
	}
	if (walk->stored == NULL) {
		return false;
	}
	*offer = (struct offer){ walk->stored->producer, walk->stored->port, walk->stored->type, walk->stored->signal,
				 { .stored = walk->stored } };
	walk->stored = walk->stored->next;
	return true;
}

static struct offer_walk offers(const struct section_graph *graph, const struct section_node *except)
{
	return (struct offer_walk){ .graph = graph, .except = except, .stored = graph->stored };
}

/* "perf-cpu.stacks, memory.faults": what has this type; empty text when nothing has. */
static void list_offers(const struct section_graph *graph, const struct section_node *node, const char *type,
			struct str *text)
{
	struct offer_walk walk = offers(graph, node);
	struct offer offer;

	while (offer_next(&walk, &offer)) {
		if (type == NULL || str_equal(offer.type, type)) {
			str_format(text, "%s%s.%s", text->bytes > 0 ? ", " : "", offer.stage, offer.port);
		}
	}
}

/* Plugins that make what the input takes; one that takes over its input's signal may. */
static void list_makers(const struct section_graph *graph, const struct manifest_port *input, struct str *text)
{
	for (size_t i = 0; i < registry_count(graph->registry); i++) {
		const struct manifest *manifest = registry_at(graph->registry, i);

		for (size_t j = 0; j < manifest->port_count; j++) {
			const struct manifest_port *port = &manifest->ports[j];

			if (port->is_output && (join_matches(input, port->type, port->signal) ||
						(str_equal(port->type, input->type) && port->signal[0] == '\0'))) {
				str_format(text, "%s%s", text->bytes > 0 ? ", " : "", manifest->id);
				break;
			}
		}
	}
}

/* A word of input.PORT = ... : joins what it names, or says why not. */
static int collect_word(const struct section_graph *graph, const struct section_node *node,
			const struct manifest_port *port, const struct config_value *value, const char *word,
			struct plan_edge **edges, size_t *count)
{
	const char *stored = strchr(word, ':'); /* RUN:stage.port was turned into a stored offer by the caller */
	struct offer_walk walk = offers(graph, node);
	const char *wrong_type = NULL;
	struct str have = { 0 };
	struct offer offer;
	bool found = false;
	int rc = 0;

	while (rc == 0 && offer_next(&walk, &offer)) {
		bool of_other_run = offer.edge.stored != NULL && !graph->mode->is_replay;

		if (of_other_run) {
			char *full = str_printf("%s:%s.%s", offer.edge.stored->run, offer.stage, offer.port);
			bool same = full != NULL && str_equal(full, word);

			free(full);
			if (!same) {
				continue;
			}
		} else if (stored != NULL || !word_names_offer(word, &offer)) {
			continue;
		}
		if (!str_equal(offer.type, port->type)) {
			wrong_type = offer.type;
			continue;
		}
		found = true;
		rc = add_edge(edges, count, offer.edge);
	}
	if (rc == 0 && !found) {
		list_offers(graph, node, port->type, &have);
		if (wrong_type != NULL) {
			diag_add(graph->diags, DIAG_ERROR, &value->origin,
				 "input.%s = %s is of type %s, but %s.%s takes %s; of that type here: %s", port->name, word,
				 wrong_type, node->section->name, port->name, port->type,
				 have.bytes > 0 ? str_text(&have) : "nothing");
		} else {
			diag_add(graph->diags, DIAG_ERROR, &value->origin,
				 "input.%s = %s: no such output; of type %s here: %s", port->name, word, port->type,
				 have.bytes > 0 ? str_text(&have) : "nothing");
		}
	}
	str_finish(&have);
	return rc;
}

static int collect_by_type(const struct section_graph *graph, const struct section_node *node,
			   const struct manifest_port *port, struct plan_edge **edges, size_t *count)
{
	struct offer_walk walk = offers(graph, node);
	struct offer offer;
	int rc = 0;

	while (rc == 0 && offer_next(&walk, &offer)) {
		if (offer.edge.stored != NULL && !graph->mode->is_replay) {
			continue; /* another run's artifacts come only when they are named */
		}
		if (join_matches(port, offer.type, offer.signal)) {
			rc = add_edge(edges, count, offer.edge);
		}
	}
	return rc;
}

static void complain_missing(const struct section_graph *graph, const struct section_node *node,
			     const struct manifest_port *port)
{
	struct str makers = { 0 };

	list_makers(graph, port, &makers);
	diag_add(graph->diags, DIAG_ERROR, &node->section->origin,
		 "%s.%s needs %s%s%s, and no stage makes it; plugins that do: %s", node->section->name, port->name,
		 port->type, port->signal[0] != '\0' ? " of signal " : "", port->signal,
		 makers.bytes > 0 ? str_text(&makers) : "none found");
	str_finish(&makers);
}

static void complain_ambiguous(const struct section_graph *graph, const struct section_node *node,
			       const struct manifest_port *port)
{
	struct str have = { 0 };

	list_offers(graph, node, port->type, &have);
	diag_add(graph->diags, DIAG_ERROR, &node->section->origin,
		 "%s.%s takes one %s, and there are several: %s; choose with input.%s = STAGE.PORT", node->section->name,
		 port->name, port->type, str_text(&have), port->name);
	str_finish(&have);
}

/* Whether the port is an `each` input beside others: then any of them will do, which the caller checks. */
static bool has_alternative(const struct manifest *manifest, const struct manifest_port *port)
{
	for (size_t i = 0; port->multiplicity == PORT_EACH && i < manifest->port_count; i++) {
		const struct manifest_port *other = &manifest->ports[i];

		if (other != port && !other->is_output && other->multiplicity == PORT_EACH) {
			return true;
		}
	}
	return false;
}

int join_collect(const struct section_graph *graph, const struct section_node *node, const struct manifest_port *port,
		 struct plan_edge **ret_edges, size_t *ret_count, struct pfc_error *err)
{
	const struct config_value *value = explicit_input(node, port->name);
	bool is_single = port->multiplicity == PORT_ONE || port->multiplicity == PORT_OPTIONAL;
	bool may_lack = port->optional || port->multiplicity == PORT_OPTIONAL;
	size_t errors = diag_errors(graph->diags);
	struct plan_edge *edges = NULL;
	size_t count = 0;
	char word[256];
	int rc = 0;

	if (value == NULL) {
		rc = collect_by_type(graph, node, port, &edges, &count);
	}
	for (const char *at = value != NULL ? value->text : NULL;
	     rc == 0 && at != NULL && (at = next_word(at, word, sizeof(word))) != NULL;) {
		rc = collect_word(graph, node, port, value, word, &edges, &count);
	}
	if (rc < 0) {
		free(edges);
		return error_nomem(err);
	}
	if (count == 0 && !may_lack && !has_alternative(node->manifest, port) && errors == diag_errors(graph->diags)) {
		complain_missing(graph, node, port);
	}
	if (count > 1 && is_single) {
		complain_ambiguous(graph, node, port);
	}
	*ret_edges = edges;
	*ret_count = count;
	return 0;
}

static void check_key(const struct section_graph *graph, const struct section_node *node, const struct config_value *value)
{
	const char *port = value->key + strlen(INPUT_PREFIX);
	const char *names[64];
	const char *nearest;
	size_t count = 0;

	if (manifest_port(node->manifest, port, false) != NULL) {
		return;
	}
	for (size_t i = 0; i < node->manifest->port_count && count < 64; i++) {
		if (!node->manifest->ports[i].is_output) {
			names[count++] = node->manifest->ports[i].name;
		}
	}
	nearest = str_nearest(port, names, count);
	diag_add(graph->diags, DIAG_ERROR, &value->origin, "%s has no input \"%s\"%s%s%s", node->manifest->id, port,
		 nearest != NULL ? "; did you mean \"" : (count == 0 ? "; it takes none" : ""),
		 nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "");
}

void join_check_keys(const struct section_graph *graph, const struct section_node *node)
{
	for (const struct config_value *v = node->section->values; v != NULL; v = v->next) {
		if (str_starts(v->key, INPUT_PREFIX)) {
			check_key(graph, node, v);
		}
	}
}
