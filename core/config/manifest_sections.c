/* SPDX-License-Identifier: MIT */
/* The sections of a manifest, one function each: [plugin], [input], [output], [option], [metric]. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "config/manifest_reader.h"
#include "config/options.h"

static uint32_t read_privileges(struct manifest_reader *reader, const struct ini_section *section,
				const char *text)
{
	static const char *const names[] = { "none",         "perf",    "bpf",   "ptrace",
					     "target-files", "network", "uprobe" };
	int line = manifest_line_of(section, "privileges");
	char **words = manifest_words(reader, line, "privileges", text);
	uint32_t bits = 0;

	for (char **word = words; word != NULL && *word != NULL; word++) {
		int index = manifest_word(reader, line, "privileges", *word, names,
					  sizeof(names) / sizeof(names[0]));

		bits |= index > 0 ? 1u << (index - 1) : 0;
		free(*word);
	}
	free(words);
	return bits;
}

void manifest_read_plugin(struct manifest_reader *reader, const struct ini_section *section)
{
	static const char *const kinds[] = { "driver", "collector", "transform", "reporter" };
	struct manifest *manifest = reader->manifest;
	char *kind = NULL;
	char *privileges = NULL;
	char *perturbs = NULL;
	const struct manifest_field fields[] = {
		{ "id", &manifest->id, true },
		{ "version", &manifest->version, true },
		{ "kind", &kind, true },
		{ "summary", &manifest->summary, true },
		{ "privileges", &privileges, true },
		{ "perturbs", &perturbs, false },
		{ "perturbs_when", &manifest->perturbs_when, false },
	};

	manifest_fields(reader, section, fields, sizeof(fields) / sizeof(fields[0]));
	if (!reader->nomem) {
		if (manifest->id[0] != '\0' && !manifest_is_name(manifest->id)) {
			manifest_fault(reader, manifest_line_of(section, "id"),
				       "id = %s: use lower-case letters, digits, - and _, at most %d",
				       manifest->id, MANIFEST_NAME_MAX);
		}
		if (kind[0] != '\0') {
			manifest->kind =
				(enum plugin_kind)(manifest_word(reader, manifest_line_of(section, "kind"),
								 "kind", kind, kinds, 4) +
						   1);
		}
		manifest->privileges = read_privileges(reader, section, privileges);
		manifest->perturbs = manifest_yes(reader, section, "perturbs", perturbs);
	}
	free(kind);
	free(privileges);
	free(perturbs);
}

/* "namespace.noun/MAJOR" or a media type: one slash, printable, something on both sides. */
static void check_type(struct manifest_reader *reader, const struct ini_section *section, const char *type)
{
	const char *slash = strchr(type, '/');

	for (const char *at = type; *at != '\0'; at++) {
		if (!isgraph((unsigned char)*at)) {
			slash = NULL;
		}
	}
	if (type[0] != '\0' &&
	    (slash == NULL || slash == type || slash[1] == '\0' || strchr(slash + 1, '/') != NULL)) {
		manifest_fault(reader, manifest_line_of(section, "type"),
			       "type = %s: write a type such as profcore.stacks/1, or a media type such as "
			       "text/plain",
			       type);
	}
}

/* A file's name within the run folder: no path, no hidden file, known placeholders. */
static void check_file(struct manifest_reader *reader, const struct ini_section *section, const char *key,
		       const char *name)
{
	static const char *const placeholders[] = { "{signal}", "{stage}", "{run}" };
	bool is_bad = name[0] == '.' || strlen(name) > 128;

	for (const char *at = name; *at != '\0'; at++) {
		size_t i = 0;

		if (*at != '{') {
			is_bad |= !isalnum((unsigned char)*at) && strchr(".-_+", *at) == NULL;
			continue;
		}
		while (i < 3 && !str_starts(at, placeholders[i])) {
			i++;
		}
		if (i == 3 || (i == 2 && str_equal(key, "file"))) {
			is_bad = true;
			break;
		}
		at += strlen(placeholders[i]) - 1;
	}
	if (is_bad) {
		manifest_fault(
			reader, manifest_line_of(section, key),
			"%s = %s: a plain file name of letters, digits, . - _ + with {signal}, {stage}%s",
			key, name, str_equal(key, "link") ? ", {run}" : "");
	}
}

