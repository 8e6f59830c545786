/* SPDX-License-Identifier: MIT */
/* What stored runs hold: their artifacts, read from their manifest.json, for replay and for input.PORT = RUN:stage.port. */
#ifndef CORE_PLAN_STORED_H
#define CORE_PLAN_STORED_H

#include "plan/plan.h"

/**
 * Find a run: a folder with a manifest.json, or a run id (or "latest") below `output`. The caller frees *ret_folder.
 * Returns 0; PFC_ENOENT, with the newest runs in the hint.
 */
int stored_find_run(const char *run, const char *output, char **ret_folder, struct pfc_error *err);

/** The manifest.json of a run folder, checked to be an object of a format we know. The caller owns it. */
int stored_manifest(const char *folder, json_t **ret, struct pfc_error *err);

/** Open a plain file of a stored run for reading: below its folder, through no link. */
int stored_open(const char *folder, const char *path, int *ret_fd, struct pfc_error *err);

/**
 * The artifacts of a stored run that still have data, of drivers and collectors only or of all stages. `run` is the name to
 * remember (as it stands in the config). PFC_ECORRUPT when a name or a path in its manifest is none of ours.
 */
int stored_from_run(const char *folder, const char *run, bool measuring_only, struct plan_stored **ret,
		    struct pfc_error *err);

/** Add the artifacts of all runs that `input.PORT = RUN:stage.port` name. Faults of the user go to diags. */
int stored_from_config(const struct config *config, const char *output, struct diag_list *diags,
		       struct plan_stored **list, struct pfc_error *err);

#endif
