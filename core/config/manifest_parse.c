/* SPDX-License-Identifier: MIT */
/* A manifest's text to struct manifest. Collects all faults of the text before it gives up. */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/ini.h"
#include "base/str.h"
#include "config/manifest.h"
#include "config/options.h"

#define NAME_MAX_BYTES 40
#define WORDS_MAX      64

struct reader {
	const char *file; /* base name of the path, for "x.so:12: ..." */
	struct manifest *manifest;
	struct str faults;
	bool nomem;
};

/* One key of a section: where its text goes. */
struct field {
	const char *key;
	char **to;
	bool required;
};

static void fault(struct reader *reader, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void fault(struct reader *reader, int line, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	str_format(&reader->faults, "%s%s:%d: %s", reader->faults.bytes > 0 ? "; " : "", reader->file, line,
		   text);
}

static bool is_name(const char *text)
{
	if (!isalnum((unsigned char)text[0]) || strlen(text) > NAME_MAX_BYTES) {
		return false;
	}
	for (; *text != '\0'; text++) {
		if (!islower((unsigned char)*text) && !isdigit((unsigned char)*text) && *text != '-' &&
		    *text != '_') {
			return false;
		}
	}
	return true;
}

static char *copy(struct reader *reader, const char *text)
{
	char *to = strdup(text);

	reader->nomem |= to == NULL;
	return to;
}

/* Copy the texts of a section to its fields; unknown keys and missing ones are faults. All fields end up non-NULL. */
static void read_fields(struct reader *reader, const struct ini_section *section, const struct field *fields,
			size_t count)
{
	const char *names[16];

	for (size_t i = 0; i < count; i++) {
		const struct ini_entry *entry = ini_entry_find(section, fields[i].key);

		names[i] = fields[i].key;
		*fields[i].to = copy(reader, entry != NULL ? entry->value : "");
		if (fields[i].required && (entry == NULL || entry->value[0] == '\0')) {
			fault(reader, section->line, "[%s] lacks the key %s", section->name, fields[i].key);
		}
	}
	for (const struct ini_entry *entry = section->entries; entry != NULL; entry = entry->next) {
		size_t i = 0;

		while (i < count && !str_equal(names[i], entry->key)) {
			i++;
		}
		if (i == count) {
			const char *near = str_nearest(entry->key, names, count);

			fault(reader, entry->line, "unknown key \"%s\" in [%s]%s%s%s", entry->key,
			      section->name, near != NULL ? "; did you mean \"" : "",
			      near != NULL ? near : "", near != NULL ? "\"?" : "");
		}
	}
}

static int line_of(const struct ini_section *section, const char *key)
{
	const struct ini_entry *entry = ini_entry_find(section, key);

	return entry != NULL ? entry->line : section->line;
}

static bool read_yes(struct reader *reader, const struct ini_section *section, const char *key,
		     const char *text)
{
	if (!str_equal(text, "yes") && !str_equal(text, "no") && text[0] != '\0') {
		fault(reader, line_of(section, key), "%s = %s: is neither yes nor no", key, text);
	}
	return str_equal(text, "yes");
}

/* Position of a word in a list, with did-you-mean when it is not there: -1. */
static int read_word(struct reader *reader, int line, const char *key, const char *text,
		     const char *const *words, size_t count)
{
	struct str known = { 0 };
	const char *near;

	for (size_t i = 0; i < count; i++) {
		if (str_equal(text, words[i])) {
			str_finish(&known);
			return (int)i;
		}
		str_format(&known, "%s%s", i > 0 ? ", " : "", words[i]);
	}
	near = str_nearest(text, words, count);
	if (near != NULL) {
		fault(reader, line, "%s = %s: is none of %s; did you mean \"%s\"?", key, text,
		      str_text(&known), near);
	} else {
		fault(reader, line, "%s = %s: is none of %s", key, text, str_text(&known));
	}
	str_finish(&known);
	return -1;
}

/* A comma list to words, NULL-terminated; never NULL unless memory ran out. */
static char **read_words(struct reader *reader, int line, const char *key, const char *text)
{
	char **words = calloc(WORDS_MAX + 1, sizeof(*words));
	size_t count = 0;

	if (words == NULL) {
		reader->nomem = true;
		return NULL;
	}
	while (*text != '\0') {
		size_t bytes;

		text += strspn(text, " \t");
		bytes = strcspn(text, ",");
		while (bytes > 0 && (text[bytes - 1] == ' ' || text[bytes - 1] == '\t')) {
			bytes--;
		}
		if (bytes == 0 || count == WORDS_MAX) {
			fault(reader, line, "%s: %s", key,
			      bytes == 0 ? "empty item in the list" : "more than 64 items");
			break;
		}
		words[count] = strndup(text, bytes);
		reader->nomem |= words[count] == NULL;
		count += words[count] != NULL;
		text += strcspn(text, ",");
		text += *text == ',';
	}
	return words;
}

static uint32_t read_privileges(struct reader *reader, const struct ini_section *section, const char *text)
{
	static const char *const names[] = { "none", "perf", "bpf", "ptrace", "target-files", "network" };
	int line = line_of(section, "privileges");
	char **words = read_words(reader, line, "privileges", text);
	uint32_t bits = 0;

	for (char **word = words; word != NULL && *word != NULL; word++) {
		int index =
			read_word(reader, line, "privileges", *word, names, sizeof(names) / sizeof(names[0]));

		bits |= index > 0 ? 1u << (index - 1) : 0;
		free(*word);
	}
	free(words);
	return bits;
}

static void read_plugin(struct reader *reader, const struct ini_section *section)
{
	static const char *const kinds[] = { "driver", "collector", "transform", "reporter" };
	struct manifest *manifest = reader->manifest;
	char *kind = NULL;
	char *privileges = NULL;
	char *perturbs = NULL;
	const struct field fields[] = {
		{ "id", &manifest->id, true },
		{ "version", &manifest->version, true },
		{ "kind", &kind, true },
		{ "summary", &manifest->summary, true },
		{ "privileges", &privileges, true },
		{ "perturbs", &perturbs, false },
	};

	read_fields(reader, section, fields, sizeof(fields) / sizeof(fields[0]));
	if (!reader->nomem) {
		if (manifest->id[0] != '\0' && !is_name(manifest->id)) {
			fault(reader, line_of(section, "id"),
			      "id = %s: use lower-case letters, digits, - and _, at most %d", manifest->id,
			      NAME_MAX_BYTES);
		}
		if (kind[0] != '\0') {
			manifest->kind = (enum plugin_kind)(
				read_word(reader, line_of(section, "kind"), "kind", kind, kinds, 4) + 1);
		}
		manifest->privileges = read_privileges(reader, section, privileges);
		manifest->perturbs = read_yes(reader, section, "perturbs", perturbs);
	}
	free(kind);
	free(privileges);
	free(perturbs);
}

/* "namespace.noun/MAJOR" or a media type: one slash, printable, something on both sides. */
static void check_type(struct reader *reader, const struct ini_section *section, const char *type)
{
	const char *slash = strchr(type, '/');

	for (const char *at = type; *at != '\0'; at++) {
		if (!isgraph((unsigned char)*at)) {
			slash = NULL;
		}
	}
	if (type[0] != '\0' &&
	    (slash == NULL || slash == type || slash[1] == '\0' || strchr(slash + 1, '/') != NULL)) {
		fault(reader, line_of(section, "type"),
		      "type = %s: write a type such as profcore.stacks/1, or a media type such as text/plain",
		      type);
	}
}

/* A file's name within the run folder: no path, no hidden file, known placeholders. */
static void check_file(struct reader *reader, const struct ini_section *section, const char *key,
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
		fault(reader, line_of(section, key),
		      "%s = %s: a plain file name of letters, digits, . - _ + with {signal}, {stage}%s", key,
		      name, str_equal(key, "link") ? ", {run}" : "");
	}
}

