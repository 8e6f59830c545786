/* SPDX-License-Identifier: MIT */
/* A manifest as JSON, for `plugin list --json` and `plugin inspect --json`. */
#include "config/manifest.h"
#include "config/options.h"

static json_t *words_to_json(char *const *words)
{
	json_t *array = json_array();

	for (; *words != NULL; words++) {
		json_array_append_new(array, json_string(*words));
	}
	return array;
}

static json_t *privileges_to_json(uint32_t privileges)
{
	json_t *array = json_array();
	char name[64];

	for (unsigned bit = 1; bit <= PRIVILEGE_UPROBE; bit *= 2) {
		if ((privileges & bit) != 0) {
			json_array_append_new(array,
					      json_string(manifest_privilege_names(bit, name, sizeof(name))));
		}
	}
	return array;
}

json_t *manifest_json_head(const struct manifest *manifest)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:b}", "id", manifest->id, "version",
			 manifest->version, "kind", manifest_kind_name(manifest->kind), "summary",
			 manifest->summary, "path", manifest->path, "privileges",
			 privileges_to_json(manifest->privileges), "perturbs", manifest->perturbs);
}

static json_t *input_to_json(const struct manifest_port *port)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:o, s:s, s:s}", "name", port->name, "type", port->type,
			 "multiplicity", manifest_multiplicity_name(port->multiplicity), "optional",
			 port->optional, "needs", words_to_json(port->needs), "signal", port->signal,
			 "summary", port->summary);
}

static json_t *output_to_json(const struct manifest_port *port)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:s}", "name", port->name, "type", port->type, "signal",
			 port->signal, "optional", port->optional, "file", port->file, "link", port->link, "when",
			 port->when, "summary", port->summary);
}

static json_t *option_to_json(const struct manifest_option *option)
{
	json_t *item = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "name", option->name, "type",
				 option_type_name(option->type), "default", option->default_text, "unit",
				 option->unit, "help", option->help, "values", words_to_json(option->values));

	if (item != NULL && option->has_min) {
		json_object_set_new(item, "min", json_real(option->min));
	}
	if (item != NULL && option->has_max) {
		json_object_set_new(item, "max", json_real(option->max));
	}
	return item;
}

json_t *manifest_json(const struct manifest *manifest)
{
	json_t *root = manifest_json_head(manifest);
	json_t *inputs = json_array();
	json_t *outputs = json_array();
	json_t *options = json_array();
	json_t *metrics = json_array();

	for (size_t i = 0; i < manifest->port_count; i++) {
		const struct manifest_port *port = &manifest->ports[i];

		json_array_append_new(port->is_output ? outputs : inputs,
				      port->is_output ? output_to_json(port) : input_to_json(port));
	}
	for (size_t i = 0; i < manifest->option_count; i++) {
		json_array_append_new(options, option_to_json(&manifest->options[i]));
	}
	for (size_t i = 0; i < manifest->metric_count; i++) {
		json_array_append_new(metrics, json_pack("{s:s, s:s, s:s}", "name", manifest->metrics[i].name,
							 "unit", manifest->metrics[i].unit, "label",
							 manifest->metrics[i].label));
	}
	json_object_set_new(root, "inputs", inputs);
	json_object_set_new(root, "outputs", outputs);
	json_object_set_new(root, "options", options);
	json_object_set_new(root, "metrics", metrics);
	return root;
}
