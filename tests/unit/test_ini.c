/* SPDX-License-Identifier: MIT */
/* base/ini.c: every fault with its line, nothing cut in silence, no crash on any bytes. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ini.h"
#include "base/str.h"
#include "config_fixture.h"

static struct ini_doc doc;

static void parse_bytes(const char *text, size_t bytes)
{
	struct pfc_error error;

	ck_assert_int_eq(ini_doc_parse(text, bytes, &doc, &error), 0);
}

static void parse(const char *text)
{
	parse_bytes(text, strlen(text));
}

static const char *value_of(const char *section, const char *key)
{
	const struct ini_section *found = ini_section_find(&doc, section);
	const struct ini_entry *entry = found != NULL ? ini_entry_find(found, key) : NULL;

	return entry != NULL ? entry->value : "(none)";
}

static void expect_one_fault(const char *text, size_t bytes, int line, const char *part)
{
	parse_bytes(text, bytes);
	ck_assert_msg(doc.faults != NULL, "no fault in \"%s\"", text);
	ck_assert_msg(doc.faults->next == NULL, "a second fault: %d: %s",
		      doc.faults->next != NULL ? doc.faults->next->line : 0,
		      doc.faults->next != NULL ? doc.faults->next->text : "");
	ck_assert_msg(doc.faults->line == line && strstr(doc.faults->text, part) != NULL,
		      "got %d: %s, wanted %d: %s", doc.faults->line, doc.faults->text, line, part);
	ini_doc_finish(&doc);
}

static void expect_fault(const char *text, int line, const char *part)
{
	expect_one_fault(text, strlen(text), line, part);
}

START_TEST(reads_sections_and_values)
{
	parse("; a comment\n# another\n\n[run]\nname = a\nduration=30s ; inline\nurl: "
	      "http://x:1/#y;z\n[empty]\n"
	      "[plugin:perf-cpu] ; said\nfrequency\t=\t997\nnothing =\n");
	ck_assert_ptr_null(doc.faults);
	ck_assert_str_eq(value_of("run", "name"), "a");
	ck_assert_str_eq(value_of("run", "duration"), "30s");
	ck_assert_str_eq(value_of("run", "url"), "http://x:1/#y;z");
	ck_assert_ptr_nonnull(ini_section_find(&doc, "empty"));
	ck_assert_int_eq(ini_section_find(&doc, "empty")->line, 8);
	ck_assert_ptr_null(ini_section_find(&doc, "empty")->entries);
	ck_assert_str_eq(value_of("plugin:perf-cpu", "frequency"), "997");
	ck_assert_str_eq(value_of("plugin:perf-cpu", "nothing"), "");
	ck_assert_int_eq(ini_entry_find(ini_section_find(&doc, "plugin:perf-cpu"), "frequency")->line, 10);
	ini_doc_finish(&doc);
}
END_TEST

START_TEST(continues_values)
{
	parse("[a]\nx = one\n  two ; comment\n\n\t; a comment line\n  three = 3\ny = 4\nz =\n  [not a "
	      "section]\n");
	ck_assert_ptr_null(doc.faults);
	ck_assert_str_eq(value_of("a", "x"), "one two three = 3");
	ck_assert_str_eq(value_of("a", "y"), "4");
	ck_assert_str_eq(value_of("a", "z"), "[not a section]");
	ini_doc_finish(&doc);
}
END_TEST

/* inih alone would take the second key for more of the first one's value. */
START_TEST(indented_keys_are_keys)
{
	parse("[a]\n  x = 1\n  y = 2\n    more\n z = 3\n  [b]\n");
	ck_assert_ptr_null(doc.faults);
	ck_assert_str_eq(value_of("a", "x"), "1");
	ck_assert_str_eq(value_of("a", "y"), "2 more");
	ck_assert_str_eq(value_of("a", "z"), "3 [b]");
	ini_doc_finish(&doc);
}
END_TEST

START_TEST(takes_bom_and_crlf)
{
	parse("\xef\xbb\xbf[a]\r\nx = 1\r\n  2\r\n[b]\r\n");
	ck_assert_ptr_null(doc.faults);
	ck_assert_str_eq(value_of("a", "x"), "1 2");
	ck_assert_ptr_nonnull(ini_section_find(&doc, "b"));
	ini_doc_finish(&doc);
}
END_TEST

START_TEST(last_line_needs_no_end)
{
	parse("[a]\nx = 1");
	ck_assert_str_eq(value_of("a", "x"), "1");
	ini_doc_finish(&doc);
	parse("");
	ck_assert_ptr_null(doc.sections);
	ck_assert_ptr_null(doc.faults);
	ini_doc_finish(&doc);
}
END_TEST

