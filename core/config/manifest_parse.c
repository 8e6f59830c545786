/* SPDX-License-Identifier: MIT */
/* A manifest's text to struct manifest. Collects all faults of the text before it gives up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/manifest_reader.h"

/* Append a zeroed element to a counted array that starts with its name; NULL beyond the limit or without memory. */
static void *append(struct manifest_reader *reader, const struct ini_section *section, void **array,
		    size_t *count, size_t element_bytes, size_t max, const char *name)
{
	char *items;

	if (*count >= max) {
		manifest_fault(reader, section->line, "[%s]: more than %zu of them", section->name, max);
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
	*(char **)items = manifest_copy(reader, name);
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

static void read_named(struct manifest_reader *reader, const struct ini_section *section, const char *word,
		       const char *name)
{
	struct manifest *manifest = reader->manifest;
	void *item;

	if (!manifest_is_name(name)) {
		manifest_fault(reader, section->line,
			       "[%s]: names have lower-case letters, digits, - and _, at most %d",
			       section->name, MANIFEST_NAME_MAX);
	} else if (is_taken(manifest, word, name)) {
		manifest_fault(reader, section->line, "[%s] a second time", section->name);
	} else if (str_equal(word, "input") || str_equal(word, "output")) {
		void *ports = manifest->ports;

		item = append(reader, section, &ports, &manifest->port_count, sizeof(*manifest->ports),
			      MANIFEST_PORTS_MAX, name);
		manifest->ports = ports;
		if (item != NULL && str_equal(word, "input")) {
			manifest_read_input(reader, section, item);
		} else if (item != NULL) {
			manifest_read_output(reader, section, item);
		}
	} else if (str_equal(word, "option")) {
		void *options = manifest->options;

		item = append(reader, section, &options, &manifest->option_count, sizeof(*manifest->options),
			      MANIFEST_OPTIONS_MAX, name);
		manifest->options = options;
		if (item != NULL) {
			manifest_read_option(reader, section, item);
		}
	} else {
		void *metrics = manifest->metrics;

		item = append(reader, section, &metrics, &manifest->metric_count, sizeof(*manifest->metrics),
			      MANIFEST_METRICS_MAX, name);
		manifest->metrics = metrics;
		if (item != NULL) {
			manifest_read_metric(reader, section, item);
		}
	}
}

static bool is_reserved_option(const char *name)
{
	return str_equal(name, "use") || str_equal(name, "enabled") || str_equal(name, "on_failure");
}

static void read_section(struct manifest_reader *reader, const struct ini_section *section)
{
	static const char *const words[] = { "plugin", "input", "output", "option", "metric" };
	const char *space = strpbrk(section->name, " \t");
	const char *name = space != NULL ? space + strspn(space, " \t") : "";
	char word[INI_NAME_MAX + 1];
	const char *near;

	snprintf(word, sizeof(word), "%.*s", space != NULL ? (int)(space - section->name) : INI_NAME_MAX,
		 section->name);
	if (str_equal(word, "plugin") && name[0] == '\0') {
		manifest_read_plugin(reader, section);
		return;
	}
	for (size_t i = 1; i < 5; i++) {
		if (!str_equal(word, words[i])) {
			continue;
		}
		if (i == 3 && is_reserved_option(name)) {
			manifest_fault(reader, section->line,
				       "[%s]: this name is a key of every stage, choose another",
				       section->name);
			return;
		}
		read_named(reader, section, word, name);
		return;
	}
	near = str_nearest(word, words, 5);
	if (near != NULL) {
		manifest_fault(reader, section->line, "unknown section [%s]; did you mean [%s%s%s]?",
			       section->name, near, name[0] != '\0' ? " " : "", name);
	} else {
		manifest_fault(reader, section->line,
			       "unknown section [%s]; there are [plugin], [input NAME], [output NAME], "
			       "[option NAME], "
			       "[metric NAME]",
			       section->name);
	}
}

/* What `when` of an output names may stand below it: looked up once all is read. */
static void check_when(struct manifest_reader *reader, const struct ini_section *section)
{
	const struct manifest *manifest = reader->manifest;
	const struct manifest_port *output = NULL;
	const struct manifest_port *input;

	if (str_starts(section->name, "output")) {
		const char *name = section->name + strlen("output");

		output = manifest_port(manifest, name + strspn(name, " \t"), true);
	}
	if (output == NULL || output->when[0] == '\0') {
		return;
	}
	input = manifest_port(manifest, output->when, false);
	if (input == NULL || input->multiplicity != PORT_EACH) {
		manifest_fault(reader, manifest_line_of(section, "when"),
			       "when = %s: name an input of this plugin with multiplicity = each", output->when);
	}
}

/* What perturbs_when names must be an option. */
static void check_perturbs(struct manifest_reader *reader, const struct ini_section *section)
{
	const struct manifest *manifest = reader->manifest;
	const char *value;

	if (strcmp(section->name, "plugin") == 0 && manifest->perturbs_when != NULL && manifest->perturbs_when[0] != '\0' &&
	    manifest_perturbs_option(manifest, &value) == NULL) {
		manifest_fault(reader, manifest_line_of(section, "perturbs_when"),
			       "perturbs_when = %s: write OPTION = VALUE, with an option of this plugin", manifest->perturbs_when);
	}
}

int manifest_parse(const char *text, size_t bytes, const char *path, struct manifest **ret,
		   struct pfc_error *err)
{
	const char *slash = strrchr(path, '/');
	struct manifest_reader reader = { .file = slash != NULL ? slash + 1 : path,
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
		manifest_fault(&reader, bad->line, "%s", bad->text);
	}
	if (ini_section_find(&doc, "plugin") == NULL) {
		manifest_fault(&reader, 1, "no [plugin] section");
	}
	for (const struct ini_section *section = doc.sections; section != NULL && !reader.nomem;
	     section = section->next) {
		read_section(&reader, section);
	}
	for (const struct ini_section *section = doc.sections; section != NULL && !reader.nomem;
	     section = section->next) {
		check_when(&reader, section);
		check_perturbs(&reader, section);
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
