/* SPDX-License-Identifier: MIT */
/* A folder for each test, files in it, and remarks as text: shared by the tests of ini, config, options, manifest, registry. */
#ifndef TESTS_UNIT_CONFIG_FIXTURE_H
#define TESTS_UNIT_CONFIG_FIXTURE_H

#include <check.h>
#include <stddef.h>

#include "base/error.h"
#include "config/diag.h"

/** Made before and removed after each test. */
void fixture_setup(void);
void fixture_teardown(void);

/** The folder, and the path of a name in it (valid for the next seven calls). */
const char *fixture_folder(void);
const char *fixture_path(const char *name);

/** Write a file; returns its path. */
const char *fixture_write(const char *name, const char *text);
const char *fixture_write_bytes(const char *name, const void *data, size_t bytes);

/** Read a file whole; the caller frees. */
unsigned char *fixture_read(const char *path, size_t *ret_bytes);

/** A plugin that the build made ("null"). */
const char *fixture_plugin(const char *id);

/** All remarks as diag_print gives them, the folder's own path cut off. Valid until the next call. */
const char *fixture_remarks(const struct diag_list *diags);

/** Run the tests of one module. Returns main's value. */
int fixture_main(TCase *tests, const char *name);

#endif
