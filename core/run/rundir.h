/* SPDX-License-Identifier: MIT */
/*
 * The folder of a run: profiling/<run-id>/ with artifacts/ and logs/, opened once and used by descriptor. Files are created
 * exclusively and never through a link; manifest.json is replaced atomically, so that it is valid at every instant.
 */
#ifndef CORE_RUN_RUNDIR_H
#define CORE_RUN_RUNDIR_H

#include <jansson.h>

#include "base/error.h"

/** The file that keeps room for the closing manifest. */
#define RUNDIR_RESERVE ".reserve"

struct rundir {
	char *id;     /* "20261123-150405-slow_endpoint" */
	char *path;   /* "profiling/20261123-150405-slow_endpoint" */
	char *output; /* "profiling" */
	int fd;
	int output_fd;
};

/** Create the folder below `output` (created too when it is not there). Names with odd characters are cleaned. */
int rundir_create(const char *output, const char *name, struct rundir **ret, struct pfc_error *err);

/** Create a folder with those above it; it may be there already. */
int rundir_make_folders(const char *path, struct pfc_error *err);

/** Create a file for an output, open for reading and writing. It stays within the folder, whatever the path says. */
int rundir_create_file(const struct rundir *dir, const char *path, int *ret_fd, struct pfc_error *err);

/** Open a plain file of the run for reading, likewise. */
int rundir_open_file(const struct rundir *dir, const char *path, int *ret_fd, struct pfc_error *err);

/** Replace a JSON file as one step: the old or the new text, never a part. */
int rundir_write_json(const struct rundir *dir, const char *path, const json_t *json, struct pfc_error *err);
int rundir_write_text(const struct rundir *dir, const char *path, const char *text, struct pfc_error *err);

/** Remove a file that came to nothing. */
void rundir_remove_file(const struct rundir *dir, const char *path);

/** profiling/<name> -> <run-id>/<path>; an older link of that name is replaced, anything else is left alone. */
int rundir_link(const struct rundir *dir, const char *name, const char *path, struct pfc_error *err);

/** profiling/latest -> <run-id>. */
int rundir_link_latest(const struct rundir *dir, struct pfc_error *err);

/** Remove a folder in which no run began: what rundir_create made, and the reserve. */
void rundir_discard(const struct rundir *dir);

void rundir_close(struct rundir *dir);

#endif
