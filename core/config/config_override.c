/* SPDX-License-Identifier: MIT */
/* Values that do not come from a file: PROFCORE__SECTION__KEY in the environment, --set SECTION.key=value. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config/model.h"
#include "config/options.h"

#define VARIABLE_PREFIX "PROFCORE__"
#define NEAR_MAX        64

static const char *section_word(const struct config_section *section)
{
	return str_equal(section->kind, "plugin") ? section->name : section->kind;
}

static bool is_settable(const struct config_section *section)
{
	return !str_equal(section->kind, "recipe");
}

/* What exists: run, target and the stages. Returns how many were written. */
static size_t section_words(const struct config *config, const char **to, size_t room)
{
	size_t count = 0;

	to[count++] = "run";
	to[count++] = "target";
	for (const struct config_section *section = config->sections; section != NULL && count < room;
	     section = section->next) {
		if (str_equal(section->kind, "plugin")) {
			to[count++] = section->name;
		}
	}
	return count;
}

static void explain_unknown(const struct config *config, struct diag_list *diags, const struct origin *origin,
			    const char *what, const char *word)
{
	const char *words[NEAR_MAX];
	size_t count = section_words(config, words, NEAR_MAX);
	const char *near = str_nearest(word, words, count);
	struct str known = { 0 };

	if (near != NULL) {
		diag_add(diags, DIAG_ERROR, origin, "%s: there is no stage \"%s\"; did you mean \"%s\"?",
			 what, word, near);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		str_format(&known, "%s%s", i > 0 ? ", " : "", words[i]);
	}
	diag_add(diags, DIAG_ERROR, origin, "%s: there is no stage \"%s\"; there are %s", what, word,
		 str_text(&known));
	str_finish(&known);
}

/* The section that `word` (bytes long) names as variables do; run and target come into being. NULL when there is none. */
static struct config_section *find_alike(struct config *config, const char *word, size_t bytes,
					 const struct origin *origin, bool *ret_nomem)
{
	struct config_section *found;

	for (struct config_section *section = config->sections; section != NULL; section = section->next) {
		if (is_settable(section) && config_names_alike(word, bytes, section_word(section))) {
			return section;
		}
	}
	if (!config_names_alike(word, bytes, "run") && !config_names_alike(word, bytes, "target")) {
		return NULL;
	}
	found = config_section_add(config, bytes == strlen("run") ? "run" : "target", NULL, origin);
	*ret_nomem = found == NULL;
	return found;
}

/* The key's spelling in the file, or of the core's own option, else the variable's in lower case. The caller frees it. */
static char *spell_key(const struct config_section *section, const char *key)
{
	const struct manifest_option *defs = NULL;
	size_t count = 0;
	char *spelled;

	for (const struct config_value *value = section->values; value != NULL; value = value->next) {
		if (config_names_alike(key, strlen(key), value->key)) {
			return strdup(value->key);
		}
	}
	if (str_equal(section->kind, "run")) {
		defs = options_of_run(&count);
	} else if (str_equal(section->kind, "target")) {
		defs = options_of_target(&count);
	}
	for (size_t i = 0; i < count; i++) {
		if (config_names_alike(key, strlen(key), defs[i].name)) {
			return strdup(defs[i].name);
		}
	}
	spelled = strdup(key);
	for (char *at = spelled; at != NULL && *at != '\0'; at++) {
		*at = (char)tolower((unsigned char)*at);
	}
	return spelled;
}

static int put_checked(struct config_section *section, const char *what, const char *key, const char *text,
		       const struct origin *origin, struct diag_list *diags, struct pfc_error *err)
{
	if (str_equal(section->kind, "run") && str_equal(key, "include")) {
		diag_add(diags, DIAG_ERROR, origin, "%s: include works in a file only", what);
		return 0;
	}
	if (!str_is_utf8(key) || !str_is_utf8(text)) {
		diag_add(diags, DIAG_ERROR, origin, "%s: the value is not UTF-8", what);
		return 0;
	}
	return config_put(section, key, text, origin, err);
}