START_TEST(names_each_fault)
{
	expect_fault("[a]\nx = 1\nnonsense\ny = 2\n", 3, "nonsense");
	expect_fault("x = 1\n", 1, "before any [section]");
	expect_fault("\n[a\n", 2, "closing ]");
	expect_fault("[a ; ]\n", 1, "closing ]");
	expect_fault("[a] b\n", 1, "after the section's ]");
	expect_fault("[a]\n= 1\n", 2, "without a key");
	expect_fault("[a]\n[b]\n[a]\nx = 1\n", 3, "first is on line 1");
	expect_fault("[a]\nx = 1\ny = 2\nx = 3\n", 4, "first is on line 2");
	expect_fault("[a]\nx = \xff\n", 2, "not UTF-8");
	expect_fault("[a]\nx = a\x1b[31m\n", 2, "control character 0x1b");
	expect_one_fault("[a]\nx = a\0b\n", 12, 2, "NUL byte in column 6");
	expect_fault("[a]\nx ; = 1\n", 2, "is no `key = value`");
}
END_TEST

START_TEST(says_long_lines_and_goes_on)
{
	static char text[3 * INI_LINE_MAX];
	static char line[2 * INI_LINE_MAX];

	memset(line, 'v', sizeof(line));
	snprintf(text, sizeof(text), "[a]\nx = %.*s\ny = %.*s\n  more of it\nz\n", INI_LINE_MAX - 4, line, INI_LINE_MAX - 3, line);
	parse(text);
	ck_assert_uint_eq(strlen(value_of("a", "x")), INI_LINE_MAX - 4);
	ck_assert_str_eq(value_of("a", "y"), "(none)");
	ck_assert_ptr_nonnull(doc.faults);
	ck_assert_int_eq(doc.faults->line, 3);
	ck_assert_ptr_nonnull(strstr(doc.faults->text, "16385 bytes, the limit is 16384; continue"));
	ck_assert_int_eq(doc.faults->next->line, 5);
	ck_assert_ptr_null(doc.faults->next->next);
	ini_doc_finish(&doc);
}
END_TEST

/* inih sees 199 bytes at a time: wherever it is cut, the value is what the line says. */
START_TEST(long_lines_are_what_they_say)
{
	static const char *const fillers[] = { "v", "ab ", "a  b", "a;b", "a#", "=x:", "[z]", "\xc3\xa4", "a\tb" };
	char value[700];
	char text[2000];

	for (size_t f = 0; f < sizeof(fillers) / sizeof(fillers[0]); f++) {
		for (size_t bytes = 150; bytes < 640; bytes += 7) {
			size_t at = 0;

			value[at++] = 'k'; /* neither a blank nor a comment at its ends */
			while (at + strlen(fillers[f]) < bytes) {
				at += (size_t)sprintf(value + at, "%s", fillers[f]);
			}
			snprintf(value + at, sizeof(value) - at, "e");
			snprintf(text, sizeof(text), "[a]\nx = %s ; and no more\ny = 1\nz = short\n  %s\n", value, value);
			parse(text);
			ck_assert_msg(doc.faults == NULL, "%s x %zu: %s", fillers[f], bytes, doc.faults != NULL ? doc.faults->text : "");
			ck_assert_str_eq(value_of("a", "x"), value);
			ck_assert_str_eq(value_of("a", "y"), "1");
			ck_assert_int_eq(strncmp(value_of("a", "z"), "short k", 7), 0);
			ck_assert_str_eq(value_of("a", "z") + 6, value);
			ini_doc_finish(&doc);
		}
	}
}
END_TEST

/* Where a line of 199 bytes is a run of blanks there is no place to cut it. */
START_TEST(long_blanks_are_a_fault)
{
	char text[1024];

	snprintf(text, sizeof(text), "[a]\nx = a%600sb\ny = 2\n", "");
	parse(text);
	ck_assert_ptr_nonnull(doc.faults);
	ck_assert_int_eq(doc.faults->line, 2);
	ck_assert_ptr_nonnull(strstr(doc.faults->text, "no place to be cut"));
	ck_assert_str_eq(value_of("a", "y"), "2");
	ini_doc_finish(&doc);
	snprintf(text, sizeof(text), "[a]\nx = %0600d\ny = 2\n", 0);
	memset(text + 9, ';', 590); /* behind a digit, or it would be a comment */
	parse(text);
	ck_assert_ptr_nonnull(doc.faults);
	ck_assert_str_eq(value_of("a", "y"), "2");
	ini_doc_finish(&doc);
}
END_TEST

