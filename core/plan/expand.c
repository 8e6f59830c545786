/* SPDX-License-Identifier: MIT */
#include "plan/expand.h"

#include <stdlib.h>
#include <string.h>

#include "artifact/artifact.h"
#include "base/str.h"
#include "plan/join.h"

const char *const plan_reserved_keys[] = { "use", "input.", "on_failure", "enabled", NULL };

/* What makes an instance of its own: the artifact, and the `each` input that it came by. NULL edge: a plain stage. */
struct instance {
	const struct manifest_port *port;
	const struct plan_edge *edge;
	bool is_alone; /* it keeps the section's name */
};

void expand_destroy(struct plan_stage *stage)
{
	if (stage == NULL) {
		return;
	}
	for (size_t i = 0; i < stage->input_count; i++) {
		free(stage->inputs[i].edges);
	}
	for (size_t i = 0; i < stage->output_count; i++) {
		free(stage->outputs[i].signal);
		free(stage->outputs[i].path);
		free(stage->outputs[i].link);
	}
	free(stage->inputs);
	free(stage->outputs);
	free(stage->name);
	free(stage->section);
	options_finish(&stage->options);
	free(stage);
}

/* Replaces {signal} and {stage} in a template; {run} stays for later. */
static char *fill_template(const char *template, const char *signal, const char *stage)
{
	struct str out = { 0 };

	for (const char *at = template; *at != '\0';) {
		if (str_starts(at, "{signal}")) {
			str_add(&out, signal[0] != '\0' ? signal : "data");
			at += strlen("{signal}");
		} else if (str_starts(at, "{stage}")) {
			str_add(&out, stage);
			at += strlen("{stage}");
		} else {
			str_add_bytes(&out, at, 1);
			at++;
		}
	}
	return str_take(&out);
}

static int output_init(struct plan_output *output, struct plan_stage *stage, const struct manifest_port *port,
		       const char *signal)
{
	*output = (struct plan_output){ .port = port, .stage = stage };
	output->signal = strdup(port->signal[0] != '\0' ? port->signal : signal);
	if (output->signal == NULL) {
		return PFC_ENOMEM;
	}
	if (!artifact_type_is_tables(port->type) && port->file[0] != '\0') {
		output->path = fill_template(port->file, output->signal, stage->name);
	} else {
		output->path = str_printf("artifacts/%s.%s%s", stage->name, port->name,
					  artifact_type_is_tables(port->type)            ? ".pcol"
					  : str_equal(port->type, ARTIFACT_TYPE_SUMMARY) ? ".json"
											 : "");
	}
	output->link = fill_template(port->link, output->signal, stage->name);
	return output->path != NULL && output->link != NULL ? 0 : PFC_ENOMEM;
}

static const char *edge_signal(const struct plan_edge *edge)
{
	return edge->output != NULL ? edge->output->signal : edge->stored->signal;
}

static char *instance_name(const struct section_node *node, const struct instance *instance)
{
	const struct plan_edge *each = instance->edge;

	if (instance->is_alone) {
		return strdup(node->section->name);
	}
	if (each->output != NULL) {
		return str_printf("%s[%s.%s]", node->section->name, each->output->stage->name,
				  each->output->port->name);
	}
	return str_printf("%s[%s.%s]", node->section->name, each->stored->producer, each->stored->port);
}

/* Inputs of one instance: its `each` port gets the one edge, other `each` ports nothing, all others what was collected. */
static int stage_take_inputs(struct plan_stage *stage, const struct manifest *manifest,
			     struct plan_edge *const *edges, const size_t *edge_counts,
			     const struct instance *instance)
{
	for (size_t i = 0; i < manifest->port_count; i++) {
		const struct manifest_port *port = &manifest->ports[i];
		bool is_each = port->multiplicity == PORT_EACH;
		size_t count = is_each ? port == instance->port : edge_counts[i];
		struct plan_input *input;

		if (port->is_output) {
			continue;
		}
		input = &stage->inputs[stage->input_count++];
		input->port = port;
		input->edges = calloc(count + 1, sizeof(*input->edges));
		if (input->edges == NULL) {
			return PFC_ENOMEM;
		}
		if (count > 0) {
			memcpy(input->edges, is_each ? instance->edge : edges[i],
			       count * sizeof(*input->edges));
		}
		input->edge_count = count;
	}
	return 0;
}

/* Whether an output is there in this instance: one with `when` needs the artifact to have come by that port. */
static bool output_is_there(const struct manifest_port *output, const struct instance *instance)
{
	return output->when[0] == '\0' ||
	       (instance->port != NULL && str_equal(output->when, instance->port->name));
}

