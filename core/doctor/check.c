/* SPDX-License-Identifier: MIT */
#include "doctor/check.h"

#include <stdarg.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "stage/protocol.h"

#define TEXT_BYTES_MAX 1024
/* The table fits 100 columns. */
#define NAME_COLUMNS 22
#define TEXT_COLUMN  34
#define TEXT_COLUMNS 66

static const char *const names[] = { "works", "degraded", "fails" };

const char *verdict_name(enum verdict verdict)
{
	return names[verdict];
}

void check_add(json_t *checks, const char *area, const char *name, enum verdict verdict, const char *remedy,
	       const char *found_format, ...)
{
	char found[TEXT_BYTES_MAX];
	va_list args;

	va_start(args, found_format);
	vsnprintf(found, sizeof(found), found_format, args);
	va_end(args);
	json_array_append_new(checks,
			      json_pack("{s:s, s:o, s:s, s:o, s:o}", "area", area, "check",
					protocol_string(name, TEXT_BYTES_MAX), "verdict", names[verdict],
					"found", protocol_string(found, TEXT_BYTES_MAX), "remedy",
					protocol_string(remedy, TEXT_BYTES_MAX)));
}

static bool verdict_of(const json_t *check, enum verdict *ret)
{
	const char *text = protocol_text(check, "verdict");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum verdict)i;
			return true;
		}
	}
	return false;
}

bool check_is_sound(const json_t *check)
{
	static const char *const keys[] = { "area", "check", "found", "remedy" };
	enum verdict verdict;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const json_t *text = json_object_get(check, keys[i]);

		if (!json_is_string(text) || json_string_length(text) > TEXT_BYTES_MAX) {
			return false;
		}
	}
	return json_object_size(check) == 5 && verdict_of(check, &verdict);
}

size_t check_count(const json_t *checks, enum verdict verdict)
{
	const json_t *check;
	size_t count = 0;
	size_t i;

	json_array_foreach(checks, i, check)
	{
		enum verdict one;

		count += verdict_of(check, &one) && one == verdict;
	}
	return count;
}

enum verdict check_worst(const json_t *checks)
{
	return check_count(checks, VERDICT_FAILS) > 0      ? VERDICT_FAILS
	       : check_count(checks, VERDICT_DEGRADED) > 0 ? VERDICT_DEGRADED
							   : VERDICT_WORKS;
}

/* ---- for people ---- */

/* Bytes of the next line of text, broken at a space where one is. */
static size_t line_bytes(const char *text, size_t columns)
{
	size_t bytes = strlen(text);
	size_t at;

	if (bytes <= columns) {
		return bytes;
	}
	for (at = columns; at > 0 && text[at] != ' '; at--) {
	}
	return at > 0 ? at : strcspn(text, " "); /* a word that is too long stays whole: it is to be copied */
}

/* The rest of a line, wrapped; the lines that follow begin at TEXT_COLUMN. A command stays one that can be copied. */
static void print_wrapped(const char *text, FILE *to)
{
	const char *mark = str_starts(text, "sudo ") ? " \\" : "";
	bool is_first = true;

	while (*text != '\0') {
		size_t bytes = line_bytes(text, TEXT_COLUMNS - strlen(mark));

		fprintf(to, "%*s%.*s", is_first ? 0 : TEXT_COLUMN, "", (int)bytes, text);
		text += bytes;
		text += strspn(text, " ");
		fprintf(to, "%s\n", *text != '\0' ? mark : "");
		is_first = false;
	}
	if (is_first) {
		fputc('\n', to);
	}
}

static void print_one(const json_t *check, FILE *to, bool has_color)
{
	static const char *const colors[] = { "\033[32m", "\033[33m", "\033[31m" };
	char text[4 * TEXT_BYTES_MAX];
	enum verdict verdict = VERDICT_FAILS;

	(void)verdict_of(check, &verdict);
	fprintf(to, "  %s%-8s%s  %-*s ", has_color ? colors[verdict] : "", names[verdict],
		has_color ? "\033[0m" : "", NAME_COLUMNS - 1,
		log_escape(text, sizeof(text), protocol_text(check, "check")));
	print_wrapped(log_escape(text, sizeof(text), protocol_text(check, "found")), to);
	if (protocol_text(check, "remedy")[0] != '\0') {
		fprintf(to, "%*s", TEXT_COLUMN, "");
		log_escape(text, sizeof(text), protocol_text(check, "remedy"));
		if (verdict == VERDICT_WORKS) {
			print_wrapped(text, to);
		} else {
			fputs("-> ", to);
			print_wrapped(text, to);
		}
	}
}

void check_print(const json_t *checks, FILE *to, bool has_color)
{
	const char *area = "";
	const json_t *check;
	size_t i;

	json_array_foreach(checks, i, check)
	{
		const char *of = protocol_text(check, "area");

		if (!str_equal(of, area)) {
			fprintf(to, "%s%s\n", i > 0 ? "\n" : "", of);
			area = of;
		}
		print_one(check, to, has_color);
	}
}
