/* SPDX-License-Identifier: MIT */
/*
 * The configuration: INI files, includes, environment and --set merged into sections of values that know where they come
 * from. This layer knows syntax, not plugins; options.h gives values their types.
 *
 * Precedence: manifest default < included file < file < environment PROFCORE__SECTION__KEY < --set SECTION.key=value.
 */
#ifndef CORE_CONFIG_CONFIG_H
#define CORE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "config/diag.h"

/** Where a value comes from. */
struct origin {
	const char *file; /* path as given; "environment", "--set", "command line", "default" otherwise */
	int line;         /* 1-based; 0 when not a file */
};

struct config_value {
	char *key;
	char *text;
	struct origin origin;
	struct config_value *overridden; /* what it replaced, for --explain; may be NULL */
	struct config_value *next;
};

/** One section. kind "run", "target", "plugin", "recipe"; name is the stage's name for "plugin", else "". */
struct config_section {
	char *kind;
	char *name;
	struct origin origin;
	struct config_value *values; /* in order of appearance */
	struct config_section *next;
};

struct config {
	char *path; /* the file, "" when none */
	struct config_section *sections; /* in order of appearance */
	char **files;   /* names that origins point to */
	size_t file_count;
};

/**
 * Load a file (NULL or "" for none; with run.include followed: paths relative to the including file, at most 8 deep), then the environment, then sets ("stage.key=value"; "run.duration=5s"). All faults go
 * to diags, never only the first; returns 0 even then (ask diag_errors). Fails only when memory runs out.
 *
 * run.include itself is not kept: what it brought is, with the included file as origin. run.name is always there: the base
 * name of the file, origin "default", when nobody set it. Under AT_SECURE the environment is ignored, with a warning.
 */
int config_load(const char *path, const char *const *sets, size_t set_count, struct diag_list *diags,
		struct config **ret, struct pfc_error *err);

/** By kind, and by name for "plugin" (NULL: the first). NULL when there is none. */
struct config_section *config_section(const struct config *config, const char *kind, const char *name);
const struct config_value *config_value(const struct config_section *section, const char *key);

/** Set a value from code, e.g. a shorthand of the command line; origin_file is "command line". Adds the section if needed. */
int config_set(struct config *config, const char *kind, const char *name, const char *key, const char *text,
	       const char *origin_file, struct pfc_error *err);

/**
 * Judge what sections say as a whole, which single options cannot: one target and not two, `ready` beside `command` only, a
 * run name fit for a folder, the shorthands of [recipe]. Call it once, after the last config_set.
 */
void config_check(const struct config *config, struct diag_list *diags);

void config_destroy(struct config *config);

/** Whether a word may name a stage: letters, digits, - and _, a letter or digit first, at most 40 bytes, not reserved. */
bool config_is_stage_name(const char *name);

/** How a section is called in messages: "[run]", "[plugin:perf-cpu]"; to is returned. */
char *config_section_title(const struct config_section *section, char *to, size_t to_bytes);

#endif