static void check_needs(struct reader *reader, const struct ini_section *section, char *const *needs)
{
	for (; needs != NULL && *needs != NULL; needs++) {
		const char *dot = strchr(*needs, '.');

		if (dot == NULL || dot == *needs || dot[1] == '\0' || strchr(dot + 1, '.') != NULL) {
			fault(reader, line_of(section, "needs"), "needs = %s: write table.column", *needs);
		}
	}
}

static void read_input(struct reader *reader, const struct ini_section *section, struct manifest_port *port)
{
	static const char *const words[] = { "one", "optional", "many", "each" };
	char *multiplicity = NULL;
	char *optional = NULL;
	char *needs = NULL;
	const struct field fields[] = {
		{ "type", &port->type, true },      { "multiplicity", &multiplicity, false },
		{ "optional", &optional, false },   { "needs", &needs, false },
		{ "signal", &port->signal, false }, { "summary", &port->summary, false },
	};

	read_fields(reader, section, fields, sizeof(fields) / sizeof(fields[0]));
	port->file = copy(reader, "");
	port->link = copy(reader, "");
	if (!reader->nomem) {
		int index = multiplicity[0] == '\0' ? 0
						    : read_word(reader, line_of(section, "multiplicity"),
								"multiplicity", multiplicity, words, 4);

		port->multiplicity = (enum port_multiplicity)(index + 1);
		port->optional = read_yes(reader, section, "optional", optional) ||
				 port->multiplicity == PORT_OPTIONAL;
		port->needs = read_words(reader, line_of(section, "needs"), "needs", needs);
		check_type(reader, section, port->type);
		check_needs(reader, section, port->needs);
		if (port->multiplicity == PORT_ONE && port->optional) {
			fault(reader, line_of(section, "optional"),
			      "optional = yes: write multiplicity = optional");
		}
	}
	free(multiplicity);
	free(optional);
	free(needs);
}

