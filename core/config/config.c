/* SPDX-License-Identifier: MIT */
/* The configuration as data: sections, values and where they come from. The sources are config_file.c and config_override.c. */
#include "config/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/str.h"
#include "config/model.h"

bool config_is_stage_name(const char *name)
{
	static const char *const reserved[] = { "run", "target", "plugin", "recipe" };

	if (!isalnum((unsigned char)name[0]) || strlen(name) > CONFIG_NAME_MAX) {
		return false;
	}
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		if (str_equal(name, reserved[i])) {
			return false;
		}
	}
	for (const char *at = name; *at != '\0'; at++) {
		if (!isalnum((unsigned char)*at) && *at != '-' && *at != '_') {
			return false;
		}
	}
	return true;
}

char *config_section_title(const struct config_section *section, char *to, size_t to_bytes)
{
	snprintf(to, to_bytes, "[%s%s%s]", section->kind, section->name[0] != '\0' ? ":" : "", section->name);
	return to;
}

bool config_names_alike(const char *a, size_t a_bytes, const char *b)
{
	if (strlen(b) != a_bytes) {
		return false;
	}
	for (size_t i = 0; i < a_bytes; i++) {
		int left = a[i] == '-' ? '_' : tolower((unsigned char)a[i]);
		int right = b[i] == '-' ? '_' : tolower((unsigned char)b[i]);

		if (left != right) {
			return false;
		}
	}
	return true;
}

const char *config_intern(struct config *config, const char *name)
{
	char **files;
	char *copy;

	for (size_t i = 0; i < config->file_count; i++) {
		if (str_equal(config->files[i], name)) {
			return config->files[i];
		}
	}
	copy = strdup(name);
	files = realloc(config->files, (config->file_count + 1) * sizeof(*files));
	if (files != NULL) {
		config->files = files;
	}
	if (copy == NULL || files == NULL) {
		free(copy);
		return NULL;
	}
	files[config->file_count++] = copy;
	return copy;
}

struct config_section *config_section(const struct config *config, const char *kind, const char *name)
{
	for (struct config_section *section = config->sections; section != NULL; section = section->next) {
		if (str_equal(section->kind, kind) &&
		    (name == NULL || !str_equal(kind, "plugin") || str_equal(section->name, name))) {
			return section;
		}
	}
	return NULL;
}

const struct config_value *config_value(const struct config_section *section, const char *key)
{
	const struct config_value *value = section != NULL ? section->values : NULL;

	while (value != NULL && !str_equal(value->key, key)) {
		value = value->next;
	}
	return value;
}

static void value_free(struct config_value *value)
{
	while (value != NULL) {
		struct config_value *older = value->overridden;

		free(value->key);
		free(value->text);
		free(value);
		value = older;
	}
}

static void section_free(struct config_section *section)
{
	while (section->values != NULL) {
		struct config_value *next = section->values->next;

		value_free(section->values);
		section->values = next;
	}
	free(section->kind);
	free(section->name);
	free(section);
}

struct config_section *config_section_add(struct config *config, const char *kind, const char *name,
					  const struct origin *origin)
{
	struct config_section **link = &config->sections;
	struct config_section *section = config_section(config, kind, name);

	if (section != NULL) {
		return section;
	}
	section = calloc(1, sizeof(*section));
	if (section == NULL) {
		return NULL;
	}
	section->kind = strdup(kind);
	section->name = strdup(name != NULL && str_equal(kind, "plugin") ? name : "");
	section->origin = *origin;
	if (section->kind == NULL || section->name == NULL) {
		section_free(section);
		return NULL;
	}
	while (*link != NULL) {
		link = &(*link)->next;
	}
	*link = section;
	return section;
}

int config_put(struct config_section *section, const char *key, const char *text, const struct origin *origin,
	       struct pfc_error *err)
{
	struct config_value **link = &section->values;
	struct config_value *value = calloc(1, sizeof(*value));