/* A stage's name may hold "__": take the first cut whose left side is a section. */
static int apply_variable(struct config *config, const char *variable, struct diag_list *diags,
			  struct pfc_error *err)
{
	static const struct origin origin = { .file = "environment" };
	const char *equals = strchr(variable, '=');
	const char *word = variable + strlen(VARIABLE_PREFIX);
	char *name = strndup(variable, equals != NULL ? (size_t)(equals - variable) : 0);
	const char *start = name != NULL ? name + (word - variable) : NULL;
	struct config_section *section = NULL;
	const char *cut = start != NULL ? strstr(start, "__") : NULL;
	const char *first = cut;
	bool nomem = name == NULL;
	char *key = NULL;
	int rc = 0;

	while (cut != NULL && section == NULL && !nomem) {
		section = find_alike(config, start, (size_t)(cut - start), &origin, &nomem);
		first = section != NULL ? cut : first;
		cut = section != NULL ? NULL : strstr(cut + 1, "__");
	}
	if (nomem) {
		rc = error_nomem(err);
	} else if (first == NULL || first[2] == '\0') {
		diag_add(diags, DIAG_ERROR, &origin, "%s: write it as PROFCORE__SECTION__KEY", name);
	} else if (section == NULL) {
		char *stage = strndup(start, (size_t)(first - start));

		for (char *at = stage; at != NULL && *at != '\0'; at++) {
			*at = *at == '_' ? '-' : (char)tolower((unsigned char)*at);
		}
		explain_unknown(config, diags, &origin, name, stage != NULL ? stage : start);
		free(stage);
	} else if ((key = spell_key(section, first + 2)) == NULL) {
		rc = error_nomem(err);
	} else {
		rc = put_checked(section, name, key, equals + 1, &origin, diags, err);
	}
	free(key);
	free(name);
	return rc;
}

int config_environment_apply(struct config *config, char *const *environ_list, struct diag_list *diags,
			     struct pfc_error *err)
{
	int rc = 0;

	for (char *const *item = environ_list; rc == 0 && *item != NULL; item++) {
		if (str_starts(*item, VARIABLE_PREFIX) && strchr(*item, '=') != NULL) {
			rc = apply_variable(config, *item, diags, err);
		}
	}
	return rc;
}

static struct config_section *find_exact(struct config *config, const char *word, const struct origin *origin,
					 bool *ret_nomem)
{
	struct config_section *section;

	if (!str_equal(word, "run") && !str_equal(word, "target")) {
		return config_section(config, "plugin", word);
	}
	section = config_section_add(config, word, NULL, origin);
	*ret_nomem = section == NULL;
	return section;
}

int config_set_apply(struct config *config, const char *set, struct diag_list *diags, struct pfc_error *err)
{
	static const struct origin origin = { .file = "--set" };
	char *word = strdup(set);
	char *equals = word != NULL ? strchr(word, '=') : NULL;
	char *dot = word != NULL ? strchr(word, '.') : NULL;
	struct config_section *section;
	bool nomem = word == NULL;
	int rc = 0;

	if (nomem) {
		return error_nomem(err);
	}
	if (equals == NULL || dot == NULL || dot > equals || dot == word || dot + 1 == equals) {
		diag_add(diags, DIAG_ERROR, &origin,
			 "\"%s\": write it as STAGE.key=value, for instance run.duration=5s", set);
		goto out;
	}
	*equals = '\0';
	*dot = '\0';
	section = find_exact(config, word, &origin, &nomem);
	if (nomem) {
		rc = error_nomem(err);
	} else if (section == NULL) {
		explain_unknown(config, diags, &origin, set, word);
	} else {
		rc = put_checked(section, set, dot + 1, equals + 1, &origin, diags, err);
	}
out:
	free(word);
	return rc;
}
