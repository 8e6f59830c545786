/* SPDX-License-Identifier: MIT */
/*
 * An artifact for people (text), spreadsheets (CSV) and machines (JSON). Texts of the target are cleaned
 * and escaped.
 */
#ifndef CORE_ARTIFACT_PRINT_H
#define CORE_ARTIFACT_PRINT_H

#include <stdio.h>

#include "artifact/artifact.h"

enum print_form {
	PRINT_TEXT,
	PRINT_JSON,
	PRINT_CSV,
};

struct print_request {
	const char *name;  /* "STAGE.PORT" */
	const char *table; /* NULL: text shows an overview and the table that counts; JSON and CSV show all */
	uint64_t limit;    /* rows of each table */
	enum print_form form;
};

/**
 * Returns: 0; PFC_ENOENT, there is no such table (the hint names those that are there); PFC_ECORRUPT,
 * PFC_ENOMEM; PFC_EIO when `to` takes no more.
 */
int print_artifact(struct artifact_reader *reader, const struct print_request *request, FILE *to,
		   struct pfc_error *err);

#endif
