/* SPDX-License-Identifier: MIT */
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "artifact/artifact.h"
#include "base/str.h"
#include "plan/join.h"
#include "plan/stored.h"
#include "plan/unique.h"

static const char *const reserved_keys[] = { "use", "input.", "on_failure", "enabled", NULL };

bool plan_is_measuring(const struct plan_stage *stage)
{
	return stage->manifest->kind == PLUGIN_DRIVER || stage->manifest->kind == PLUGIN_COLLECTOR;
}

static void stage_destroy(struct plan_stage *stage)
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

void plan_stored_destroy(struct plan_stored *list)
{
	while (list != NULL) {
		struct plan_stored *next = list->next;

		free(list->run);
		free(list->folder);
		free(list->producer);
		free(list->port);
		free(list->type);
		free(list->signal);
		free(list->path);
		free(list);
		list = next;
	}
}

void plan_destroy(struct plan *plan)
{
	if (plan == NULL) {
		return;
	}
	for (size_t i = 0; i < plan->stage_count; i++) {
		stage_destroy(plan->stages[i]);
	}
	free(plan->stages);
	options_finish(&plan->run);
	options_finish(&plan->target);
	plan_stored_destroy(plan->stored);
	free(plan);
}

/* ---- sections ---- */

static bool is_yes(const char *text)
{
	return strcasecmp(text, "yes") == 0 || strcasecmp(text, "true") == 0 || strcasecmp(text, "on") == 0 ||
	       str_equal(text, "1");
}

static bool is_no(const char *text)
{
	return strcasecmp(text, "no") == 0 || strcasecmp(text, "false") == 0 || strcasecmp(text, "off") == 0 ||
	       str_equal(text, "0");
}

static bool section_is_enabled(const struct config_section *section, struct diag_list *diags)
{
	const struct config_value *value = config_value(section, "enabled");

	if (value == NULL || is_yes(value->text)) {
		return true;
	}
	if (!is_no(value->text)) {
		diag_add(diags, DIAG_ERROR, &value->origin, "enabled = %s: expected yes or no", value->text);
	}
	return false;
}

static bool section_aborts(const struct config_section *section, struct diag_list *diags)
{
	const struct config_value *value = config_value(section, "on_failure");

	if (value == NULL || str_equal(value->text, "degrade")) {
		return false;
	}
	if (!str_equal(value->text, "abort")) {
		diag_add(diags, DIAG_ERROR, &value->origin, "on_failure = %s: expected degrade or abort", value->text);
	}
	return true;
}

static int node_init(struct section_graph *graph, const struct config_section *section, struct pfc_error *err)
{
	const struct config_value *use = config_value(section, "use");
	struct section_node node = { .section = section };
	const struct origin *origin = use != NULL ? &use->origin : &section->origin;
	struct pfc_error why = { 0 };
	int rc;

	if (registry_use(graph->registry, use != NULL ? use->text : section->name, &node.manifest, &why) < 0) {
		if (why.status == PFC_ENOMEM) {
			return error_nomem(err);
		}
		diag_add(graph->diags, DIAG_ERROR, origin, "%s: %s%s%s", why.what, why.why,
			 why.hint[0] != '\0' ? "; " : "", why.hint);
		return 0;
	}
	if (graph->mode->is_replay &&
	    (node.manifest->kind == PLUGIN_DRIVER || node.manifest->kind == PLUGIN_COLLECTOR)) {
		return 0;
	}
	node.abort_on_failure = section_aborts(section, graph->diags);
	rc = options_resolve(node.manifest->options, node.manifest->option_count, section, reserved_keys, graph->diags,
			     &node.options, err);
	if (rc < 0) {
		return rc;
	}
	graph->nodes[graph->count++] = node;
	join_check_keys(graph, &graph->nodes[graph->count - 1]);
	return 0;
}

static int graph_init(struct section_graph *graph, const struct config *config, struct pfc_error *err)
{
	size_t count = 0;
	int rc = 0;

	for (const struct config_section *s = config->sections; s != NULL; s = s->next) {
		count++;
	}
	graph->nodes = calloc(count + 1, sizeof(*graph->nodes));
	if (graph->nodes == NULL) {
		return error_nomem(err);
	}
	for (const struct config_section *s = config->sections; rc == 0 && s != NULL; s = s->next) {
		if (str_equal(s->kind, "plugin") && section_is_enabled(s, graph->diags)) {
			rc = node_init(graph, s, err);
		}
	}
	return rc;
}

