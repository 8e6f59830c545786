/* SPDX-License-Identifier: MIT */
/* profcore plugin list | inspect ID|PATH: what manifests say. Runs no code of any plugin. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "config/options.h"
#include "config/registry.h"

#define TEXT_MAX 1024

static const char usage[] =
	"usage: profcore plugin list [--json]\n"
	"       profcore plugin inspect ID|PATH [--json]\n"
	"\n"
	"list shows every plugin that was found; inspect shows what one takes, gives, needs and can be "
	"told.\n"
	"Plugins are searched in PROFCORE_PLUGIN_PATH, beside the program, and where they are installed.\n";

static int print_json(json_t *root)
{
	int rc = root != NULL ? json_dumpf(root, stdout, JSON_INDENT(2)) : -1;

	json_decref(root);
	putchar('\n');
	return rc < 0 || fflush(stdout) != 0 ? 1 : 0;
}

static void warn_rejects(const struct registry *registry)
{
	for (size_t i = 0; i < registry_reject_count(registry); i++) {
		const struct pfc_error *error = &registry_reject_at(registry, i)->error;

		log_warning("%s: %s%s%s", error->what, error->why, error->hint[0] != '\0' ? "; try: " : "",
			    error->hint);
	}
}

static json_t *list_to_json(const struct registry *registry)
{
	json_t *plugins = json_array();
	json_t *rejected = json_array();

	for (size_t i = 0; i < registry_count(registry); i++) {
		json_array_append_new(plugins, manifest_json_head(registry_at(registry, i)));
	}
	for (size_t i = 0; i < registry_reject_count(registry); i++) {
		const struct registry_reject *reject = registry_reject_at(registry, i);

		json_array_append_new(rejected, json_pack("{s:s, s:s, s:s}", "path", reject->path, "why",
							  reject->error.why, "hint", reject->error.hint));
	}
	return json_pack("{s:o, s:o}", "plugins", plugins, "rejected", rejected);
}

static void print_list(const struct registry *registry)
{
	char summary[TEXT_MAX];
	char version[TEXT_MAX];
	int id_width = 2;
	int version_width = 7;

	for (size_t i = 0; i < registry_count(registry); i++) {
		const struct manifest *manifest = registry_at(registry, i);
		int id_bytes = (int)strlen(manifest->id);
		int version_bytes = (int)strlen(log_escape(version, sizeof(version), manifest->version));

		id_width = id_bytes > id_width ? id_bytes : id_width;
		version_width = version_bytes > version_width ? version_bytes : version_width;
	}
	printf("%-*s  %-9s  %-*s  %s\n", id_width, "ID", "KIND", version_width, "VERSION", "SUMMARY");
	for (size_t i = 0; i < registry_count(registry); i++) {
		const struct manifest *manifest = registry_at(registry, i);

		printf("%-*s  %-9s  %-*s  %s\n", id_width, manifest->id, manifest_kind_name(manifest->kind),
		       version_width, log_escape(version, sizeof(version), manifest->version),
		       log_escape(summary, sizeof(summary), manifest->summary));
	}
}

static int list(struct registry *registry, bool as_json)
{
	if (as_json) {
		return print_json(list_to_json(registry));
	}
	if (registry_count(registry) > 0) {
		print_list(registry);
	} else {
		log_warning("no plugin found; set PROFCORE_PLUGIN_PATH to a folder of them");
	}
	warn_rejects(registry);
	return fflush(stdout) != 0;
}

/* "  label  text", nothing when text is empty. */
static void print_item(const char *label, const char *text)
{
	char safe[TEXT_MAX];

	if (text[0] != '\0') {
		printf("      %-9s %s\n", label, log_escape(safe, sizeof(safe), text));
	}
}

static void print_words(const char *label, char *const *words)
{
	struct str text = { 0 };

	for (; *words != NULL; words++) {
		str_format(&text, "%s%s", text.bytes > 0 ? ", " : "", *words);
	}
	print_item(label, str_text(&text));
	str_finish(&text);
}

static void print_ports(const struct manifest *manifest, bool outputs)
{
	bool is_first = true;

	for (size_t i = 0; i < manifest->port_count; i++) {
		const struct manifest_port *port = &manifest->ports[i];
		char type[TEXT_MAX];

		if (port->is_output != outputs) {
			continue;
		}
		if (is_first) {
			printf("\n%s\n", outputs ? "outputs" : "inputs");
			is_first = false;
		}
		printf("  %s: %s", port->name, log_escape(type, sizeof(type), port->type));
		if (!outputs) {
			printf(" (%s%s)", manifest_multiplicity_name(port->multiplicity),
			       port->optional && port->multiplicity != PORT_OPTIONAL ? ", may be none" : "");
		}
		putchar('\n');
		print_item("summary", port->summary);
		print_item("signal", port->signal);
		print_words("needs", port->needs);
		print_item("file", port->file);
		print_item("link", port->link);
	}
}

