/* SPDX-License-Identifier: MIT */
/* profcore check: all that can be said about a config without running anything; --explain says where values come from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "config/config.h"
#include "config/options.h"
#include "config/registry.h"
#include "plan/plan.h"

static const char usage[] = "usage: profcore check -c FILE [--set STAGE.key=value ...] [--explain] [--json]\n"
			    "\n"
			    "Say everything that is wrong with a config. --explain prints each value with "
			    "its origin and with what\n"
			    "it took the place of. Exit code 0: nothing is wrong; 2: something is.\n";

/* The options of a section: the core's, or those of the plugin that the stage uses; none when that cannot be found. */
static const struct manifest_option *options_of(const struct config_section *section,
						struct registry *registry, size_t *ret_count)
{
	const struct config_value *use = config_value(section, "use");
	const struct manifest *manifest = NULL;

	*ret_count = 0;
	if (str_equal(section->kind, "run")) {
		return options_of_run(ret_count);
	}
	if (str_equal(section->kind, "target")) {
		return options_of_target(ret_count);
	}
	if (!str_equal(section->kind, "plugin") ||
	    registry_use(registry, use != NULL ? use->text : section->name, &manifest, NULL) < 0) {
		return NULL;
	}
	*ret_count = manifest->option_count;
	return manifest->options;
}

static const char *default_of(const struct manifest_option *defs, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++) {
		if (str_equal(defs[i].name, key)) {
			return defs[i].default_text;
		}
	}
	return NULL;
}

static void print_origin(const struct origin *origin)
{
	char file[1024];

	fputs(log_escape(file, sizeof(file), origin->file), stdout);
	if (origin->line > 0) {
		printf(":%d", origin->line);
	}
}

static void print_text(const char *text)
{
	char *safe = malloc(4 * strlen(text) + 8);

	fputs(safe != NULL ? log_escape(safe, 4 * strlen(text) + 8, text) : "?", stdout);
	free(safe);
}

/* One value and, behind the comment sign so that the output reads as a config, its origin and what it replaced. */
static void explain_value(const struct config_value *value, const char *default_text)
{
	char key[256];

	printf("%-14s = ", log_escape(key, sizeof(key), value->key));
	print_text(value->text);
	fputs(" ; ", stdout);
	print_origin(&value->origin);
	for (const struct config_value *older = value->overridden; older != NULL; older = older->overridden) {
		fputs(", over ", stdout);
		print_text(older->text);
		fputs(" (", stdout);
		print_origin(&older->origin);
		putchar(')');
	}
	if (default_text != NULL && default_text[0] != '\0') {
		fputs(", over ", stdout);
		print_text(default_text);
		fputs(" (default)", stdout);
	}
	putchar('\n');
}

static void explain_section(const struct config_section *section, struct registry *registry)
{
	size_t count;
	const struct manifest_option *defs = options_of(section, registry, &count);
	char title[128];

	printf("%s\n", config_section_title(section, title, sizeof(title)));
	for (const struct config_value *value = section->values; value != NULL; value = value->next) {
		explain_value(value, default_of(defs, count, value->key));
	}
	for (size_t i = 0; i < count; i++) {
		if (config_value(section, defs[i].name) == NULL) {
			printf("%-14s = ", defs[i].name);
			print_text(defs[i].default_text);
			puts(" ; default");
		}
	}
}

static json_t *value_to_json(const struct config_value *value)
{
	json_t *item = json_pack("{s:s, s:s, s:s, s:i}", "key", value->key, "value", value->text, "file",
				 value->origin.file, "line", value->origin.line);
	json_t *overridden = json_array();

	for (const struct config_value *older = value->overridden; older != NULL; older = older->overridden) {
		json_array_append_new(overridden, json_pack("{s:s, s:s, s:i}", "value", older->text, "file",
							    older->origin.file, "line", older->origin.line));
	}
	if (item == NULL || json_object_set_new(item, "overridden", overridden) < 0) {
		json_decref(overridden);
	}
	return item;
}

