/* SPDX-License-Identifier: MIT */
/* Sections against declared options. What one text means is in option_value.c, the core's own options in options_core.c. */
#include "config/options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config/model.h"

#define NEAR_MAX 320 /* options of one plugin are fewer: MANIFEST_OPTIONS_MAX */

/* Who is meant, in messages: a stage by its name, else "[run]". */
static const char *section_word(const struct config_section *section)
{
	return section->name[0] != '\0' ? section->name : section->kind;
}

/* For a value of the environment: the variable's name, so that the reader finds it. "" for all others; the caller frees. */
static char *variable_of(const struct config_section *section, const struct config_value *value)
{
	char *name;

	if (value->origin.file == NULL || !str_equal(value->origin.file, "environment")) {
		return strdup("");
	}
	name = str_printf("PROFCORE__%s__%s: ", section_word(section), value->key);
	for (char *at = name; at != NULL && *at != '\0'; at++) {
		*at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
	}
	return name;
}

static bool is_reserved(const char *const *reserved, const char *key)
{
	for (; reserved != NULL && *reserved != NULL; reserved++) {
		if (str_ends(*reserved, ".") ? str_starts(key, *reserved) : str_equal(key, *reserved)) {
			return true;
		}
	}
	return false;
}

/* A variable cannot tell - from _: its value fits an option whose name is alike. */
static bool value_is_for(const struct config_value *value, const struct manifest_option *def)
{
	if (value->origin.file != NULL && str_equal(value->origin.file, "environment")) {
		return config_names_alike(value->key, strlen(value->key), def->name);
	}
	return str_equal(value->key, def->name);
}

static const struct config_value *find_value(const struct config_section *section,
					     const struct manifest_option *def)
{
	const struct config_value *found = NULL;

	for (const struct config_value *value = section != NULL ? section->values : NULL; value != NULL;
	     value = value->next) {
		/* The exact name wins: it is later in precedence (--set), or the only one. */
		if (value_is_for(value, def) && (found == NULL || str_equal(value->key, def->name))) {
			found = value;
		}
	}
	return found;
}

static void explain_unknown(const struct manifest_option *defs, size_t def_count, const char *const *reserved,
			    const struct config_section *section, const struct config_value *value,
			    struct diag_list *diags)
{
	char *variable = variable_of(section, value);
	const char *names[NEAR_MAX];
	const char *near;
	char title[80];
	size_t count = 0;
	struct str known = { 0 };

	for (size_t i = 0; i < def_count && count < NEAR_MAX; i++) {
		names[count++] = defs[i].name;
		str_format(&known, "%s%s", i > 0 ? ", " : "", defs[i].name);
	}
	for (; reserved != NULL && *reserved != NULL && count < NEAR_MAX; reserved++) {
		names[count++] = *reserved;
	}
	near = str_nearest(value->key, names, count);
	config_section_title(section, title, sizeof(title));
	if (near != NULL) {
		diag_add(diags, DIAG_ERROR, &value->origin, "%s%s has no option \"%s\"; did you mean \"%s\"?",
			 variable, title, value->key, near);
	} else if (def_count == 0) {
		diag_add(diags, DIAG_ERROR, &value->origin, "%s%s has no option \"%s\"; it has none",
			 variable, title, value->key);
	} else {
		diag_add(diags, DIAG_ERROR, &value->origin, "%s%s has no option \"%s\"; it has %s", variable,
			 title, value->key, str_text(&known));
	}
	str_finish(&known);
	free(variable);
}

static void check_unknown(const struct manifest_option *defs, size_t def_count, const char *const *reserved,
			  const struct config_section *section, struct diag_list *diags)
{
	for (const struct config_value *value = section->values; value != NULL; value = value->next) {
		size_t i = 0;

		while (i < def_count && !value_is_for(value, &defs[i])) {
			i++;
		}
		if (i == def_count && !is_reserved(reserved, value->key)) {
			explain_unknown(defs, def_count, reserved, section, value, diags);
		}
	}
}

/* A value that does not fit becomes a remark, and the default stands in so that the rest can be checked. */
static int resolve_one(const struct manifest_option *def, const struct config_section *section,
		       struct diag_list *diags, struct option_value *ret, struct pfc_error *err)
{
	const struct config_value *value = find_value(section, def);
	const struct origin default_origin = { .file = "default" };
	struct pfc_error why;
	char *variable;
	int rc;

	if (value != NULL) {
		rc = option_parse(def, value->text, ret, &why);
		if (rc == 0) {
			ret->origin = value->origin;
			ret->value.is_set = !str_equal(value->origin.file, "default");
			return 0;
		}
		if (rc == PFC_ENOMEM) {
			return error_nomem(err);
		}
		variable = variable_of(section, value);
		diag_add(diags, DIAG_ERROR, &value->origin, "%s%s = %s: %s", variable != NULL ? variable : "",
			 def->name, value->text, why.why);
		free(variable);
	}
	rc = option_parse(def, def->default_text, ret, &why);
	if (rc < 0) {
		/* A manifest is checked when it is read, so only memory can fail here. */
		return error_nomem(err);
	}
	ret->origin = default_origin;
	return 0;
}

int options_resolve_some(const struct manifest_option *defs, size_t def_count,
			 const struct config_section *section, struct diag_list *diags,
			 struct option_set *ret, struct pfc_error *err)
{
	struct option_set set = { .values = calloc(def_count + 1, sizeof(*set.values)) };

	if (set.values == NULL) {
		return error_nomem(err);
	}
	for (; set.count < def_count; set.count++) {
		int rc = resolve_one(&defs[set.count], section, diags, &set.values[set.count], err);

		if (rc < 0) {
			options_finish(&set);
			return rc;
		}
	}
	*ret = set;
	return 0;
}

int options_resolve(const struct manifest_option *defs, size_t def_count,
		    const struct config_section *section, const char *const *reserved,
		    struct diag_list *diags, struct option_set *ret, struct pfc_error *err)
{
	if (section != NULL) {
		check_unknown(defs, def_count, reserved, section, diags);
	}
	return options_resolve_some(defs, def_count, section, diags, ret, err);
}

const struct option_value *options_get(const struct option_set *set, const char *name)
{
	for (size_t i = 0; i < set->count; i++) {
		if (str_equal(set->values[i].def->name, name)) {
			return &set->values[i];
		}
	}
	return NULL;
}

int64_t options_int(const struct option_set *set, const char *name)
{
	const struct option_value *value = options_get(set, name);

	return value != NULL ? value->value.integer : 0;
}

const char *options_text(const struct option_set *set, const char *name)
{
	const struct option_value *value = options_get(set, name);

	return value != NULL ? value->value.text : "";
}

void options_finish(struct option_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		option_value_finish(&set->values[i]);
	}
	free(set->values);
	memset(set, 0, sizeof(*set));
}

static json_t *items_to_json(const struct option_value *value)
{
	json_t *items = json_array();

	for (uint32_t i = 0; i < value->value.item_count; i++) {
		json_array_append_new(items, json_string(value->items[i]));
	}
	return items;
}

json_t *options_to_json(const struct option_set *set)
{
	json_t *array = json_array();

	for (size_t i = 0; i < set->count; i++) {
		const struct option_value *value = &set->values[i];
		json_t *item =
			json_pack("{s:s, s:i, s:I, s:f, s:s, s:o, s:i}", "name", value->def->name, "type",
				  (int)value->value.type, "integer", (json_int_t)value->value.integer, "real",
				  value->value.real, "text", value->value.text, "items", items_to_json(value),
				  "set", (int)value->value.is_set);

		if (item == NULL || json_array_append_new(array, item) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}
