/* SPDX-License-Identifier: MIT */
/* plugins/lib: cleaning and quoting of text that nobody vouches for, JSON, tables, units. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/grid.h"
#include "lib/json.h"
#include "lib/names.h"
#include "lib/text.h"
#include "lib/units.h"

static const char *clean(const char *raw, size_t bytes, size_t max_chars)
{
	static struct text text;

	text_finish(&text);
	text_clean(&text, (struct pfc_string){ raw, bytes }, max_chars);
	return text_str(&text);
}

START_TEST(test_clean_keeps_what_can_be_seen)
{
	ck_assert_str_eq(clean("main", 4, 10), "main");
	ck_assert_str_eq(clean("", 0, 10), "");
	ck_assert_str_eq(clean(NULL, 7, 10), "");
	ck_assert_str_eq(clean("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", 11, 10),
			 "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
	ck_assert_str_eq(clean("<a & 'b'>", 9, 10), "<a & 'b'>");
}
END_TEST

START_TEST(test_clean_shows_what_cannot)
{
	ck_assert_str_eq(clean("a\0b", 3, 10), "a\\u{0}b");
	ck_assert_str_eq(clean("\x1b[31m\r\n\x7f", 8, 10), "\\u{1b}[31m\\u{d}\\u{a}\\u{7f}");
	ck_assert_str_eq(clean("\xe2\x80\xae\xe2\x81\xa9\xe2\x80\x8b\xef\xbb\xbf", 12, 10),
			 "\\u{202e}\\u{2069}\\u{200b}\\u{feff}");
	ck_assert_str_eq(clean("\xe2\x80\xa8\xef\xbf\xbf", 6, 10), "\\u{2028}\\u{ffff}");
	ck_assert_str_eq(clean("\xff\xc0\xaf\xed\xa0\x80", 6, 10), "\\xff\\xc0\\xaf\\xed\\xa0\\x80");
	ck_assert_str_eq(clean("\xf4\x90\x80\x80", 4, 10), "\\xf4\\x90\\x80\\x80");
	ck_assert_str_eq(clean("\xe2\x82", 2, 10), "\\xe2\\x82");
	ck_assert_str_eq(clean("abcdef", 6, 3), "abc\xe2\x80\xa6");
}
END_TEST

/* Valid UTF-8 without control characters? */
static bool is_clean(const char *text)
{
	size_t left = strlen(text), length;
	uint32_t c;

	for (; left > 0; text += length, left -= length) {
		length = text_decode((const unsigned char *)text, left, &c);
		if (length == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0)) {
			return false;
		}
	}
	return true;
}

/* Can it stand in a script: ASCII, no markup, no quote but escaped ones and those around it? */
static bool is_contained(const char *json, size_t bytes)
{
	size_t i;

	for (i = 1; i + 1 < bytes; i++) {
		if (json[i] < 0x20 || json[i] >= 0x7f || strchr("<>&'", json[i]) || json[i] == '"') {
			return false;
		}
		i += json[i] == '\\';
	}
	return bytes >= 2 && i + 1 == bytes && json[0] == '"' && json[i] == '"';
}

START_TEST(test_random_bytes_stay_inside)
{
	struct text json = { 0 }, xml = { 0 };
	char raw[64], kept[1024];
	unsigned round, i, bad = 0;

	srand((unsigned)_i + 1);
	for (round = 0; round < 20000; round++) {
		size_t bytes = (size_t)rand() % sizeof(raw);

		for (i = 0; i < bytes; i++) {
			raw[i] = (char)(rand() % 3 ? "\xe2\x80\xf0\x9f<>&\"'\\]\n\xc3\xbf"[rand() % 14]
						   : rand());
		}
		snprintf(kept, sizeof(kept), "%s", clean(raw, bytes, 100));
		json.bytes = xml.bytes = 0;
		text_json(&json, kept);
		text_xml(&xml, kept);
		bad += !is_clean(kept) || !is_contained(text_str(&json), json.bytes) ||
		       (xml.bytes && strpbrk(text_str(&xml), "<>\"'") != NULL);
	}
	ck_assert_uint_eq(bad, 0);
	text_finish(&json);
	text_finish(&xml);
}
END_TEST

START_TEST(test_json_quotes)
{
	struct text text = { 0 };

	text_json(&text, "a\"b\\c</script>&'\xc3\xbc\xf0\x9f\x98\x80");
	ck_assert_str_eq(text_str(&text),
			 "\"a\\\"b\\\\c\\u003c/script\\u003e\\u0026\\u0027\\u00fc\\ud83d\\ude00\"");
	text_finish(&text);
}
END_TEST