static void read_output(struct reader *reader, const struct ini_section *section, struct manifest_port *port)
{
	const struct field fields[] = {
		{ "type", &port->type, true },        { "signal", &port->signal, false },
		{ "summary", &port->summary, false }, { "file", &port->file, false },
		{ "link", &port->link, false },
	};

	port->is_output = true;
	read_fields(reader, section, fields, sizeof(fields) / sizeof(fields[0]));
	port->needs = read_words(reader, section->line, "needs", "");
	if (reader->nomem) {
		return;
	}
	check_type(reader, section, port->type);
	check_file(reader, section, "file", port->file);
	check_file(reader, section, "link", port->link);
	if (port->signal[0] != '\0' && !is_name(port->signal)) {
		fault(reader, line_of(section, "signal"),
		      "signal = %s: use lower-case letters, digits, - and _", port->signal);
	}
}

static void read_limit(struct reader *reader, const struct ini_section *section,
		       struct manifest_option *option, const char *key, const char *text, bool *ret_has,
		       double *ret)
{
	/* Read as a value of the type itself, with no limits and no default. */
	struct manifest_option bare = {
		.name = option->name, .type = option->type, .default_text = (char *)"", .unit = (char *)""
	};
	struct option_value value;
	struct pfc_error why;

	if (text[0] == '\0') {
		return;
	}
	if (option->type != PFC_VALUE_INT && option->type != PFC_VALUE_FLOAT &&
	    option->type != PFC_VALUE_DURATION && option->type != PFC_VALUE_SIZE) {
		fault(reader, line_of(section, key), "%s: an option of type %s has no limits", key,
		      option_type_name(option->type));
		return;
	}
	if (option_parse(&bare, text, &value, &why) < 0) {
		fault(reader, line_of(section, key), "%s = %s: %s", key, text, why.why);
		return;
	}
	*ret_has = true;
	*ret = value.value.real;
	option_value_finish(&value);
}

