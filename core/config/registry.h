/* SPDX-License-Identifier: MIT */
/*
 * Where plugins are found. Order: PROFCORE_PLUGIN_PATH (colon list), the build tree beside the program, the installed
 * folder; the first of an id wins. With privileges only folders owned by root (or by the user that built the tree we run
 * from, when that is who runs it) and writable by nobody else count; under AT_SECURE the environment is refused.
 */
#ifndef CORE_CONFIG_REGISTRY_H
#define CORE_CONFIG_REGISTRY_H

#include "config/manifest.h"

struct registry;

/** A file that was found and cannot be used, and why. */
struct registry_reject {
	char *path;
	struct pfc_error error;
};

/** Scan the search path. Bad files are kept as rejects and are no failure. */
int registry_open(struct registry **ret, struct pfc_error *err);

/** All plugins, ordered by id. */
size_t registry_count(const struct registry *registry);
const struct manifest *registry_at(const struct registry *registry, size_t index);

/** By id; NULL when there is none. */
const struct manifest *registry_find(const struct registry *registry, const char *id);

/**
 * By what `use =` holds: an id, or a path (it has a slash) to a .so, which is read now and kept. Errors have a hint:
 * did you mean, or which folders were searched, or why a file of that name was rejected.
 */
int registry_use(struct registry *registry, const char *use, const struct manifest **ret, struct pfc_error *err);

size_t registry_reject_count(const struct registry *registry);
const struct registry_reject *registry_reject_at(const struct registry *registry, size_t index);

void registry_close(struct registry *registry);

#endif