static json_t *section_to_json(const struct config_section *section, struct registry *registry)
{
	size_t count;
	const struct manifest_option *defs = options_of(section, registry, &count);
	json_t *values = json_array();

	for (const struct config_value *value = section->values; value != NULL; value = value->next) {
		json_array_append_new(values, value_to_json(value));
	}
	for (size_t i = 0; i < count; i++) {
		if (config_value(section, defs[i].name) == NULL) {
			json_array_append_new(values, json_pack("{s:s, s:s, s:s, s:i, s:[]}", "key",
								defs[i].name, "value", defs[i].default_text,
								"file", "default", "line", 0, "overridden"));
		}
	}
	return json_pack("{s:s, s:s, s:o}", "kind", section->kind, "name", section->name, "values", values);
}

static int print_json(const struct config *config, struct registry *registry, const struct diag_list *diags,
		      bool explain)
{
	json_t *root =
		json_pack("{s:s, s:b, s:I, s:o}", "config", config->path, "valid", diag_errors(diags) == 0,
			  "errors", (json_int_t)diag_errors(diags), "remarks", diag_to_json(diags));
	json_t *sections = explain ? json_array() : NULL;
	int rc;

	for (const struct config_section *section = config->sections; explain && section != NULL;
	     section = section->next) {
		json_array_append_new(sections, section_to_json(section, registry));
	}
	if (root != NULL && explain) {
		json_object_set_new(root, "sections", sections);
	}
	rc = root != NULL ? json_dumpf(root, stdout, JSON_INDENT(2)) : -1;
	json_decref(root);
	putchar('\n');
	return rc;
}

/* The remarks of all layers: text and sections here, options, ports and their joins in the plan. */
static int judge(const struct config *config, struct registry *registry, struct diag_list *diags,
		 struct pfc_error *err)
{
	const struct plan_mode mode = { 0 };
	struct plan *plan = NULL;
	int rc;

	config_check(config, diags);
	/* The one call of the plan: it resolves [run], [target] and every stage's options, and joins the ports. */
	rc = plan_build(config, registry, &mode, diags, &plan, err);
	if (rc == 0) {
		plan_destroy(plan);
	}
	return rc;
}

static int check(const char *path, const struct args_list *sets, bool explain, bool as_json)
{
	struct diag_list diags = { 0 };
	struct registry *registry = NULL;
	struct config *config = NULL;
	struct pfc_error error;
	int code = 1;

	if (registry_open(&registry, &error) < 0 ||
	    config_load(path, sets->items, sets->count, &diags, &config, &error) < 0 ||
	    judge(config, registry, &diags, &error) < 0) {
		log_failure(&error);
		goto out;
	}
	if (as_json) {
		print_json(config, registry, &diags, explain);
	} else if (explain) {
		for (const struct config_section *section = config->sections; section != NULL;
		     section = section->next) {
			explain_section(section, registry);
			if (section->next != NULL) {
				putchar('\n');
			}
		}
	} else if (diag_errors(&diags) == 0) {
		printf("%s: no errors\n", path);
	}
	fflush(stdout);
	if (!as_json) {
		diag_print(&diags, stderr, log_has_color());
	}
	code = diag_errors(&diags) > 0 ? 2 : ferror(stdout) ? 1 : 0;
out:
	diag_finish(&diags);
	config_destroy(config);
	registry_close(registry);
	return code;
}

int cmd_check(int argc, char **argv)
{
	const char *path = NULL;
	struct args_list sets = { .count = 0 };
	bool explain = false;
	bool as_json = false;
	bool help = false;
	const struct args_option options[] = {
		{ .name = "config", .letter = 'c', .text = &path },
		{ .name = "set", .list = &sets },
		{ .name = "explain", .flag = &explain },
		{ .name = "json", .flag = &as_json },
		{ .name = "help", .letter = 'h', .flag = &help },
		{ .name = NULL },
	};
	int words = args_parse(argc, argv, options);

	if (words < 0) {
		return 2;
	}
	if (words == 2 && path == NULL) {
		path = argv[1];
		words = 1;
	}
	if (help || words != 1 || path == NULL) {
		fputs(usage, help ? stdout : stderr);
		return help ? 0 : 2;
	}
	return check(path, &sets, explain, as_json);
}
