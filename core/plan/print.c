/* SPDX-License-Identifier: MIT */
/* The plan as text, as Graphviz and as JSON. */
#include <string.h>

#include "base/str.h"
#include "plan/plan.h"

static const char *edge_stage(const struct plan_edge *edge)
{
	return edge->output != NULL ? edge->output->stage->name : edge->stored->producer;
}

static const char *edge_port(const struct plan_edge *edge)
{
	return edge->output != NULL ? edge->output->port->name : edge->stored->port;
}

void plan_print(const struct plan *plan, FILE *to)
{
	for (size_t i = 0; i < plan->stage_count; i++) {
		const struct plan_stage *stage = plan->stages[i];

		fprintf(to, "%-24s %-10s %s %s%s%s\n", stage->name, manifest_kind_name(stage->manifest->kind),
			stage->manifest->id, stage->manifest->version, stage->abort_on_failure ? "  abort on failure" : "",
			stage->manifest->perturbs ? "  perturbs" : "");
		for (size_t p = 0; p < stage->input_count; p++) {
			const struct plan_input *input = &stage->inputs[p];

			fprintf(to, "    <- %-12s %-9s %s\n", input->port->name,
				manifest_multiplicity_name(input->port->multiplicity),
				input->edge_count == 0 ? "(nothing)" : "");
			for (size_t e = 0; e < input->edge_count; e++) {
				fprintf(to, "         %s.%s\n", edge_stage(&input->edges[e]), edge_port(&input->edges[e]));
			}
		}
		for (size_t o = 0; o < stage->output_count; o++) {
			const struct plan_output *output = &stage->outputs[o];

			fprintf(to, "    -> %-12s %s%s%s  %s\n", output->port->name, output->port->type,
				output->signal[0] != '\0' ? " of " : "", output->signal, output->path);
		}
	}
}

/* A Graphviz string: quotes and backslashes escaped. */
static void print_quoted(FILE *to, const char *text)
{
	fputc('"', to);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\') {
			fputc('\\', to);
		}
		fputc(*text, to);
	}
	fputc('"', to);
}

static void print_dot_edge(FILE *to, const struct plan_stage *stage, const struct plan_edge *edge, const char *type)
{
	fputs("\t", to);
	print_quoted(to, edge_stage(edge));
	fputs(" -> ", to);
	print_quoted(to, stage->name);
	fputs(" [label=", to);
	print_quoted(to, type);
	fputs("];\n", to);
}

void plan_print_dot(const struct plan *plan, FILE *to)
{
	static const char *const shapes[] = { "box", "house", "box", "ellipse", "note" };

	fputs("digraph plan {\n\trankdir=LR;\n\tnode [fontname=\"sans-serif\"];\n", to);
	for (size_t i = 0; i < plan->stage_count; i++) {
		fputs("\t", to);
		print_quoted(to, plan->stages[i]->name);
		fprintf(to, " [shape=%s];\n", shapes[plan->stages[i]->manifest->kind]);
	}
	for (size_t i = 0; i < plan->stage_count; i++) {
		const struct plan_stage *stage = plan->stages[i];

		for (size_t p = 0; p < stage->input_count; p++) {
			for (size_t e = 0; e < stage->inputs[p].edge_count; e++) {
				print_dot_edge(to, stage, &stage->inputs[p].edges[e], stage->inputs[p].port->type);
			}
		}
	}
	fputs("}\n", to);
}

static json_t *input_to_json(const struct plan_input *input)
{
	json_t *from = json_array();

	for (size_t e = 0; e < input->edge_count; e++) {
		const struct plan_edge *edge = &input->edges[e];

		json_array_append_new(from, json_pack("{s:s, s:s, s:s*}", "stage", edge_stage(edge), "port",
						      edge_port(edge), "run",
						      edge->stored != NULL ? edge->stored->run : NULL));
	}
	return json_pack("{s:s, s:s, s:s, s:o}", "port", input->port->name, "type", input->port->type, "multiplicity",
			 manifest_multiplicity_name(input->port->multiplicity), "from", from);
}

json_t *plan_to_json(const struct plan *plan)
{
	json_t *stages = json_array();

	for (size_t i = 0; i < plan->stage_count; i++) {
		const struct plan_stage *stage = plan->stages[i];
		json_t *inputs = json_array();
		json_t *outputs = json_array();

		for (size_t p = 0; p < stage->input_count; p++) {
			json_array_append_new(inputs, input_to_json(&stage->inputs[p]));
		}
		for (size_t o = 0; o < stage->output_count; o++) {
			const struct plan_output *output = &stage->outputs[o];

			json_array_append_new(outputs,
					      json_pack("{s:s, s:s, s:s, s:s}", "port", output->port->name, "type",
							output->port->type, "signal", output->signal, "path", output->path));
		}
		json_array_append_new(stages, json_pack("{s:s, s:s, s:s, s:o, s:o}", "name", stage->name, "plugin",
							stage->manifest->id, "kind",
							manifest_kind_name(stage->manifest->kind), "inputs", inputs,
							"outputs", outputs));
	}
	return json_pack("{s:o}", "stages", stages);
}