/* ---- expansion of a section into stages ---- */

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
					  artifact_type_is_tables(port->type)            ? ".pcol" :
					  str_equal(port->type, ARTIFACT_TYPE_SUMMARY) ? ".json" :
											 "");
	}
	output->link = fill_template(port->link, output->signal, stage->name);
	return output->path != NULL && output->link != NULL ? 0 : PFC_ENOMEM;
}

static const char *edge_signal(const struct plan_edge *edge)
{
	return edge->output != NULL ? edge->output->signal : edge->stored->signal;
}

static char *instance_name(const struct section_node *node, const struct plan_edge *each, size_t each_count)
{
	if (each == NULL || each_count < 2) {
		return strdup(node->section->name);
	}
	if (each->output != NULL) {
		return str_printf("%s[%s.%s]", node->section->name, each->output->stage->name, each->output->port->name);
	}
	return str_printf("%s[%s.%s]", node->section->name, each->stored->producer, each->stored->port);
}

/* Inputs of one instance: `each` ports get the one edge, all others what was collected. */
static int stage_take_inputs(struct plan_stage *stage, const struct manifest *manifest, struct plan_edge *const *edges,
			     const size_t *edge_counts, const struct plan_edge *each)
{
	for (size_t i = 0; i < manifest->port_count; i++) {
		const struct manifest_port *port = &manifest->ports[i];
		bool is_each = port->multiplicity == PORT_EACH && each != NULL;
		size_t count = is_each ? 1 : edge_counts[i];
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
			memcpy(input->edges, is_each ? each : edges[i], count * sizeof(*input->edges));
		}
		input->edge_count = count;
	}
	return 0;
}

static int stage_create(const struct section_node *node, struct plan_edge *const *edges,
			const size_t *edge_counts, const struct plan_edge *each, size_t each_count,
			struct plan_stage **ret)
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
	stage->name = instance_name(node, each, each_count);
	stage->section = strdup(node->section->name);
	stage->inputs = calloc(manifest->port_count + 1, sizeof(*stage->inputs));
	stage->outputs = calloc(manifest->port_count + 1, sizeof(*stage->outputs));
	if (stage->name == NULL || stage->section == NULL || stage->inputs == NULL || stage->outputs == NULL) {
		goto out;
	}
	rc = options_resolve(manifest->options, manifest->option_count, node->section, reserved_keys, &seen,
			     &stage->options, &err);
	diag_finish(&seen);
	if (rc == 0) {
		rc = stage_take_inputs(stage, manifest, edges, edge_counts, each);
	}
	for (size_t i = 0; rc == 0 && i < manifest->port_count; i++) {
		if (manifest->ports[i].is_output) {
			rc = output_init(&stage->outputs[stage->output_count++], stage, &manifest->ports[i],
					 each != NULL ? edge_signal(each) : "");
		}
	}
	if (rc < 0) {
		goto out;
	}
	*ret = stage;
	stage = NULL;
out:
	stage_destroy(stage);
	return rc;
}

/* [moved] stage, also on failure. */
static int plan_push(struct plan *plan, struct plan_stage *stage, struct pfc_error *err)
{
	struct plan_stage **grown = realloc(plan->stages, (plan->stage_count + 1) * sizeof(struct plan_stage *));

	if (grown == NULL) {
		stage_destroy(stage);
		return error_nomem(err);
	}
	plan->stages = grown;
	stage->index = plan->stage_count;
	plan->stages[plan->stage_count++] = stage;
	return 0;
}

static int node_expand(struct section_graph *graph, struct section_node *node, struct plan *plan, struct pfc_error *err)
{
	const struct manifest *manifest = node->manifest;
	struct plan_edge **edges = calloc(manifest->port_count + 1, sizeof(*edges));
	size_t *counts = calloc(manifest->port_count + 1, sizeof(*counts));
	const struct manifest_port *each_port = NULL;
	size_t each_index = 0;
	size_t instances = 1;
	int rc = edges != NULL && counts != NULL ? 0 : error_nomem(err);

	for (size_t i = 0; rc == 0 && i < manifest->port_count; i++) {
		const struct manifest_port *port = &manifest->ports[i];

		if (port->is_output) {
			continue;
		}
		rc = join_collect(graph, node, port, &edges[i], &counts[i], err);
		if (port->multiplicity == PORT_EACH) {
			each_port = port;
			each_index = i;
		}
	}
	if (rc == 0 && each_port != NULL) {
		instances = counts[each_index];
	}
	if (rc == 0) {
		node->stages = calloc(instances + 1, sizeof(struct plan_stage *));
		rc = node->stages != NULL ? 0 : error_nomem(err);
	}
	for (size_t i = 0; rc == 0 && i < instances; i++) {
		struct plan_stage *stage;

		if (stage_create(node, edges, counts, each_port != NULL ? &edges[each_index][i] : NULL, instances,
				 &stage) < 0) {
			rc = error_nomem(err);
			break;
		}
		node->stages[node->stage_count++] = stage;
		rc = plan_push(plan, stage, err);
	}
	for (size_t i = 0; edges != NULL && i < manifest->port_count; i++) {
		free(edges[i]);
	}
	free(edges);
	free(counts);
	return rc;
}

