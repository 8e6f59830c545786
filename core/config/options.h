/* SPDX-License-Identifier: MIT */
/*
 * Options: a config section's texts read against declared options (a manifest's, or the core's own for [run] and
 * [target]) into typed, range-checked values. Faults go to diags with did-you-mean.
 */
#ifndef CORE_CONFIG_OPTIONS_H
#define CORE_CONFIG_OPTIONS_H

#include <jansson.h>

#include "config/config.h"
#include "config/manifest.h"

/** One resolved option. */
struct option_value {
	const struct manifest_option *def; /* borrowed */
	struct pfc_value value; /* texts and items owned by this struct */
	char *text;             /* as written, or the default */
	char **items;           /* list: NULL-terminated */
	struct origin origin;   /* file "default" when nobody set it; strings borrowed from the config */
};

struct option_set {
	struct option_value *values;
	size_t count;
};

/**
 * Read a section (may be NULL: all defaults). Keys that start with one of `reserved` (NULL-terminated; a trailing dot
 * means prefix, as "input.") are skipped. Unknown keys, wrong types and values out of range become diags with
 * did-you-mean over option names and enum values.
 */
int options_resolve(const struct manifest_option *defs, size_t def_count, const struct config_section *section,
		    const char *const *reserved, struct diag_list *diags, struct option_set *ret,
		    struct pfc_error *err);

const struct option_value *options_get(const struct option_set *set, const char *name);
int64_t options_int(const struct option_set *set, const char *name);
const char *options_text(const struct option_set *set, const char *name);

void options_finish(struct option_set *set);

/** As a JSON array for the stage process: [{"name":..., "type": N, "integer":..., "real":..., "text":..., "items":[...], "set":0|1}]. */
json_t *options_to_json(const struct option_set *set);

/** The core's own options of [run] and [target]. */
const struct manifest_option *options_of_run(size_t *ret_count);
const struct manifest_option *options_of_target(size_t *ret_count);
/** Likewise of every stage: use, enabled, on_failure (input.PORT is not among them: it belongs to the plan). */
const struct manifest_option *options_of_stage(size_t *ret_count);

/** The keys of a stage that are not its plugin's: pass it as `reserved`. */
const char *const *options_stage_reserved(void);

/** Like options_resolve, but keys that are not declared are somebody else's: reads use, enabled, on_failure of a stage. */
int options_resolve_some(const struct manifest_option *defs, size_t def_count, const struct config_section *section,
			 struct diag_list *diags, struct option_set *ret, struct pfc_error *err);

/**
 * What one option can hold, without a section: *ret is filled, its texts owned by the caller (option_value_finish).
 * Returns 0; PFC_EINVAL with the reason in err->why ("is no duration, such as 30s or 250ms"); PFC_ENOMEM.
 */
int option_parse(const struct manifest_option *def, const char *text, struct option_value *ret, struct pfc_error *err);
void option_value_finish(struct option_value *value);

/** "int", "duration", ...; the type of a name, 0 when it is none. */
const char *option_type_name(enum pfc_value_type type);
enum pfc_value_type option_type_of(const char *name);

/** A limit or value in the type's own notation: "1ms", "64MiB", "997"; to is returned. */
char *option_format(enum pfc_value_type type, double number, char *to, size_t to_bytes);

/** "30s", "1.5h", "250ms", "10us", "7d"; a bare number is seconds. ns; -1 when it is no duration. */
int64_t option_parse_duration(const char *text);
/** "64MiB", "1GB", "512k" (KiB, MiB, GiB, TiB powers of 1024; kB, MB, GB powers of 1000; k, M, G powers of 1024); -1. */
int64_t option_parse_size(const char *text);

#endif
