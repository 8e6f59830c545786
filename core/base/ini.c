/* SPDX-License-Identifier: MIT */
/*
 * The reader looks at each line before inih sees it: what inih would cut or misread becomes a fault, and inih is given an
 * empty line in its place. One line is handed out per call, so the handler always runs for the line just classified.
 */
#include "base/ini.h"

#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

struct parser {
	const char *at;
	const char *end;
	int line;
	struct ini_doc doc;
	struct ini_section
		*section; /* open; NULL before the first one, and within a section that is dropped */
	struct ini_section *last_section;
	struct ini_fault *last_fault;
	struct ini_entry *entry; /* open: its value may be continued; NULL when it was dropped */
	struct str value;        /* of the open entry, so far */
	size_t section_count;
	size_t entry_count;
	size_t fault_count;
	size_t key_indent;
	bool in_section; /* a header was seen, good or bad */
	bool has_key;    /* a key line was seen since the header, good or bad */
	bool continues;  /* the line in hand continues a value */
	char *rest;      /* of a line that inih takes in pieces: what it has not seen yet; NULL */
	size_t rest_at;
	bool is_piece; /* the line in hand is such a piece: it goes on where the one before was cut */
	bool stop;
	bool failed; /* memory ran out */
};

static void fault(struct parser *parser, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void fault(struct parser *parser, int line, const char *format, ...)
{
	struct ini_fault *item = calloc(1, sizeof(*item));
	va_list args;

	if (item == NULL) {
		parser->failed = true;
		return;
	}
	item->line = line;
	va_start(args, format);
	if (vasprintf(&item->text, format, args) < 0) {
		item->text = NULL;
		parser->failed = true;
	}
	va_end(args);
	if (parser->last_fault != NULL) {
		parser->last_fault->next = item;
	} else {
		parser->doc.faults = item;
	}
	parser->last_fault = item;
	if (++parser->fault_count == INI_FAULTS_MAX) {
		parser->stop = true;
	}
}

static bool bytes_are_fine(struct parser *parser, const char *line, size_t bytes)
{
	const unsigned char *text = (const unsigned char *)line;

	for (size_t i = 0; i < bytes;) {
		size_t step = str_utf8_bytes(line + i, bytes - i);

		if (text[i] == '\0') {
			fault(parser, parser->line, "NUL byte in column %zu: this must be a text file",
			      i + 1);
			return false;
		}
		if (step == 0) {
			fault(parser, parser->line, "byte 0x%02x in column %zu is not UTF-8", text[i], i + 1);
			return false;
		}
		if ((text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f) {
			fault(parser, parser->line, "control character 0x%02x in column %zu", text[i], i + 1);
			return false;
		}
		i += step;
	}
	if (bytes > INI_LINE_MAX) {
		fault(parser, parser->line,
		      "this line has %zu bytes, the limit is %d; continue the value on the next line, "
		      "indented",
		      bytes, INI_LINE_MAX);
		return false;
	}
	return true;
}

/* As inih finds it: the first of `chars`, or the space-led `;` of an inline comment, or the end. */
static const char *find_or_comment(const char *text, const char *chars)
{
	bool was_space = false;

	while (*text != '\0' && strchr(chars, *text) == NULL && !(was_space && *text == ';')) {
		was_space = *text == ' ' || *text == '\t';
		text++;
	}
	return text;
}

static void close_entry(struct parser *parser)
{
	struct ini_entry *entry = parser->entry;
	struct str value = parser->value;

	parser->entry = NULL;
	memset(&parser->value, 0, sizeof(parser->value));
	if (entry == NULL) {
		str_finish(&value);
		return;
	}
	entry->value = str_take(&value);
	if (entry->value == NULL) {
		parser->failed = true;
	}
}

static void open_section(struct parser *parser, const char *name, size_t bytes)
{
	struct ini_section *section = calloc(1, sizeof(*section));

	if (section == NULL || (section->name = strndup(name, bytes)) == NULL) {
		free(section);
		parser->failed = true;
		return;
	}
	section->line = parser->line;
	if (parser->last_section != NULL) {
		parser->last_section->next = section;
	} else {
		parser->doc.sections = section;
	}
	parser->last_section = section;
	parser->section = section;
	if (++parser->section_count > INI_SECTIONS_MAX) {
		fault(parser, parser->line, "more than %d sections", INI_SECTIONS_MAX);
		parser->stop = true;
	}
}

/* A header line, indentation already gone. */
static void read_header(struct parser *parser, const char *text)
{
	const char *name = text + 1;
	const char *end = find_or_comment(name, "]");
	const char *rest = end + 1;
	size_t bytes = (size_t)(end - name);

	close_entry(parser);
	parser->in_section = true;
	parser->has_key = false;
	parser->section = NULL;
	if (*end != ']') {
		fault(parser, parser->line, "section without its closing ]");
		return;
	}
	rest += strspn(rest, " \t");
	if (*rest != '\0' && *rest != ';' && *rest != '#') {
		fault(parser, parser->line, "\"%s\" after the section's ]: put it on a line of its own",
		      rest);
		return;
	}
	if (bytes > INI_NAME_MAX) {
		fault(parser, parser->line, "section name of %zu bytes, the limit is %d", bytes,
		      INI_NAME_MAX);
		return;
	}
	for (const struct ini_section *other = parser->doc.sections; other != NULL; other = other->next) {
		if (strncmp(other->name, name, bytes) == 0 && other->name[bytes] == '\0') {
			fault(parser, parser->line,
			      "section [%s] a second time, the first is on line %d; merge them", other->name,
			      other->line);
			return;
		}
	}
	open_section(parser, name, bytes);
}

/* A line that must be `key = value`, indentation already gone. Whether inih is to see it. */
static bool check_key(struct parser *parser, const char *text)
{
	const char *end = find_or_comment(text, "=:");
	size_t bytes = (size_t)(end - text);

	while (bytes > 0 && (text[bytes - 1] == ' ' || text[bytes - 1] == '\t')) {
		bytes--;
	}
	if (*end != '=' && *end != ':') {
		fault(parser, parser->line,
		      "\"%.*s\" is no `key = value`, section, comment or continued value", (int)bytes, text);
		return false;
	}
	if (bytes == 0) {
		fault(parser, parser->line, "value without a key before the %c", *end);
		return false;
	}
	if (bytes > INI_NAME_MAX) {
		fault(parser, parser->line, "key of %zu bytes, the limit is %d", bytes, INI_NAME_MAX);
		return false;
	}
	if (!parser->in_section) {
		fault(parser, parser->line, "key \"%.*s\" before any [section]", (int)bytes, text);
		return false;
	}
	return true;
}

/* Decide what the line is. Returns what inih is to read, NULL for an empty line. */
static const char *classify(struct parser *parser, char *line)
{
	size_t indent = strspn(line, " \t");
	char *text = line + indent;

	parser->continues = false;
	if (*text == '\0' || *text == ';' || *text == '#') {
		return NULL;
	}
	if (parser->has_key && indent > parser->key_indent) {
		/* inih takes inline comments off a key's own line only. */
		text[find_or_comment(text, "") - text] = '\0';
		parser->continues = true;
		return parser->entry != NULL ? text : NULL;
	}
	if (*text == '[') {
		read_header(parser, text);
		return NULL;
	}
	close_entry(parser);
	parser->has_key = true;
	parser->key_indent = indent;
	return check_key(parser, text) ? text : NULL;
}

/*
 * How much of a text goes into `room` bytes, when the rest follows as a continued value: inih takes blanks off both ends of
 * a line and one that begins with a semicolon for a comment, so the cut is between two bytes that are neither. 0: nowhere.
 */
static size_t cut(const char *text, size_t room)
{
	size_t at = strlen(text) < room ? strlen(text) : room;

	if (text[at] == '\0') {
		return at;
	}
	while (at > 1 && strchr(" \t", text[at - 1]) != NULL) {
		at--;
	}
	while (at > 1 && (strchr(" \t;#", text[at]) != NULL || strchr(" \t", text[at - 1]) != NULL)) {
		at--;
	}
	return at > 1 ? at : 0;
}

/* Hand a line over, or as much of it as inih takes; the rest is kept for the next calls. */
static void give(struct parser *parser, const char *text, char *to, size_t room)
{
	bool is_indented = parser->continues || parser->is_piece;
	size_t bytes = cut(text, room - is_indented - 1);
	const char *value = parser->continues || parser->is_piece ? text : text + strcspn(text, "=:") + 1;

	if (bytes == 0 || (text[bytes] != '\0' && text + bytes <= value + strspn(value, " \t"))) {
		fault(parser, parser->line,
		      "the INI library takes %zu bytes a line only, and this one has no place to be cut",
		      room - 1);
		parser->rest_at = 0;
		free(parser->rest);
		parser->rest = NULL;
		return;
	}
	snprintf(to, room, "%s%.*s", is_indented ? " " : "", (int)bytes, text);
	if (text[bytes] == '\0') {
		free(parser->rest);
		parser->rest = NULL;
	} else if (parser->rest == NULL) {
		parser->rest = strdup(text + bytes);
		parser->rest_at = 0;
		parser->failed = parser->failed || parser->rest == NULL;
	} else {
		parser->rest_at += bytes;
	}
}

/* A key's own line that is cut: inih would take an inline comment off its first piece only. */
static void drop_comment(char *text)
{
	char *value = text + strcspn(text, "=:");

	if (*value != '\0') {
		value++;
		value[find_or_comment(value, "") - value] = '\0';
	}
}

/* inih's fgets. A key goes to it without indentation, a continuation with one space, everything else as an empty line. */
static char *next_line(char *to, int room, void *stream)
{
	struct parser *parser = stream;
	const char *end = memchr(parser->at, '\n', (size_t)(parser->end - parser->at));
	const char *start = parser->at;
	const char *text = NULL;
	char line[INI_LINE_MAX + 1];
	size_t bytes;

	if (parser->stop || parser->failed) {
		return NULL;
	}
	if (parser->rest != NULL) {
		parser->is_piece = true;
		to[0] = '\0';
		give(parser, parser->rest + parser->rest_at, to, (size_t)room);
		return to;
	}
	if (start == parser->end) {
		return NULL;
	}
	parser->is_piece = false;
	parser->at = end != NULL ? end + 1 : parser->end;
	parser->line++;
	bytes = (size_t)((end != NULL ? end : parser->end) - start);
	if (bytes > 0 && start[bytes - 1] == '\r') {
		bytes--;
	}
	if (bytes_are_fine(parser, start, bytes)) {
		memcpy(line, start, bytes);
		line[bytes] = '\0';
		text = classify(parser, line);
	} else {
		/* Whatever it was, what is indented below belongs to it and is dropped with it. */
		close_entry(parser);
		parser->has_key = parser->in_section;
		parser->key_indent = 0;
	}
	to[0] = '\0';
	if (text != NULL) {
		if (!parser->continues && strlen(text) >= (size_t)room) {
			drop_comment(line + (text - line));
		}
		give(parser, text, to, (size_t)room);
	}
	return to;
}

static void open_entry(struct parser *parser, const char *key)
{
	const struct ini_entry *other = ini_entry_find(parser->section, key);
	struct ini_entry *entry;

	if (other != NULL) {
		fault(parser, parser->line, "key \"%s\" a second time in [%s], the first is on line %d", key,
		      parser->section->name, other->line);
		return;
	}
	entry = calloc(1, sizeof(*entry));
	if (entry == NULL || (entry->key = strdup(key)) == NULL) {
		free(entry);
		parser->failed = true;
		return;
	}
	entry->line = parser->line;
	if (parser->section->last != NULL) {
		parser->section->last->next = entry;
	} else {
		parser->section->entries = entry;
	}
	parser->section->last = entry;
	parser->entry = entry;
	if (++parser->entry_count > INI_ENTRIES_MAX) {
		fault(parser, parser->line, "more than %d keys", INI_ENTRIES_MAX);
		parser->stop = true;
	}
}

static int handle(void *user, const char *section, const char *key, const char *value)
{
	struct parser *parser = user;

	(void)section;
	if (!parser->continues && !parser->is_piece && parser->section != NULL) {
		open_entry(parser, key);
	}
	if (parser->entry != NULL && value != NULL && value[0] != '\0') {
		if (parser->continues && !parser->is_piece && parser->value.bytes > 0) {
			str_add(&parser->value, " ");
		}
		str_add(&parser->value, value);
	}
	return 1;
}

int ini_doc_parse(const char *text, size_t bytes, struct ini_doc *ret, struct pfc_error *err)
{
	struct parser parser = { .at = text, .end = text + bytes };
	int line;

	if (bytes > INI_TEXT_MAX) {
		return error_set(err, PFC_ENOSPC, "larger than 1 MiB, which no configuration needs",
				 "read INI text");
	}
	if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		parser.at += 3;
	}
	line = ini_parse_stream(next_line, &parser, handle, &parser);
	close_entry(&parser);
	free(parser.rest);
	if (line > 0 && parser.doc.faults == NULL) {
		fault(&parser, line, "not understood");
	}
	if (parser.failed || line < 0) {
		ini_doc_finish(&parser.doc);
		return error_nomem(err);
	}
	*ret = parser.doc;
	return 0;
}

static void free_section(struct ini_section *section)
{
	struct ini_entry *entry = section->entries;

	while (entry != NULL) {
		struct ini_entry *next = entry->next;

		free(entry->key);
		free(entry->value);
		free(entry);
		entry = next;
	}
	free(section->name);
	free(section);
}

void ini_doc_finish(struct ini_doc *doc)
{
	while (doc->sections != NULL) {
		struct ini_section *next = doc->sections->next;

		free_section(doc->sections);
		doc->sections = next;
	}
	while (doc->faults != NULL) {
		struct ini_fault *next = doc->faults->next;

		free(doc->faults->text);
		free(doc->faults);
		doc->faults = next;
	}
}

const struct ini_section *ini_section_find(const struct ini_doc *doc, const char *name)
{
	const struct ini_section *section = doc->sections;

	while (section != NULL && !str_equal(section->name, name)) {
		section = section->next;
	}
	return section;
}

const struct ini_entry *ini_entry_find(const struct ini_section *section, const char *key)
{
	const struct ini_entry *entry = section->entries;

	while (entry != NULL && !str_equal(entry->key, key)) {
		entry = entry->next;
	}
	return entry;
}