START_TEST(test_json_document)
{
	struct text text = { 0 };
	struct json json = { .out = &text };

	json_object(&json, NULL);
	json_text(&json, "a", "x");
	json_array(&json, "b");
	json_count(&json, NULL, UINT64_MAX);
	json_number(&json, NULL, NAN, 2);
	json_number(&json, NULL, 1.005, 1);
	json_end_array(&json);
	json_array(&json, "c");
	json_end_array(&json);
	json_bool(&json, "d", true);
	json_end_object(&json);
	ck_assert_str_eq(text_str(&text),
			 "{\n  \"a\": \"x\",\n  \"b\": [\n    18446744073709551615,\n    null,\n    1.0\n"
			 "  ],\n  \"c\": [],\n  \"d\": true\n}\n");
	text_finish(&text);
}
END_TEST

START_TEST(test_cut_counts_columns)
{
	struct text text = { 0 };

	text_cut(&text, "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc", 3);
	ck_assert_str_eq(text_str(&text), "\xc3\xbc\xc3\xbc\xe2\x80\xa6");
	ck_assert_uint_eq(text_columns(text_str(&text)), 3);
	text_finish(&text);
}
END_TEST

START_TEST(test_grid_lines_up)
{
	static const struct grid_column columns[] = { { "n", 4, true },
						      { "name", 5, false },
						      { "x", 3, false } };
	const char *cells[] = { "12", "longer name", "y" };
	struct text text = { 0 };

	grid_head(&text, columns, 3);
	grid_row(&text, columns, 3, cells);
	ck_assert_str_eq(text_str(&text), "   n  name   x\n----  -----  ---\n  12  long\xe2\x80\xa6  y\n");
	text_finish(&text);
}
END_TEST

START_TEST(test_units)
{
	char to[UNITS_ROOM];

	ck_assert_str_eq(units_count(to, 0), "0");
	ck_assert_str_eq(units_count(to, 999), "999");
	ck_assert_str_eq(units_count(to, UINT64_MAX), "18,446,744,073,709,551,615");
	ck_assert_str_eq(units_weight(to, 1500, "ns"), "1.50 \xc2\xb5s");
	ck_assert_str_eq(units_weight(to, 999999999, "ns"), "1.00 s");
	ck_assert_str_eq(units_weight(to, 3 << 20, "bytes"), "3.00 MiB");
	ck_assert_str_eq(units_weight(to, 1023, "bytes"), "1023 B");
	ck_assert_str_eq(units_weight(to, 1234, "count"), "1,234");
	ck_assert_str_eq(units_weight(to, 1234, "cycles"), "1,234 cycles");
	ck_assert_str_eq(units_ms(to, 45020000), "45.02");
	ck_assert_str_eq(units_pct_text(to, 100), "100");
	ck_assert_str_eq(units_pct_text(to, 0.0042), "0.004");
	ck_assert_double_eq(units_pct(1, 0), 0);
}
END_TEST

START_TEST(test_names_are_interned)
{
	struct names names = { 0 };
	char long_a[3000], long_b[3000], text[16];
	uint32_t a, b, i;

	ck_assert_int_eq(names_init(&names, 99), 0);
	for (i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "n%u", i);
		ck_assert_int_eq(names_raw(&names, (struct pfc_string){ text, strlen(text) }, &a), 0);
		ck_assert_uint_eq(a, i + 1);
	}
	ck_assert_int_eq(names_clean(&names, "n77", &a), 0);
	ck_assert_uint_eq(a, 78);
	/* Long names that differ only at their end stay two. */
	memset(long_a, 'x', sizeof(long_a));
	memset(long_b, 'x', sizeof(long_b));
	long_b[sizeof(long_b) - 1] = 'y';
	ck_assert_int_eq(names_raw(&names, (struct pfc_string){ long_a, sizeof(long_a) }, &a), 0);
	ck_assert_int_eq(names_raw(&names, (struct pfc_string){ long_b, sizeof(long_b) }, &b), 0);
	ck_assert_uint_ne(a, b);
	ck_assert_uint_lt(strlen(names_text(&names, a)), NAMES_MAX_CHARS + 20);
	names_finish(&names);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plib_text");
	TCase *tcase = tcase_create("text");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_clean_keeps_what_can_be_seen);
	tcase_add_test(tcase, test_clean_shows_what_cannot);
	tcase_add_loop_test(tcase, test_random_bytes_stay_inside, 0, 5);
	tcase_add_test(tcase, test_json_quotes);
	tcase_add_test(tcase, test_json_document);
	tcase_add_test(tcase, test_cut_counts_columns);
	tcase_add_test(tcase, test_grid_lines_up);
	tcase_add_test(tcase, test_units);
	tcase_add_test(tcase, test_names_are_interned);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
