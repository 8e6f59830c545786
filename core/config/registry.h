/* SPDX-License-Identifier: MIT */
/*
 * Where plugins are found. Order: PROFCORE_PLUGIN_PATH (colon list), the build tree beside the program, the installed
 * folder; the first of an id wins.
 *
 * Whom we trust. Code of a plugin runs with what profcore may do, so with privileges (effective user root, or AT_SECURE:
 * set-user-id or file capabilities) nobody else may be able to put that code there:
 * - paths are made canonical first (no symlinks, no ..), checked from / down, and opened and reported in that form;
 * - every folder and the file belong to root, to the effective user, or to the owner of the running program (who could
 *   replace the program itself); under AT_SECURE to root alone;
 * - nothing is writable by group or others, except that a folder on the way may be when it is sticky, as /tmp is: there only
 *   the owner of an entry can replace it, and the owner of the next entry is checked. A folder that is searched may not
 *   even be that, for in it anybody could add files;
 * - under AT_SECURE, PROFCORE_PLUGIN_PATH and `use = PATH` are refused altogether.
 * Without privileges a plugin can do no more than who started it, so nothing is checked.
 */
#ifndef CORE_CONFIG_REGISTRY_H
#define CORE_CONFIG_REGISTRY_H

#include <sys/types.h>

#include "config/manifest.h"

struct registry;

/** Who may own a plugin. privileged: whether anything is checked at all; count: how many of uids are set. */
struct registry_trust {
	bool privileged;
	uid_t uids[3];
	size_t count;
};

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

/** The folders that registry_open searched, in order; NULL beyond the last. */
const char *registry_folder_at(const struct registry *registry, size_t index);

/** The rule for this process. */
void registry_trust_init(struct registry_trust *ret);

/**
 * Judge a canonical path by the rule above. is_searched: the path is a folder whose files are to be listed.
 * Returns 0; PFC_EPERM with the command that mends it as the hint; the errno of a failed stat.
 */
int registry_trust_check(const struct registry_trust *trust, const char *path, bool is_searched,
			 struct pfc_error *err);

void registry_close(struct registry *registry);

#endif