static void check_default(struct reader *reader, const struct ini_section *section,
			  const struct manifest_option *option)
{
	struct option_value value;
	struct pfc_error why;
	int rc;

	if (option->type == PFC_VALUE_ENUM && option->values[0] == NULL) {
		fault(reader, section->line, "[%s] lacks the key values", section->name);
		return;
	}
	if (option->type != PFC_VALUE_ENUM && option->values[0] != NULL) {
		fault(reader, line_of(section, "values"), "values: only an option of type enum has them");
	}
	if (option->has_min && option->has_max && option->min > option->max) {
		fault(reader, line_of(section, "min"), "min is above max");
		return;
	}
	rc = option_parse(option, option->default_text, &value, &why);
	if (rc == PFC_ENOMEM) {
		reader->nomem = true;
	} else if (rc < 0) {
		fault(reader, line_of(section, "default"), "default = %s: %s", option->default_text, why.why);
	} else {
		option_value_finish(&value);
	}
}

static void read_option(struct reader *reader, const struct ini_section *section,
			struct manifest_option *option)
{
	static const char *const types[] = { "int",  "float",    "bool", "string",
					     "enum", "duration", "size", "list" };
	char *type = NULL;
	char *min = NULL;
	char *max = NULL;
	char *values = NULL;
	const struct field fields[] = {
		{ "type", &type, true },         { "default", &option->default_text, false },
		{ "min", &min, false },          { "max", &max, false },
		{ "values", &values, false },    { "unit", &option->unit, false },
		{ "help", &option->help, true },
	};

