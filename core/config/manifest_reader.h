/* SPDX-License-Identifier: MIT */
/* The parts of the manifest's parser: words and keys (manifest_text.c), each kind of section (manifest_sections.c). Internal. */
#ifndef CORE_CONFIG_MANIFEST_READER_H
#define CORE_CONFIG_MANIFEST_READER_H

#include "base/ini.h"
#include "base/str.h"
#include "config/manifest.h"

#define MANIFEST_NAME_MAX 40 /* bytes of ids and of the names of ports, options and metrics */

/** A manifest in the making: faults are collected, memory running out sticks. */
struct manifest_reader {
	const char *file; /* base name of the path, for "x.so:12: ..." */
	struct manifest *manifest;
	struct str faults;
	bool nomem;
};

/** One key of a section: where its text goes. */
struct manifest_field {
	const char *key;
	char **to;
	bool required;
};

void manifest_fault(struct manifest_reader *reader, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** Lower-case letters, digits, - and _, a letter or digit first, at most MANIFEST_NAME_MAX bytes. */
bool manifest_is_name(const char *text);

/** A copy that the manifest owns; NULL when memory ran out, which sticks. */
char *manifest_copy(struct manifest_reader *reader, const char *text);

/** Copy the texts of a section to its fields ("" when absent); unknown keys and missing ones are faults. */
void manifest_fields(struct manifest_reader *reader, const struct ini_section *section,
		     const struct manifest_field *fields, size_t count);

/** Where a key stands; the section's line when it is absent. */
int manifest_line_of(const struct ini_section *section, const char *key);

/** "yes" or "no"; "" is no, all else a fault. */
bool manifest_yes(struct manifest_reader *reader, const struct ini_section *section, const char *key,
		  const char *text);

/** Position of a word in a list; -1 and a fault with did-you-mean when it is not there. */
int manifest_word(struct manifest_reader *reader, int line, const char *key, const char *text,
		  const char *const *words, size_t count);

/** A comma list to words, NULL-terminated; never NULL unless memory ran out. */
char **manifest_words(struct manifest_reader *reader, int line, const char *key, const char *text);

/** Read one section into the manifest, or into a zeroed element that has its name already. */
void manifest_read_plugin(struct manifest_reader *reader, const struct ini_section *section);
void manifest_read_input(struct manifest_reader *reader, const struct ini_section *section,
			 struct manifest_port *port);
void manifest_read_output(struct manifest_reader *reader, const struct ini_section *section,
			  struct manifest_port *port);
void manifest_read_option(struct manifest_reader *reader, const struct ini_section *section,
			  struct manifest_option *option);
void manifest_read_metric(struct manifest_reader *reader, const struct ini_section *section,
			  struct manifest_metric *metric);

#endif