/* ---- order ---- */

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
		 "stages wait for each other: %s; name what each takes with input.PORT = STAGE.PORT", str_text(&text));
	str_finish(&text);
}

static int graph_expand(struct section_graph *graph, struct plan *plan, struct pfc_error *err)
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
			takes[i * graph->count + j] = i != j && join_depends(graph, &graph->nodes[i], &graph->nodes[j]);
		}
	}
	while (rc == 0 && moved) {
		moved = false;
		for (size_t i = 0; rc == 0 && i < graph->count; i++) {
			if (graph->nodes[i].is_ordered || !node_is_next(graph, takes, i)) {
				continue;
			}
			rc = node_expand(graph, &graph->nodes[i], plan, err);
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

/* ---- checks of the whole ---- */

/* A stage that measures CPU time, besides this one; NULL when there is none. */
static const struct plan_stage *other_cpu_stage(const struct plan *plan, const struct plan_stage *besides)
{
	for (size_t i = 0; i < plan->stage_count; i++) {
		const struct plan_stage *stage = plan->stages[i];

		for (size_t o = 0; stage != besides && plan_is_measuring(stage) && o < stage->output_count; o++) {
			if (str_equal(stage->outputs[o].signal, "cpu")) {
				return stage;
			}
		}
	}
	return NULL;
}

static void warn_interference(const struct plan *plan, struct diag_list *diags)
{
	for (size_t i = 0; i < plan->stage_count; i++) {
		const struct plan_stage *stage = plan->stages[i];
		const struct plan_stage *cpu = other_cpu_stage(plan, stage);

		if (cpu != NULL && plan_is_measuring(stage) && stage->manifest->perturbs) {
			diag_add(diags, DIAG_WARNING, &stage->origin,
				 "%s slows the target down while %s measures its CPU; run them apart for true shares",
				 stage->name, cpu->name);
		}
	}
}

static bool target_is_named(const struct option_set *target)
{
	static const char *const kinds[] = { "command", "process", "container", "compose-service", "cgroup", "image", "pod" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct option_value *value = options_get(target, kinds[i]);

		if (value != NULL && value->text[0] != '\0') {
			return true;
		}
	}
	return options_int(target, "pid") > 0 || options_int(target, "system") > 0;
}

static void check_target(const struct plan *plan, const struct config *config, struct diag_list *diags)
{
	const struct config_section *section = config_section(config, "target", NULL);

	for (size_t i = 0; i < plan->stage_count && !plan->has_target; i++) {
		if (plan->stages[i]->manifest->kind == PLUGIN_COLLECTOR) {
			diag_add(diags, DIAG_ERROR, section != NULL ? &section->origin : &plan->stages[i]->origin,
				 "%s measures a target, and [target] names none; give command, pid, process or container there",
				 plan->stages[i]->name);
			return;
		}
	}
}

static int resolve_fixed(const struct config *config, const struct plan_mode *mode, struct diag_list *diags,
			 struct plan *plan, struct pfc_error *err)
{
	static const char *const none[] = { NULL };
	size_t count;
	const struct manifest_option *defs = options_of_run(&count);
	int rc = options_resolve(defs, count, config_section(config, "run", NULL), none, diags, &plan->run, err);

	if (rc < 0) {
		return rc;
	}
	defs = options_of_target(&count);
	rc = options_resolve(defs, count, config_section(config, "target", NULL), none, diags, &plan->target, err);
	if (rc == 0) {
		plan->has_target = !mode->is_replay && target_is_named(&plan->target);
	}
	return rc;
}

static bool has_stage(const struct plan *plan, const struct plan_stage *stage)
{
	for (size_t i = 0; i < plan->stage_count; i++) {
		if (plan->stages[i] == stage) {
			return true;
		}
	}
	return false;
}

/* `only` names no stage: say which it may name. Where a section was refused that is told already. */
static int complain_only(const struct plan *plan, const char *only, struct diag_list *diags, struct pfc_error *err)
{
	const char **names = calloc(plan->stage_count + 1, sizeof(*names));
	struct str all = { 0 };
	const char *nearest;

	if (names == NULL) {
		return error_nomem(err);
	}
	for (size_t i = 0; i < plan->stage_count; i++) {
		names[i] = plan->stages[i]->section;
		if (i == 0 || !str_equal(names[i], names[i - 1])) {
			str_format(&all, "%s%s", all.bytes > 0 ? ", " : "", names[i]);
		}
	}
	nearest = str_nearest(only, names, plan->stage_count);
	if (diag_errors(diags) == 0) {
		diag_add(diags, DIAG_ERROR, &(struct origin){ .file = "command line" },
			 "\"%s\" is no stage here%s%s%s; there are: %s", only, nearest != NULL ? "; did you mean \"" : "",
			 nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "",
			 all.bytes > 0 ? str_text(&all) : "none");
	}
	str_finish(&all);
	free(names);
	return 0;
}

/* Keeps the stages of one section, or the one of that name, and what they take from. */
static int keep_only(struct plan *plan, const char *only, struct diag_list *diags, struct pfc_error *err)
{
	bool *keep = calloc(plan->stage_count + 1, sizeof(*keep));
	bool found = false;
	size_t kept = 0;
	int rc = 0;

	if (keep == NULL) {
		return error_nomem(err);
	}
	for (size_t i = 0; i < plan->stage_count; i++) {
		keep[i] = str_equal(plan->stages[i]->section, only) || str_equal(plan->stages[i]->name, only);
		found |= keep[i];
	}
	if (!found) {
		rc = complain_only(plan, only, diags, err);
	}
	for (size_t i = plan->stage_count; i-- > 0;) {
		const struct plan_stage *stage = plan->stages[i];

		for (size_t p = 0; keep[i] && p < stage->input_count; p++) {
			for (size_t e = 0; e < stage->inputs[p].edge_count; e++) {
				const struct plan_output *output = stage->inputs[p].edges[e].output;

				if (output != NULL && has_stage(plan, output->stage)) {
					keep[output->stage->index] = true;
				}
			}
		}
	}
	for (size_t i = 0; i < plan->stage_count; i++) {
		if (keep[i]) {
			plan->stages[kept] = plan->stages[i];
			plan->stages[kept]->index = kept;
			kept++;
		} else {
			stage_destroy(plan->stages[i]);
		}
	}
	plan->stage_count = kept;
	free(keep);
	return rc;
}

static void graph_finish(struct section_graph *graph)
{
	for (size_t i = 0; i < graph->count; i++) {
		options_finish(&graph->nodes[i].options);
		free(graph->nodes[i].stages);
	}
	free(graph->nodes);
}

int plan_build(const struct config *config, struct registry *registry, const struct plan_mode *mode,
	       struct diag_list *diags, struct plan **ret, struct pfc_error *err)
{
	struct section_graph graph = { .registry = registry, .mode = mode, .diags = diags };
	struct plan *plan = calloc(1, sizeof(*plan));
	int rc = plan != NULL ? 0 : error_nomem(err);

	if (rc < 0) {
		plan_stored_destroy(mode->stored);
		return rc;
	}
	plan->stored = mode->stored;
	rc = resolve_fixed(config, mode, diags, plan, err);
	if (rc == 0 && !mode->is_replay) {
		rc = stored_from_config(config, options_text(&plan->run, "output"), diags, &plan->stored, err);
	}
	graph.stored = plan->stored;
	if (rc == 0) {
		rc = graph_init(&graph, config, err);
	}
	if (rc == 0) {
		rc = graph_expand(&graph, plan, err);
	}
	if (rc == 0) {
		rc = unique_paths(plan, err);
	}
	if (rc == 0) {
		if (plan->stage_count == 0 && diag_errors(diags) == 0) {
			diag_add(diags, DIAG_ERROR, &(struct origin){ .file = config->path, .line = 0 },
				 "no stage: add a section such as [plugin:perf-cpu]");
		}
		check_target(plan, config, diags);
		warn_interference(plan, diags);
		if (mode->only != NULL) {
			rc = keep_only(plan, mode->only, diags, err);
		}
	}
	if (rc == 0) {
		*ret = plan;
		plan = NULL;
	}
	graph_finish(&graph);
	plan_destroy(plan);
	return rc;
}
