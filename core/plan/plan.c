/* SPDX-License-Identifier: MIT */
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "plan/expand.h"
#include "plan/join.h"
#include "plan/order.h"
#include "plan/stored.h"
#include "plan/unique.h"

bool plan_is_measuring(const struct plan_stage *stage)
{
	return stage->manifest->kind == PLUGIN_DRIVER || stage->manifest->kind == PLUGIN_COLLECTOR;
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
		expand_destroy(plan->stages[i]);
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
	rc = options_resolve(node.manifest->options, node.manifest->option_count, section, plan_reserved_keys, graph->diags,
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

static bool does_perturb(const struct plan_stage *stage)
{
	const char *value = NULL;
	const struct manifest_option *option = manifest_perturbs_option(stage->manifest, &value);

	return stage->manifest->perturbs ||
	       (option != NULL && str_equal(options_text(&stage->options, option->name), value));
}

static void warn_interference(const struct plan *plan, struct diag_list *diags)
{
	for (size_t i = 0; i < plan->stage_count; i++) {
		const struct plan_stage *stage = plan->stages[i];
		const struct plan_stage *cpu = other_cpu_stage(plan, stage);

		if (cpu != NULL && plan_is_measuring(stage) && does_perturb(stage)) {
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
			expand_destroy(plan->stages[i]);
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
		rc = order_expand(&graph, plan, err);
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