START_TEST(long_values_by_continuation)
{
	struct str text = { 0 };

	str_add(&text, "[a]\nx =\n");
	for (int i = 0; i < 1000; i++) {
		str_add(&text, "  0123456789 0123456789 0123456789 0123456789\n");
	}
	parse(str_text(&text));
	ck_assert_ptr_null(doc.faults);
	ck_assert_uint_eq(strlen(value_of("a", "x")), 1000 * 44 - 1);
	str_finish(&text);
	ini_doc_finish(&doc);
}
END_TEST

START_TEST(says_long_names)
{
	expect_fault("[aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee]\n", 1,
		     "50 bytes, the limit is 49");
	expect_fault("[a]\naaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee = 1\n", 2,
		     "50 bytes, the limit is 49");
	parse("[aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeee]"
	      "\naaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeee = 1\n");
	ck_assert_ptr_null(doc.faults);
	ini_doc_finish(&doc);
}
END_TEST

START_TEST(refuses_too_much)
{
	struct str text = { 0 };
	struct pfc_error error;
	char *large = calloc(1, INI_TEXT_MAX + 1);
	size_t count = 0;

	ck_assert_ptr_nonnull(large);
	ck_assert_int_eq(ini_doc_parse(large, INI_TEXT_MAX + 1, &doc, &error), PFC_ENOSPC);
	free(large);
	str_add(&text, "[a]\n");
	for (int i = 0; i < INI_ENTRIES_MAX + 2; i++) {
		str_format(&text, "k%d=1\n", i);
	}
	expect_fault(str_text(&text), INI_ENTRIES_MAX + 2, "more than 8192 keys");
	str_finish(&text);
	for (int i = 0; i < INI_SECTIONS_MAX + 2; i++) {
		str_format(&text, "[s%d]\n", i);
	}
	expect_fault(str_text(&text), INI_SECTIONS_MAX + 1, "more than 1024 sections");
	str_finish(&text);
	for (int i = 0; i < 1000; i++) {
		str_add(&text, "nonsense\n");
	}
	parse(str_text(&text));
	for (const struct ini_fault *fault = doc.faults; fault != NULL; fault = fault->next) {
		count++;
	}
	ck_assert_uint_eq(count, INI_FAULTS_MAX);
	str_finish(&text);
	ini_doc_finish(&doc);
}
END_TEST

/* Whatever is written, entries lie in their sections, lines ascend, and nothing crashes. */
START_TEST(survives_noise)
{
	static const char *const pieces[] = { "[a]",     "[",        "]",        "\n",   "\n", " ",
					      "\t",      "=",        ":",        ";",    "#",  " ;",
					      "key",     "x = 1\n",  "\r\n",     "\xff", "\0", "\xef\xbb\xbf",
					      "[b:c]\n", "  more\n", "\xc3\xa9", "\x1b" };
	unsigned seed = 20260101;
	char text[4096];

	for (int round = 0; round < 20000; round++) {
		size_t bytes = 0;
		size_t count = (size_t)rand_r(&seed) % 60;
		int line = 0;

		for (size_t i = 0; i < count; i++) {
			const char *piece =
				pieces[(size_t)rand_r(&seed) % (sizeof(pieces) / sizeof(pieces[0]))];
			size_t piece_bytes = piece[0] == '\0' ? 1 : strlen(piece);

			memcpy(text + bytes, piece, piece_bytes);
			bytes += piece_bytes;
		}
		parse_bytes(text, bytes);
		for (const struct ini_section *section = doc.sections; section != NULL;
		     section = section->next) {
			ck_assert_int_gt(section->line, line);
			line = section->line;
			for (const struct ini_entry *entry = section->entries; entry != NULL;
			     entry = entry->next) {
				ck_assert_int_gt(entry->line, line);
				ck_assert_ptr_nonnull(entry->value);
				ck_assert(entry->key[0] != '\0');
				line = entry->line;
			}
		}
		ini_doc_finish(&doc);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("ini");

	tcase_add_test(tests, reads_sections_and_values);
	tcase_add_test(tests, continues_values);
	tcase_add_test(tests, indented_keys_are_keys);
	tcase_add_test(tests, takes_bom_and_crlf);
	tcase_add_test(tests, last_line_needs_no_end);
	tcase_add_test(tests, names_each_fault);
	tcase_add_test(tests, says_long_lines_and_goes_on);
	tcase_add_test(tests, long_lines_are_what_they_say);
	tcase_add_test(tests, long_blanks_are_a_fault);
	tcase_add_test(tests, long_values_by_continuation);
	tcase_add_test(tests, says_long_names);
	tcase_add_test(tests, refuses_too_much);
	tcase_add_test(tests, survives_noise);
	return fixture_main(tests, "ini");
}
