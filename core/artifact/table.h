/* SPDX-License-Identifier: MIT */
/*
 * The definition of a table, as a plugin declares it or as a file's schema block states it, copied and
 * checked once. Everything behind it may rely on the limits of format.h.
 */
#ifndef CORE_ARTIFACT_TABLE_H
#define CORE_ARTIFACT_TABLE_H

#include <jansson.h>

#include "artifact/format.h"

/** One table. `def` points into the rest; it never moves once made. */
struct table {
	struct pfc_table def;
	struct pfc_column *columns;
	char *texts; /* name, then name and unit of each column, each of FORMAT_NAME_BYTES */
};

/**
 * Copy what a plugin declared; its structs may be smaller or larger than ours.
 *
 * Returns: 0; PFC_EINVAL (*ret_why says what is wrong), PFC_ENOMEM.
 */
int table_copy(const struct pfc_table *def, struct table *ret, const char **ret_why);

/**
 * Make a table of the JSON text of a schema block, which may be hostile. Returns 0, PFC_ECORRUPT,
 * PFC_ENOMEM.
 */
int table_parse(const char *text, size_t bytes, struct table *ret);

/** The JSON text of a schema block; the caller frees it. NULL when memory ran out. */
char *table_print(const struct table *table);

/** The buffers that a chunk of this table has. */
uint32_t table_buffers(const struct table *table);

/** The table's number by name, or -1. */
int table_find(const struct table *const *tables, uint32_t count, const char *name);

void table_finish(struct table *table);

#endif