	if (value == NULL || (value->key = strdup(key)) == NULL || (value->text = strdup(text)) == NULL) {
		value_free(value);
		return error_nomem(err);
	}
	value->origin = *origin;
	while (*link != NULL && !str_equal((*link)->key, key)) {
		link = &(*link)->next;
	}
	if (*link != NULL) {
		value->next = (*link)->next;
		value->overridden = *link;
		value->overridden->next = NULL;
	}
	*link = value;
	return 0;
}

int config_set(struct config *config, const char *kind, const char *name, const char *key, const char *text,
	       const char *origin_file, struct pfc_error *err)
{
	struct origin origin = { .file = config_intern(config, origin_file) };
	struct config_section *section =
		origin.file != NULL ? config_section_add(config, kind, name, &origin) : NULL;

	if (section == NULL) {
		return error_nomem(err);
	}
	return config_put(section, key, text, &origin, err);
}

void config_destroy(struct config *config)
{
	if (config == NULL) {
		return;
	}
	while (config->sections != NULL) {
		struct config_section *next = config->sections->next;

		section_free(config->sections);
		config->sections = next;
	}
	for (size_t i = 0; i < config->file_count; i++) {
		free(config->files[i]);
	}
	free(config->files);
	free(config->path);
	free(config);
}

/* [run] name defaults to the file's base name, made fit for the name of a folder. */
static int name_run(struct config *config, struct pfc_error *err)
{
	struct origin origin = { .file = config_intern(config, "default") };
	const char *base = strrchr(config->path, '/');
	struct config_section *run =
		origin.file != NULL ? config_section_add(config, "run", NULL, &origin) : NULL;
	char name[64];

	if (run == NULL) {
		return error_nomem(err);
	}
	if (config_value(run, "name") != NULL) {
		return 0;
	}
	snprintf(name, sizeof(name), "%s", base != NULL ? base + 1 : config->path);
	if (str_ends(name, ".ini")) {
		name[strlen(name) - strlen(".ini")] = '\0';
	}
	for (char *at = name; *at != '\0'; at++) {
		*at = isalnum((unsigned char)*at) || *at == '-' || *at == '_' || (*at == '.' && at > name)
			      ? *at
			      : '_';
	}
	return config_put(run, "name", name[0] != '\0' ? name : "run", &origin, err);
}

/* Under AT_SECURE who starts us is not who gave us our privileges: their environment decides nothing. */
static int apply_environment(struct config *config, struct diag_list *diags, struct pfc_error *err)
{
	static const struct origin origin = { .file = "environment" };

	if (getauxval(AT_SECURE) == 0) {
		return config_environment_apply(config, environ, diags, err);
	}
	for (char *const *item = environ; *item != NULL; item++) {
		if (str_starts(*item, "PROFCORE__")) {
			diag_add(diags, DIAG_WARNING, &origin,
				 "this program runs with file capabilities or set-user-id, ignoring "
				 "PROFCORE__ variables");
			break;
		}
	}
	return 0;
}

int config_load(const char *path, const char *const *sets, size_t set_count, struct diag_list *diags,
		struct config **ret, struct pfc_error *err)
{
	struct config *config = calloc(1, sizeof(*config));
	int rc;

	if (config == NULL || (config->path = strdup(path != NULL ? path : "")) == NULL) {
		free(config);
		return error_nomem(err);
	}
	rc = config->path[0] != '\0' ? config_file_load(config, path, diags, err) : 0;
	if (rc == 0) {
		rc = apply_environment(config, diags, err);
	}
	for (size_t i = 0; rc == 0 && i < set_count; i++) {
		rc = config_set_apply(config, sets[i], diags, err);
	}
	if (rc == 0) {
		rc = name_run(config, err);
	}
	if (rc < 0) {
		config_destroy(config);
		return rc;
	}
	*ret = config;
	return 0;
}