static int stage_create(const struct section_node *node, struct plan_edge *const *edges,
			const size_t *edge_counts, const struct instance *instance, struct plan_stage **ret)
{
	const struct manifest *manifest = node->manifest;
	struct plan_stage *stage = calloc(1, sizeof(*stage));
	struct diag_list seen = { 0 }; /* node_init told the user already */
	struct pfc_error err;
	int rc = PFC_ENOMEM;

	if (stage == NULL) {
		return PFC_ENOMEM;
	}
	stage->manifest = manifest;
	stage->origin = node->section->origin;
	stage->abort_on_failure = node->abort_on_failure;
	stage->name = instance_name(node, instance);
	stage->section = strdup(node->section->name);
	stage->inputs = calloc(manifest->port_count + 1, sizeof(*stage->inputs));
	stage->outputs = calloc(manifest->port_count + 1, sizeof(*stage->outputs));
	if (stage->name == NULL || stage->section == NULL || stage->inputs == NULL ||
	    stage->outputs == NULL) {
		goto out;
	}
	rc = options_resolve(manifest->options, manifest->option_count, node->section, plan_reserved_keys,
			     &seen, &stage->options, &err);
	diag_finish(&seen);
	if (rc == 0) {
		rc = stage_take_inputs(stage, manifest, edges, edge_counts, instance);
	}
	for (size_t i = 0; rc == 0 && i < manifest->port_count; i++) {
		const struct manifest_port *port = &manifest->ports[i];

		if (port->is_output && output_is_there(port, instance)) {
			rc = output_init(&stage->outputs[stage->output_count++], stage, port,
					 instance->edge != NULL ? edge_signal(instance->edge) : "");
		}
	}
	if (rc < 0) {
		goto out;
	}
	*ret = stage;
	stage = NULL;
out:
	expand_destroy(stage);
	return rc;
}

/* [moved] stage, also on failure. */
static int plan_push(struct plan *plan, struct plan_stage *stage, struct pfc_error *err)
{
	struct plan_stage **grown =
		realloc(plan->stages, (plan->stage_count + 1) * sizeof(struct plan_stage *));

	if (grown == NULL) {
		expand_destroy(stage);
		return error_nomem(err);
	}
	plan->stages = grown;
	stage->index = plan->stage_count;
	plan->stages[plan->stage_count++] = stage;
	return 0;
}

/* Several `each` inputs are alternatives: one of them must have something, unless all are optional. */
static void complain_alternatives(const struct section_graph *graph, const struct section_node *node)
{
	const struct manifest *manifest = node->manifest;
	struct str types = { 0 };

	for (size_t i = 0; i < manifest->port_count; i++) {
		if (!manifest->ports[i].is_output && manifest->ports[i].multiplicity == PORT_EACH) {
			str_format(&types, "%s%s", types.bytes > 0 ? ", " : "", manifest->ports[i].type);
		}
	}
	diag_add(graph->diags, DIAG_ERROR, &node->section->origin,
		 "%s needs one of %s, and no stage makes any of them", node->section->name, str_text(&types));
	str_finish(&types);
}

static int make_instance(struct section_node *node, struct plan_edge *const *edges, const size_t *counts,
			 const struct instance *instance, struct plan *plan, struct pfc_error *err)
{
	struct plan_stage *stage;

	if (stage_create(node, edges, counts, instance, &stage) < 0) {
		return error_nomem(err);
	}
	node->stages[node->stage_count++] = stage;
	return plan_push(plan, stage, err);
}

int expand_section(struct section_graph *graph, struct section_node *node, struct plan *plan,
		   struct pfc_error *err)
{
	const struct manifest *manifest = node->manifest;
	struct plan_edge **edges = calloc(manifest->port_count + 1, sizeof(*edges));
	size_t *counts = calloc(manifest->port_count + 1, sizeof(*counts));
	size_t errors = diag_errors(graph->diags);
	size_t each_ports = 0;
	size_t required_ports = 0;
	size_t instances = 0;
	int rc = edges != NULL && counts != NULL ? 0 : error_nomem(err);

	for (size_t i = 0; rc == 0 && i < manifest->port_count; i++) {
		const struct manifest_port *port = &manifest->ports[i];

		if (port->is_output) {
			continue;
		}
		rc = join_collect(graph, node, port, &edges[i], &counts[i], err);
		if (port->multiplicity == PORT_EACH) {
			each_ports++;
			required_ports += !port->optional;
			instances += counts[i];
		}
	}
	if (rc == 0) {
		node->stages = calloc(instances + 1, sizeof(struct plan_stage *));
		rc = node->stages != NULL ? 0 : error_nomem(err);
	}
	if (rc == 0 && each_ports == 0) {
		rc = make_instance(node, edges, counts, &(struct instance){ .is_alone = true }, plan, err);
	}
	for (size_t i = 0; rc == 0 && i < manifest->port_count; i++) {
		const struct manifest_port *port = &manifest->ports[i];

		for (size_t e = 0; rc == 0 && port->multiplicity == PORT_EACH && e < counts[i]; e++) {
			rc = make_instance(node, edges, counts,
					   &(struct instance){ port, &edges[i][e], instances == 1 }, plan,
					   err);
		}
	}
	if (rc == 0 && each_ports > 1 && required_ports > 0 && instances == 0 && errors == diag_errors(graph->diags)) {
		complain_alternatives(graph, node);
	}
	for (size_t i = 0; edges != NULL && i < manifest->port_count; i++) {
		free(edges[i]);
	}
	free(edges);
	free(counts);
	return rc;
}
