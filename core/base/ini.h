/* SPDX-License-Identifier: MIT */
/*
 * INI text to sections and entries that know their lines. The grammar is inih's; the line reader in front of it is ours,
 * because inih alone cuts long lines and section names without a word, and hides empty and doubled sections.
 * Used for configs and for the manifests of plugins, so the text is hostile input: every size is bounded.
 *
 * Grammar: `[section]`, `key = value` (or `key: value`), `;` or `#` begins a comment line, ` ;` (a space before it) an
 * inline comment. A line that is indented deeper than the key above continues its value; the parts are joined by one
 * space. UTF-8 with or without BOM, LF or CRLF.
 */
#ifndef CORE_BASE_INI_H
#define CORE_BASE_INI_H

#include <stddef.h>

#include "base/error.h"

#define INI_TEXT_MAX (1024 * 1024) /* bytes of a whole text */
#define INI_LINE_MAX 16384 /* bytes of a line without its end; inih, which takes 199, is given long ones in pieces */
#define INI_NAME_MAX                                                                                         \
	49 /* bytes of a section's or key's name: MAX_SECTION and MAX_NAME of inih, less the NUL */
#define INI_SECTIONS_MAX 1024
#define INI_ENTRIES_MAX  8192
#define INI_FAULTS_MAX   100

struct ini_entry {
	char *key;
	char *value; /* "" when empty */
	int line;    /* of the key, 1-based */
	struct ini_entry *next;
};

struct ini_section {
	char *name;
	int line;
	struct ini_entry *entries; /* in order of appearance; NULL when the section is empty */
	struct ini_entry *last;
	struct ini_section *next;
};

struct ini_fault {
	int line; /* 1-based */
	char *text;
	struct ini_fault *next;
};

/** A parsed text. Sections and keys are unique: a second one is a fault and its content is dropped. */
struct ini_doc {
	struct ini_section *sections;
	struct ini_fault *faults; /* in order of line */
};

/**
 * Parse a text. Faults of the text are in ret->faults and no failure.
 *
 * Memory:  copies; free with ini_doc_finish.
 * Returns: 0, PFC_ENOMEM; PFC_ENOSPC when the text is larger than INI_TEXT_MAX. *ret is unchanged on failure.
 */
int ini_doc_parse(const char *text, size_t bytes, struct ini_doc *ret, struct pfc_error *err);

/** Free the content; a zeroed doc is fine. */
void ini_doc_finish(struct ini_doc *doc);

/** By exact name; NULL when there is none. */
const struct ini_section *ini_section_find(const struct ini_doc *doc, const char *name);
const struct ini_entry *ini_entry_find(const struct ini_section *section, const char *key);

#endif
