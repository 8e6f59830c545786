/* SPDX-License-Identifier: MIT */
/* Keys and words of a manifest: what every section's reader needs. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/manifest_reader.h"

#define WORDS_MAX 64

void manifest_fault(struct manifest_reader *reader, int line, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	str_format(&reader->faults, "%s%s:%d: %s", reader->faults.bytes > 0 ? "; " : "", reader->file, line,
		   text);
}

bool manifest_is_name(const char *text)
{
	if (!isalnum((unsigned char)text[0]) || strlen(text) > MANIFEST_NAME_MAX) {
		return false;
	}
	for (; *text != '\0'; text++) {
		if (!islower((unsigned char)*text) && !isdigit((unsigned char)*text) && *text != '-' &&
		    *text != '_') {
			return false;
		}
	}
	return true;
}

char *manifest_copy(struct manifest_reader *reader, const char *text)
{
	char *to = strdup(text);

	reader->nomem |= to == NULL;
	return to;
}

void manifest_fields(struct manifest_reader *reader, const struct ini_section *section,
		     const struct manifest_field *fields, size_t count)
{
	const char *names[16];

	for (size_t i = 0; i < count; i++) {
		const struct ini_entry *entry = ini_entry_find(section, fields[i].key);

		names[i] = fields[i].key;
		*fields[i].to = manifest_copy(reader, entry != NULL ? entry->value : "");
		if (fields[i].required && (entry == NULL || entry->value[0] == '\0')) {
			manifest_fault(reader, section->line, "[%s] lacks the key %s", section->name,
				       fields[i].key);
		}
	}
	for (const struct ini_entry *entry = section->entries; entry != NULL; entry = entry->next) {
		size_t i = 0;

		while (i < count && !str_equal(names[i], entry->key)) {
			i++;
		}
		if (i == count) {
			const char *near = str_nearest(entry->key, names, count);

			manifest_fault(reader, entry->line, "unknown key \"%s\" in [%s]%s%s%s", entry->key,
				       section->name, near != NULL ? "; did you mean \"" : "",
				       near != NULL ? near : "", near != NULL ? "\"?" : "");
		}
	}
}

int manifest_line_of(const struct ini_section *section, const char *key)
{
	const struct ini_entry *entry = ini_entry_find(section, key);

	return entry != NULL ? entry->line : section->line;
}

bool manifest_yes(struct manifest_reader *reader, const struct ini_section *section, const char *key,
		  const char *text)
{
	if (!str_equal(text, "yes") && !str_equal(text, "no") && text[0] != '\0') {
		manifest_fault(reader, manifest_line_of(section, key), "%s = %s: is neither yes nor no", key,
			       text);
	}
	return str_equal(text, "yes");
}

int manifest_word(struct manifest_reader *reader, int line, const char *key, const char *text,
		  const char *const *words, size_t count)
{
	char *why;

	for (size_t i = 0; i < count; i++) {
		if (str_equal(text, words[i])) {
			return (int)i;
		}
	}
	why = str_none_of(text, words, count);
	reader->nomem |= why == NULL;
	manifest_fault(reader, line, "%s = %s: is %s", key, text, why != NULL ? why : "");
	free(why);
	return -1;
}

char **manifest_words(struct manifest_reader *reader, int line, const char *key, const char *text)
{
	char **words = calloc(WORDS_MAX + 1, sizeof(*words));
	size_t count = 0;

	if (words == NULL) {
		reader->nomem = true;
		return NULL;
	}
	while (*text != '\0') {
		size_t bytes;

		text += strspn(text, " \t");
		bytes = strcspn(text, ",");
		while (bytes > 0 && (text[bytes - 1] == ' ' || text[bytes - 1] == '\t')) {
			bytes--;
		}
		if (bytes == 0 || count == WORDS_MAX) {
			manifest_fault(reader, line, "%s: %s", key,
				       bytes == 0 ? "empty item in the list" : "more than 64 items");
			break;
		}
		words[count] = strndup(text, bytes);
		reader->nomem |= words[count] == NULL;
		count += words[count] != NULL;
		text += strcspn(text, ",");
		text += *text == ',';
	}
	return words;
}