static void print_range(const struct manifest_option *option)
{
	char min[64] = "";
	char max[64] = "";
	char text[192];

	if (option->has_min) {
		option_format(option->type, option->min, min, sizeof(min));
	}
	if (option->has_max) {
		option_format(option->type, option->max, max, sizeof(max));
	}
	if (option->has_min && option->has_max) {
		snprintf(text, sizeof(text), "%s to %s", min, max);
	} else {
		snprintf(text, sizeof(text), "%s%s", option->has_min ? "at least " : "at most ",
			 option->has_min ? min : max);
	}
	if (option->has_min || option->has_max) {
		print_item("range", text);
	}
}

static void print_options(const struct manifest *manifest)
{
	if (manifest->option_count > 0) {
		printf("\noptions\n");
	}
	for (size_t i = 0; i < manifest->option_count; i++) {
		const struct manifest_option *option = &manifest->options[i];
		char text[TEXT_MAX];

		printf("  %s: %s", option->name, option_type_name(option->type));
		if (option->default_text[0] != '\0') {
			printf(" = %s", log_escape(text, sizeof(text), option->default_text));
		}
		if (option->unit[0] != '\0') {
			printf(" (%s)", log_escape(text, sizeof(text), option->unit));
		}
		putchar('\n');
		print_item("help", option->help);
		print_range(option);
		print_words("values", option->values);
	}
}

static void print_manifest(const struct manifest *manifest)
{
	char privileges[128];
	char text[TEXT_MAX];

	printf("%s %s, a %s\n", manifest->id, log_escape(text, sizeof(text), manifest->version),
	       manifest_kind_name(manifest->kind));
	printf("  %s\n", log_escape(text, sizeof(text), manifest->summary));
	printf("  privileges: %s\n",
	       manifest_privilege_names(manifest->privileges, privileges, sizeof(privileges)));
	printf("  perturbs the target: %s%s\n", manifest->perturbs ? "yes" : manifest->perturbs_when[0] ? "with " : "no",
	       manifest->perturbs ? "" : log_escape(text, sizeof(text), manifest->perturbs_when));
	printf("  file: %s\n", log_escape(text, sizeof(text), manifest->path));
	print_ports(manifest, false);
	print_ports(manifest, true);
	print_options(manifest);
	if (manifest->metric_count > 0) {
		printf("\nmetrics shown live\n");
	}
	for (size_t i = 0; i < manifest->metric_count; i++) {
		char unit[TEXT_MAX];

		printf("  %s: %s (%s)\n", manifest->metrics[i].name,
		       log_escape(text, sizeof(text), manifest->metrics[i].label),
		       log_escape(unit, sizeof(unit), manifest->metrics[i].unit));
	}
}

static int inspect(struct registry *registry, const char *use, bool as_json)
{
	const struct manifest *manifest;
	struct pfc_error error;
	int rc = registry_use(registry, use, &manifest, &error);

	if (rc < 0) {
		log_failure(&error);
		return rc == PFC_ENOMEM ? 1 : rc == PFC_EPERM ? 4 : 2;
	}
	if (as_json) {
		return print_json(manifest_json(manifest));
	}
	print_manifest(manifest);
	return fflush(stdout) != 0;
}

int cmd_plugin(int argc, char **argv)
{
	bool as_json = false;
	bool help = false;
	const struct args_option options[] = {
		{ .name = "json", .flag = &as_json },
		{ .name = "help", .letter = 'h', .flag = &help },
		{ .name = NULL },
	};
	struct registry *registry;
	struct pfc_error error;
	int words = args_parse(argc, argv, options);
	bool is_list = words == 2 && str_equal(argv[1], "list");
	bool is_inspect = words == 3 && str_equal(argv[1], "inspect");
	int code;

	if (words < 0) {
		return 2;
	}
	if (help || (!is_list && !is_inspect)) {
		fputs(usage, help ? stdout : stderr);
		return help ? 0 : 2;
	}
	if (registry_open(&registry, &error) < 0) {
		log_failure(&error);
		return 1;
	}
	code = is_list ? list(registry, as_json) : inspect(registry, argv[2], as_json);
	registry_close(registry);
	return code;
}
