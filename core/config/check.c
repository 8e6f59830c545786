/* SPDX-License-Identifier: MIT */
/* What the sections say as a whole. Single values are judged by options.c, stages and their ports by core/plan. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config/config.h"

#define RUN_NAME_MAX 64

/* A key that is there and holds something. `--set target.pid=` takes a value back. */
static const struct config_value *given(const struct config_section *section, const char *key)
{
	const struct config_value *value = config_value(section, key);

	return value != NULL && value->text[0] != '\0' ? value : NULL;
}

static bool is_system(const struct config_section *section)
{
	const struct config_value *value = given(section, "system");

	return value != NULL && (str_equal(value->text, "yes") || str_equal(value->text, "true") ||
				 str_equal(value->text, "on") || str_equal(value->text, "1"));
}

static void check_pair(const struct config_value *first, const struct config_value *second,
		       struct diag_list *diags)
{
	diag_add(diags, DIAG_ERROR, &second->origin,
		 "[target] %s beside %s (%s:%d): a run has one target, give one of them", second->key,
		 first->key, first->origin.file, first->origin.line);
}

static void check_target(const struct config_section *target, struct diag_list *diags)
{
	static const char *const kinds[] = { "command", "pid",   "container", "compose-service",
					     "cgroup",  "image", "pod" };
	static const char *const of_command[] = { "ready", "directory" };
	const struct config_value *first = NULL;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct config_value *value = given(target, kinds[i]);

		if (value != NULL && first != NULL) {
			check_pair(first, value, diags);
		}
		first = first == NULL ? value : first;
	}
	if (first != NULL && is_system(target)) {
		check_pair(first, config_value(target, "system"), diags);
	}
	if (given(target, "process") != NULL && first != NULL &&
	    (str_equal(first->key, "command") || str_equal(first->key, "pid"))) {
		check_pair(first, config_value(target, "process"), diags);
	}
	if (given(target, "compose-project") != NULL && given(target, "compose-service") == NULL) {
		diag_add(diags, DIAG_ERROR, &config_value(target, "compose-project")->origin,
			 "[target] compose-project narrows compose-service, and that is not given");
	}
	for (size_t i = 0; i < sizeof(of_command) / sizeof(of_command[0]); i++) {
		const struct config_value *value = given(target, of_command[i]);

		if (value != NULL && given(target, "command") == NULL) {
			diag_add(
				diags, DIAG_WARNING, &value->origin,
				"[target] %s is for a launched command, and there is no command, ignoring it",
				value->key);
		}
	}
}

static void check_run(const struct config_section *run, struct diag_list *diags)
{
	const struct config_value *name = given(run, "name");
	bool is_bad = name != NULL && (strlen(name->text) > RUN_NAME_MAX || name->text[0] == '.');

	for (const char *at = name != NULL ? name->text : ""; *at != '\0'; at++) {
		is_bad |= !isalnum((unsigned char)*at) && *at != '-' && *at != '_' && *at != '.';
	}
	if (is_bad) {
		diag_add(diags, DIAG_ERROR, &name->origin,
			 "name = %s: it becomes part of a folder's name: use letters, digits, . - and _, at "
			 "most %d",
			 name->text, RUN_NAME_MAX);
	}
}

/* "SECTION.key" of a shorthand: run, target, or a stage of this file. */
static bool names_option(const struct config *config, const char *text)
{
	const char *dot = strchr(text, '.');
	char *word;
	bool is_there;

	if (dot == NULL || dot == text || dot[1] == '\0') {
		return false;
	}
	word = strndup(text, (size_t)(dot - text));
	is_there = word != NULL && (str_equal(word, "run") || str_equal(word, "target") ||
				    config_section(config, "plugin", word) != NULL);
	free(word);
	return is_there;
}

static void check_recipe(const struct config *config, const struct config_section *recipe,
			 struct diag_list *diags)
{
	for (const struct config_value *value = recipe->values; value != NULL; value = value->next) {
		if (!str_equal(value->key, "help") && !str_equal(value->key, "requires") &&
		    !names_option(config, value->text)) {
			diag_add(diags, DIAG_ERROR, &value->origin,
				 "[recipe] %s = %s: a shorthand stands for SECTION.key, for instance "
				 "run.duration",
				 value->key, value->text);
		}
	}
}

void config_check(const struct config *config, struct diag_list *diags)
{
	const struct config_section *run = config_section(config, "run", NULL);
	const struct config_section *target = config_section(config, "target", NULL);
	const struct config_section *recipe = config_section(config, "recipe", NULL);

	if (run != NULL) {
		check_run(run, diags);
	}
	if (target != NULL) {
		check_target(target, diags);
	}
	if (recipe != NULL) {
		check_recipe(config, recipe, diags);
	}
}