	read_fields(reader, section, fields, sizeof(fields) / sizeof(fields[0]));
	if (!reader->nomem) {
		option->values = read_words(reader, line_of(section, "values"), "values", values);
		option->type = option_type_of(type);
		if (type[0] != '\0' && option->type == 0) {
			read_word(reader, line_of(section, "type"), "type", type, types, 8);
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

static void read_metric(struct reader *reader, const struct ini_section *section,
			struct manifest_metric *metric)
{
	const struct field fields[] = { { "unit", &metric->unit, false },
					{ "label", &metric->label, false } };

	read_fields(reader, section, fields, 2);
	if (!reader->nomem && metric->unit[0] == '\0') {
		free(metric->unit);
		metric->unit = copy(reader, "count");
	}
	if (!reader->nomem && metric->label[0] == '\0') {
		free(metric->label);
		metric->label = copy(reader, metric->name);
	}
}

/* Append a zeroed element to a counted array that starts with its name; NULL beyond the limit or without memory. */
static void *append(struct reader *reader, const struct ini_section *section, void **array, size_t *count,
		    size_t element_bytes, size_t max, const char *name)
{
	char *items;

	if (*count >= max) {
		fault(reader, section->line, "[%s]: more than %zu of them", section->name, max);
		return NULL;
	}
	items = realloc(*array, (*count + 1) * element_bytes);
	if (items == NULL) {
		reader->nomem = true;
		return NULL;
	}
	*array = items;
	items += *count * element_bytes;
	memset(items, 0, element_bytes);
	++*count;
	*(char **)items = copy(reader, name);
	return items;
}

/* The spaces of "[input  x]" may differ, so that the INI reader sees two sections. */
static bool is_taken(const struct manifest *manifest, const char *word, const char *name)
{
	for (size_t i = 0; i < manifest->metric_count && str_equal(word, "metric"); i++) {
		if (str_equal(manifest->metrics[i].name, name)) {
			return true;
		}
	}
	return (str_equal(word, "option") && manifest_option(manifest, name) != NULL) ||
	       (str_equal(word, "input") && manifest_port(manifest, name, false) != NULL) ||
	       (str_equal(word, "output") && manifest_port(manifest, name, true) != NULL);
}

static void read_named(struct reader *reader, const struct ini_section *section, const char *word,
		       const char *name)
{
	struct manifest *manifest = reader->manifest;
	void *item;

	if (!is_name(name)) {
		fault(reader, section->line,
		      "[%s]: names have lower-case letters, digits, - and _, at most %d", section->name,
		      NAME_MAX_BYTES);
	} else if (is_taken(manifest, word, name)) {
		fault(reader, section->line, "[%s] a second time", section->name);
	} else if (str_equal(word, "input") || str_equal(word, "output")) {
		void *ports = manifest->ports;

		item = append(reader, section, &ports, &manifest->port_count, sizeof(*manifest->ports),
			      MANIFEST_PORTS_MAX, name);
		manifest->ports = ports;
		if (item != NULL && str_equal(word, "input")) {
			read_input(reader, section, item);
		} else if (item != NULL) {
			read_output(reader, section, item);
		}
	} else if (str_equal(word, "option")) {
		void *options = manifest->options;

		item = append(reader, section, &options, &manifest->option_count, sizeof(*manifest->options),
			      MANIFEST_OPTIONS_MAX, name);
		manifest->options = options;
		if (item != NULL) {
			read_option(reader, section, item);
		}
	} else {
		void *metrics = manifest->metrics;

		item = append(reader, section, &metrics, &manifest->metric_count, sizeof(*manifest->metrics),
			      MANIFEST_METRICS_MAX, name);
		manifest->metrics = metrics;
		if (item != NULL) {
			read_metric(reader, section, item);
		}
	}
}

static bool is_reserved_option(const char *name)
{
	return str_equal(name, "use") || str_equal(name, "enabled") || str_equal(name, "on_failure");
}

static void read_section(struct reader *reader, const struct ini_section *section)
{
	static const char *const words[] = { "plugin", "input", "output", "option", "metric" };
	const char *space = strpbrk(section->name, " \t");
	const char *name = space != NULL ? space + strspn(space, " \t") : "";
	char word[INI_NAME_MAX + 1];
	const char *near;

	snprintf(word, sizeof(word), "%.*s", space != NULL ? (int)(space - section->name) : INI_NAME_MAX,
		 section->name);
	if (str_equal(word, "plugin") && name[0] == '\0') {
		read_plugin(reader, section);
		return;
	}
	for (size_t i = 1; i < 5; i++) {
		if (!str_equal(word, words[i])) {
			continue;
		}
		if (i == 3 && is_reserved_option(name)) {
			fault(reader, section->line,
			      "[%s]: this name is a key of every stage, choose another", section->name);
			return;
		}
		read_named(reader, section, word, name);
		return;
	}
	near = str_nearest(word, words, 5);
	if (near != NULL) {
		fault(reader, section->line, "unknown section [%s]; did you mean [%s%s%s]?", section->name,
		      near, name[0] != '\0' ? " " : "", name);
	} else {
		fault(reader, section->line,
		      "unknown section [%s]; there are [plugin], [input NAME], [output NAME], [option NAME], "
		      "[metric NAME]",
		      section->name);
	}
}

int manifest_parse(const char *text, size_t bytes, const char *path, struct manifest **ret,
		   struct pfc_error *err)
{
	const char *slash = strrchr(path, '/');
	struct reader reader = { .file = slash != NULL ? slash + 1 : path,
				 .manifest = calloc(1, sizeof(struct manifest)) };
	struct manifest *manifest = reader.manifest;
	struct ini_doc doc = { 0 };
	int rc = 0;

	/* PFC_MANIFEST ends the text with a zero byte. */
	while (bytes > 0 && text[bytes - 1] == '\0') {
		bytes--;
	}
	if (manifest == NULL || (manifest->path = strdup(path)) == NULL ||
	    (manifest->text = strndup(text, bytes)) == NULL) {
		rc = error_nomem(err);
		goto out;
	}
	rc = ini_doc_parse(text, bytes, &doc, err);
	if (rc < 0) {
		goto out;
	}
	for (const struct ini_fault *bad = doc.faults; bad != NULL; bad = bad->next) {
		fault(&reader, bad->line, "%s", bad->text);
	}
	if (ini_section_find(&doc, "plugin") == NULL) {
		fault(&reader, 1, "no [plugin] section");
	}
	for (const struct ini_section *section = doc.sections; section != NULL && !reader.nomem;
	     section = section->next) {
		read_section(&reader, section);
	}
	if (reader.nomem || reader.faults.failed) {
		rc = error_nomem(err);
	} else if (reader.faults.bytes > 0) {
		rc = error_set(err, PFC_EINVAL, str_text(&reader.faults), "manifest of %s", path);
	}
out:
	ini_doc_finish(&doc);
	str_finish(&reader.faults);
	if (rc < 0) {
		manifest_destroy(manifest);
		return rc;
	}
	*ret = manifest;
	return 0;
}