static void check_needs(struct manifest_reader *reader, const struct ini_section *section, char *const *needs)
{
	for (; needs != NULL && *needs != NULL; needs++) {
		const char *dot = strchr(*needs, '.');

		if (dot == NULL || dot == *needs || dot[1] == '\0' || strchr(dot + 1, '.') != NULL) {
			manifest_fault(reader, manifest_line_of(section, "needs"),
				       "needs = %s: write table.column", *needs);
		}
	}
}

void manifest_read_input(struct manifest_reader *reader, const struct ini_section *section,
			 struct manifest_port *port)
{
	static const char *const words[] = { "one", "optional", "many", "each" };
	char *multiplicity = NULL;
	char *optional = NULL;
	char *needs = NULL;
	const struct manifest_field fields[] = {
		{ "type", &port->type, true },      { "multiplicity", &multiplicity, false },
		{ "optional", &optional, false },   { "needs", &needs, false },
		{ "signal", &port->signal, false }, { "summary", &port->summary, false },
	};

	manifest_fields(reader, section, fields, sizeof(fields) / sizeof(fields[0]));
	port->file = manifest_copy(reader, "");
	port->link = manifest_copy(reader, "");
	port->when = manifest_copy(reader, "");
	if (!reader->nomem) {
		int index = multiplicity[0] == '\0'
				    ? 0
				    : manifest_word(reader, manifest_line_of(section, "multiplicity"),
						    "multiplicity", multiplicity, words, 4);

		port->multiplicity = (enum port_multiplicity)(index + 1);
		port->optional = manifest_yes(reader, section, "optional", optional) ||
				 port->multiplicity == PORT_OPTIONAL;
		port->needs = manifest_words(reader, manifest_line_of(section, "needs"), "needs", needs);
		check_type(reader, section, port->type);
		check_needs(reader, section, port->needs);
		if (port->multiplicity == PORT_ONE && port->optional) {
			manifest_fault(reader, manifest_line_of(section, "optional"),
				       "optional = yes: write multiplicity = optional");
		}
	}
	free(multiplicity);
	free(optional);
	free(needs);
}

void manifest_read_output(struct manifest_reader *reader, const struct ini_section *section,
			  struct manifest_port *port)
{
	char *optional = NULL;
	const struct manifest_field fields[] = {
		{ "type", &port->type, true },        { "signal", &port->signal, false },
		{ "summary", &port->summary, false }, { "file", &port->file, false },
		{ "link", &port->link, false },       { "when", &port->when, false },
		{ "optional", &optional, false },
	};

	port->is_output = true;
	manifest_fields(reader, section, fields, sizeof(fields) / sizeof(fields[0]));
	port->needs = manifest_words(reader, section->line, "needs", "");
	if (reader->nomem) {
		free(optional);
		return;
	}
	port->optional = manifest_yes(reader, section, "optional", optional);
	free(optional);
	check_type(reader, section, port->type);
	check_file(reader, section, "file", port->file);
	check_file(reader, section, "link", port->link);
	if (port->signal[0] != '\0' && !manifest_is_name(port->signal)) {
		manifest_fault(reader, manifest_line_of(section, "signal"),
			       "signal = %s: use lower-case letters, digits, - and _", port->signal);
	}
}

