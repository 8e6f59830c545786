/* SPDX-License-Identifier: MIT */
/* What the forms of print.h share. */
#ifndef CORE_ARTIFACT_PRINT_PARTS_H
#define CORE_ARTIFACT_PRINT_PARTS_H

#include "artifact/cells.h"
#include "artifact/print.h"

struct print {
	struct artifact_reader *reader;
	const struct pfc_reader *face;
	const struct print_request *request;
	struct cells *cells;
	FILE *to;
	bool is_terminal;
	struct str cell; /* scratch */
	struct str label;
};

const struct pfc_table *print_def(const struct print *print, uint32_t table);
uint64_t print_rows(const struct print *print, uint32_t table);
/** Rows within the limit. */
uint64_t print_shown(const struct print *print, uint32_t table);
/** Whether the table is asked for. */
bool print_wants(const struct print *print, uint32_t table);
/** Fill print->cell, and print->label when it is an id (*ret_is_id). */
int print_cell(struct print *print, uint32_t table, uint32_t column, uint64_t row, bool *ret_is_id);
/** Append text with its control characters, also those of C1, escaped: they must not reach a terminal. */
void print_escape(struct str *to, const char *text);
/** A JSON string with its quotes; text is UTF-8. */
void print_json_text(FILE *to, const char *text);

int print_text(struct print *print, const struct pfc_artifact *about);
int print_json(struct print *print, const struct pfc_artifact *about);
int print_csv(struct print *print);

#endif
