/* SPDX-License-Identifier: MIT */
/* How the sources of a config (file, environment, --set) put values into it. Internal to core/config. */
#ifndef CORE_CONFIG_MODEL_H
#define CORE_CONFIG_MODEL_H

#include "config/config.h"

/** The longest name of a stage: it becomes part of file names. */
#define CONFIG_NAME_MAX 40

/** A copy of a file's name that lives as long as the config; NULL when memory ran out. */
const char *config_intern(struct config *config, const char *name);

/** Find or append a section; NULL when memory ran out. */
struct config_section *config_section_add(struct config *config, const char *kind, const char *name,
					  const struct origin *origin);

/**
 * Set a value; what was there becomes its `overridden`. origin->file must live as long as the config (config_intern).
 * Returns 0 or PFC_ENOMEM, with section unchanged.
 */
int config_put(struct config_section *section, const char *key, const char *text, const struct origin *origin,
	       struct pfc_error *err);

/** Read path and what it includes into config; faults of the texts go to diags. */
int config_file_load(struct config *config, const char *path, struct diag_list *diags, struct pfc_error *err);

/** Apply PROFCORE__SECTION__KEY=value of environ (NULL-terminated). */
int config_environment_apply(struct config *config, char *const *environ_list, struct diag_list *diags,
			     struct pfc_error *err);

/** Apply "SECTION.key=value" of --set. */
int config_set_apply(struct config *config, const char *set, struct diag_list *diags, struct pfc_error *err);

/** Whether two names are the same but for case and for - and _. */
bool config_names_alike(const char *a, size_t a_bytes, const char *b);

#endif
