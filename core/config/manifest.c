/* SPDX-License-Identifier: MIT */
/* The manifest as data: look-ups, names, end of life. It is made by manifest_parse.c, out of a file by manifest_elf.c. */
#include "config/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static void free_words(char **words)
{
	for (char **word = words; word != NULL && *word != NULL; word++) {
		free(*word);
	}
	free(words);
}

static void free_port(struct manifest_port *port)
{
	free(port->name);
	free(port->type);
	free(port->summary);
	free_words(port->needs);
	free(port->signal);
	free(port->file);
	free(port->link);
	free(port->when);
}

static void free_option(struct manifest_option *option)
{
	free(option->name);
	free(option->default_text);
	free(option->unit);
	free(option->help);
	free_words(option->values);
}

void manifest_destroy(struct manifest *manifest)
{
	if (manifest == NULL) {
		return;
	}
	for (size_t i = 0; i < manifest->port_count; i++) {
		free_port(&manifest->ports[i]);
	}
	for (size_t i = 0; i < manifest->option_count; i++) {
		free_option(&manifest->options[i]);
	}
	for (size_t i = 0; i < manifest->metric_count; i++) {
		free(manifest->metrics[i].name);
		free(manifest->metrics[i].unit);
		free(manifest->metrics[i].label);
	}
	free(manifest->ports);
	free(manifest->options);
	free(manifest->metrics);
	free(manifest->path);
	free(manifest->id);
	free(manifest->version);
	free(manifest->summary);
	free(manifest->perturbs_when);
	free(manifest->text);
	free(manifest);
}

const struct manifest_port *manifest_port(const struct manifest *manifest, const char *name, bool is_output)
{
	for (size_t i = 0; i < manifest->port_count; i++) {
		if (manifest->ports[i].is_output == is_output && str_equal(manifest->ports[i].name, name)) {
			return &manifest->ports[i];
		}
	}
	return NULL;
}

const struct manifest_option *manifest_option(const struct manifest *manifest, const char *name)
{
	for (size_t i = 0; i < manifest->option_count; i++) {
		if (str_equal(manifest->options[i].name, name)) {
			return &manifest->options[i];
		}
	}
	return NULL;
}

const struct manifest_option *manifest_perturbs_option(const struct manifest *manifest, const char **ret_value)
{
	const char *equals = manifest->perturbs_when != NULL ? strchr(manifest->perturbs_when, '=') : NULL;
	size_t bytes;

	if (equals == NULL) {
		return NULL;
	}
	for (bytes = (size_t)(equals - manifest->perturbs_when); bytes > 0 && equals[-1] == ' '; bytes--) {
		equals--;
	}
	for (size_t i = 0; i < manifest->option_count; i++) {
		if (strlen(manifest->options[i].name) == bytes &&
		    strncmp(manifest->options[i].name, manifest->perturbs_when, bytes) == 0) {
			equals = strchr(equals, '=') + 1;
			*ret_value = equals + strspn(equals, " \t");
			return &manifest->options[i];
		}
	}
	return NULL;
}

const char *manifest_kind_name(enum plugin_kind kind)
{
	static const char *const names[] = { "?", "driver", "collector", "transform", "reporter" };

	return (size_t)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : names[0];
}

const char *manifest_multiplicity_name(enum port_multiplicity multiplicity)
{
	static const char *const names[] = { "?", "one", "optional", "many", "each" };

	return (size_t)multiplicity < sizeof(names) / sizeof(names[0]) ? names[multiplicity] : names[0];
}

char *manifest_privilege_names(uint32_t privileges, char *to, size_t to_bytes)
{
	static const char *const names[] = { "perf", "bpf", "ptrace", "target-files", "network", "uprobe" };
	size_t at = 0;

	snprintf(to, to_bytes, "none");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((privileges & (1u << i)) != 0 && at < to_bytes) {
			at += (size_t)snprintf(to + at, to_bytes - at, "%s%s", at > 0 ? ", " : "", names[i]);
		}
	}
	return to;
}