static void read_limit(struct manifest_reader *reader, const struct ini_section *section,
		       struct manifest_option *option, const char *key, const char *text, bool *ret_has,
		       double *ret)
{
	/* Read as a value of the type itself, with no limits and no default. */
	struct manifest_option bare = {
		.name = option->name, .type = option->type, .default_text = (char *)"", .unit = (char *)""
	};
	struct option_value value;
	struct pfc_error why;
	int rc;

	if (text[0] == '\0') {
		return;
	}
	if (option->type != PFC_VALUE_INT && option->type != PFC_VALUE_FLOAT &&
	    option->type != PFC_VALUE_DURATION && option->type != PFC_VALUE_SIZE) {
		manifest_fault(reader, manifest_line_of(section, key),
			       "%s: an option of type %s has no limits", key, option_type_name(option->type));
		return;
	}
	rc = option_parse(&bare, text, &value, &why);
	if (rc < 0) {
		reader->nomem |= rc == PFC_ENOMEM;
		manifest_fault(reader, manifest_line_of(section, key), "%s = %s: %s", key, text, why.why);
		return;
	}
	*ret_has = true;
	*ret = value.value.real;
	option_value_finish(&value);
}

static void check_default(struct manifest_reader *reader, const struct ini_section *section,
			  const struct manifest_option *option)
{
	struct option_value value;
	struct pfc_error why;
	int rc;

	if (option->type == PFC_VALUE_ENUM && option->values[0] == NULL) {
		manifest_fault(reader, section->line, "[%s] lacks the key values", section->name);
		return;
	}
	if (option->type != PFC_VALUE_ENUM && option->values[0] != NULL) {
		manifest_fault(reader, manifest_line_of(section, "values"),
			       "values: only an option of type enum has them");
	}
	if (option->has_min && option->has_max && option->min > option->max) {
		manifest_fault(reader, manifest_line_of(section, "min"), "min is above max");
		return;
	}
	rc = option_parse(option, option->default_text, &value, &why);
	if (rc == PFC_ENOMEM) {
		reader->nomem = true;
	} else if (rc < 0) {
		manifest_fault(reader, manifest_line_of(section, "default"), "default = %s: %s",
			       option->default_text, why.why);
	} else {
		option_value_finish(&value);
	}
}

void manifest_read_option(struct manifest_reader *reader, const struct ini_section *section,
			  struct manifest_option *option)
{
	static const char *const types[] = { "int",  "float",    "bool", "string",
					     "enum", "duration", "size", "list" };
	char *type = NULL;
	char *min = NULL;
	char *max = NULL;
	char *values = NULL;
	const struct manifest_field fields[] = {
		{ "type", &type, true },         { "default", &option->default_text, false },
		{ "min", &min, false },          { "max", &max, false },
		{ "values", &values, false },    { "unit", &option->unit, false },
		{ "help", &option->help, true },
	};

	manifest_fields(reader, section, fields, sizeof(fields) / sizeof(fields[0]));
	if (!reader->nomem) {
		option->values =
			manifest_words(reader, manifest_line_of(section, "values"), "values", values);
		option->type = option_type_of(type);
		if (type[0] != '\0' && option->type == 0) {
			manifest_word(reader, manifest_line_of(section, "type"), "type", type, types, 8);
		}
	}
	if (!reader->nomem && option->type != 0) {
		read_limit(reader, section, option, "min", min, &option->has_min, &option->min);
		read_limit(reader, section, option, "max", max, &option->has_max, &option->max);
		check_default(reader, section, option);
	}
	free(type);
	free(min);
	free(max);
	free(values);
}

void manifest_read_metric(struct manifest_reader *reader, const struct ini_section *section,
			  struct manifest_metric *metric)
{
	const struct manifest_field fields[] = { { "unit", &metric->unit, false },
						 { "label", &metric->label, false } };

	manifest_fields(reader, section, fields, 2);
	if (!reader->nomem && metric->unit[0] == '\0') {
		free(metric->unit);
		metric->unit = manifest_copy(reader, "count");
	}
	if (!reader->nomem && metric->label[0] == '\0') {
		free(metric->label);
		metric->label = manifest_copy(reader, metric->name);
	}
}
