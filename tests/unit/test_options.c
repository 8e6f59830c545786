/* SPDX-License-Identifier: MIT */
/* config/options.c: texts to typed values, limits, units, and what is said about those that do not fit. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config/options.h"
#include "config_fixture.h"

static struct diag_list diags;
static struct config *config;
static struct option_set set;

static char *no_words[] = { NULL };
static char *colors[] = { (char *)"kind", (char *)"module", NULL };

#define OPTION(option_name, option_type, option_default)                                                     \
	.name = (char *)(option_name), .type = (option_type), .default_text = (char *)(option_default),      \
	.unit = (char *)"", .help = (char *)""

static const struct manifest_option defs[] = {
	{ OPTION("count", PFC_VALUE_INT, "3"), .values = no_words, .has_min = true, .min = 1, .has_max = true,
	  .max = 100 },
	{ OPTION("ratio", PFC_VALUE_FLOAT, "0.5"), .values = no_words, .has_max = true, .max = 1 },
	{ OPTION("fast", PFC_VALUE_BOOL, "no"), .values = no_words },
	{ OPTION("title", PFC_VALUE_STRING, ""), .values = no_words },
	{ OPTION("color", PFC_VALUE_ENUM, "kind"), .values = colors },
	{ OPTION("call_graph", PFC_VALUE_DURATION, "5s"), .values = no_words, .has_min = true, .min = 1e6 },
	{ OPTION("buffer", PFC_VALUE_SIZE, "1MiB"), .values = no_words, .has_max = true, .max = 1 << 30 },
	{ OPTION("headers", PFC_VALUE_LIST, ""), .values = no_words },
	{ OPTION("pid", PFC_VALUE_INT, ""), .values = no_words, .has_min = true, .min = 1 },
};
#define DEF_COUNT (sizeof(defs) / sizeof(defs[0]))

static void resolve(const char *text, const char *const *reserved)
{
	struct pfc_error error;

	ck_assert_int_eq(config_load(fixture_write("x.ini", text), NULL, 0, &diags, &config, &error), 0);
	ck_assert_int_eq(options_resolve(defs, DEF_COUNT, config_section(config, "plugin", "p"), reserved,
					 &diags, &set, &error),
			 0);
}

static void finish(void)
{
	options_finish(&set);
	config_destroy(config);
	diag_finish(&diags);
}

static void expect(const char *line, const char *remark)
{
	char text[512];
	char wanted[512];

	snprintf(text, sizeof(text), "[plugin:p]\n%s\n", line);
	snprintf(wanted, sizeof(wanted), "%s%s%s", remark[0] != '\0' ? "x.ini:2: error: " : "", remark,
		 remark[0] != '\0' ? "\n" : "");
	resolve(text, NULL);
	ck_assert_str_eq(fixture_remarks(&diags), wanted);
	finish();
}

START_TEST(durations)
{
	static const struct {
		const char *text;
		int64_t ns;
	} cases[] = {
		{ "30s", 30000000000 },
		{ "250ms", 250000000 },
		{ "10us", 10000 },
		{ "7ns", 7 },
		{ "1.5h", 5400000000000 },
		{ "2m", 120000000000 },
		{ "2min", 120000000000 },
		{ "7d", 604800000000000 },
		{ "5", 5000000000 },
		{ "0", 0 },
		{ ".5s", 500000000 },
		{ "10 s", 10000000000 },
		{ "0.1s", 100000000 },
		{ "", -1 },
		{ "s", -1 },
		{ "5x", -1 },
		{ "-5s", -1 },
		{ "1e3s", -1 },
		{ "5s ", -1 },
		{ "0x10s", -1 },
		{ ".", -1 },
		{ "1.2.3s", -1 },
		{ "999999999d", -1 },
		{ "inf", -1 },
		{ "5S", -1 },
		{ "nan", -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_msg(option_parse_duration(cases[i].text) == cases[i].ns, "%s: %lld", cases[i].text,
			      (long long)option_parse_duration(cases[i].text));
	}
}
END_TEST

START_TEST(sizes)
{
	static const struct {
		const char *text;
		int64_t bytes;
	} cases[] = {
		{ "64MiB", 67108864 },
		{ "1GB", 1000000000 },
		{ "512k", 524288 },
		{ "512K", 524288 },
		{ "1kB", 1000 },
		{ "2G", 2147483648 },
		{ "1TiB", 1099511627776 },
		{ "3", 3 },
		{ "3B", 3 },
		{ "1.5KiB", 1536 },
		{ "", -1 },
		{ "-1", -1 },
		{ "1XB", -1 },
		{ "1mb", -1 },
		{ "99999999TiB", -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_msg(option_parse_size(cases[i].text) == cases[i].bytes, "%s", cases[i].text);
	}
}
END_TEST

START_TEST(formats_read_back)
{
	static const int64_t numbers[] = { 1,           999,           1000,           1000000, 1500000000,
					   60000000000, 3600000000000, 86400000000000, 1024,    65536 };
	char text[64];

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		ck_assert_int_eq(option_parse_duration(option_format(PFC_VALUE_DURATION, (double)numbers[i],
								     text, sizeof(text))),
				 numbers[i]);
		ck_assert_int_eq(option_parse_size(option_format(PFC_VALUE_SIZE, (double)numbers[i], text,
								 sizeof(text))),
				 numbers[i]);
	}
	ck_assert_str_eq(option_format(PFC_VALUE_DURATION, 0, text, sizeof(text)), "0ns");
	ck_assert_str_eq(option_format(PFC_VALUE_INT, 997, text, sizeof(text)), "997");
}
END_TEST

START_TEST(reads_every_type)
{
	resolve("[plugin:p]\ncount = 7\nratio = 0.25\nfast = Yes\ntitle = a, b\ncolor = module\ncall_graph = "
		"1ms\nbuffer = 2k\n"
		"headers = a: 1, b: 2 ,c\n",
		NULL);
	ck_assert_str_eq(fixture_remarks(&diags), "");
	ck_assert_int_eq(options_int(&set, "count"), 7);
	ck_assert_double_eq(options_get(&set, "ratio")->value.real, 0.25);
	ck_assert_int_eq(options_int(&set, "fast"), 1);
	ck_assert_str_eq(options_text(&set, "title"), "a, b");
	ck_assert_int_eq(options_int(&set, "color"), 1);
	ck_assert_str_eq(options_text(&set, "color"), "module");
	ck_assert_int_eq(options_int(&set, "call_graph"), 1000000);
	ck_assert_int_eq(options_int(&set, "buffer"), 2048);
	ck_assert_uint_eq(options_get(&set, "headers")->value.item_count, 3);
	ck_assert_str_eq(options_get(&set, "headers")->value.items[1], "b: 2");
	ck_assert_uint_eq(options_get(&set, "headers")->value.is_set, 1);
	ck_assert_int_eq(options_get(&set, "count")->origin.line, 2);
	ck_assert_uint_eq(options_get(&set, "pid")->value.is_set, 0);
	ck_assert_int_eq(options_int(&set, "pid"), 0);
	ck_assert_str_eq(options_get(&set, "pid")->origin.file, "default");
	ck_assert_ptr_null(options_get(&set, "nothing"));
	finish();
}
END_TEST

START_TEST(defaults_without_a_section)
{
	struct pfc_error error;

	ck_assert_int_eq(options_resolve(defs, DEF_COUNT, NULL, NULL, &diags, &set, &error), 0);
	ck_assert_uint_eq(diags.count, 0);
	ck_assert_uint_eq(set.count, DEF_COUNT);
	ck_assert_int_eq(options_int(&set, "call_graph"), 5000000000);
	ck_assert_uint_eq(options_get(&set, "call_graph")->value.struct_size, sizeof(struct pfc_value));
	options_finish(&set);
}
END_TEST

START_TEST(says_what_does_not_fit)
{
	expect("count = 101", "count = 101: is above the maximum 100");
	expect("count = 0", "count = 0: is below the minimum 1");
	expect("count = 1.5", "count = 1.5: is no whole number");
	expect("count = 0x10", "count = 0x10: is no whole number");
	expect("count = 99999999999999999999", "count = 99999999999999999999: does not fit into 64 bits");
	expect("count =", "count = : is empty");
	expect("ratio = nan", "ratio = nan: is no number");
	expect("ratio = 1.1", "ratio = 1.1: is above the maximum 1");
	expect("fast = maybe", "fast = maybe: is neither yes nor no");
	expect("color = modul", "color = modul: is none of kind, module; did you mean \"module\"?");
	expect("color = purple", "color = purple: is none of kind, module");
	expect("call_graph = soon", "call_graph = soon: is no duration, such as 30s, 250ms or 1.5h");
	expect("call_graph = 1us", "call_graph = 1us: is below the minimum 1ms");
	expect("buffer = 2GiB", "buffer = 2GiB: is above the maximum 1GiB");
	expect("buffer = much", "buffer = much: is no size, such as 64MiB, 512k or 1GB");
	expect("headers = a,,b", "headers = a,,b: has an empty item (a comma too many)");
	expect("headers = ,", "headers = ,: has an empty item (a comma too many)");
	expect("headers =", "");
	expect("pid =", "");
	expect("titel = x", "[plugin:p] has no option \"titel\"; did you mean \"title\"?");
	expect("zzz = x", "[plugin:p] has no option \"zzz\"; it has count, ratio, fast, title, color, "
			  "call_graph, buffer, headers, pid");
}
END_TEST

START_TEST(wrong_values_leave_the_default)
{
	resolve("[plugin:p]\ncount = x\n", NULL);
	ck_assert_uint_eq(diag_errors(&diags), 1);
	ck_assert_int_eq(options_int(&set, "count"), 3);
	finish();
}
END_TEST

START_TEST(reserved_keys_are_skipped)
{
	resolve("[plugin:p]\nuse = a\ninput.stacks = b.c\nenabled = yes\non_failure = abort\ninput = "
		"3\nenbled = no\n",
		options_stage_reserved());
	ck_assert_ptr_nonnull(
		strstr(fixture_remarks(&diags), "x.ini:6: error: [plugin:p] has no option \"input\""));
	ck_assert_ptr_nonnull(
		strstr(fixture_remarks(&diags),
		       "x.ini:7: error: [plugin:p] has no option \"enbled\"; did you mean \"enabled\"?"));
	ck_assert_uint_eq(diags.count, 2);
	finish();
}
END_TEST

START_TEST(stage_keys_are_options_too)
{
	struct pfc_error error;
	size_t count;
	const struct manifest_option *stage = options_of_stage(&count);

	ck_assert_int_eq(config_load(fixture_write("x.ini", "[plugin:p]\non_failure = abrot\nfoo = 1\n"),
				     NULL, 0, &diags, &config, &error),
			 0);
	ck_assert_int_eq(options_resolve_some(stage, count, config_section(config, "plugin", "p"), &diags,
					      &set, &error),
			 0);
	ck_assert_str_eq(
		fixture_remarks(&diags),
		"x.ini:2: error: on_failure = abrot: is none of degrade, abort; did you mean \"abort\"?\n");
	ck_assert_int_eq(options_int(&set, "enabled"), 1);
	finish();
}
END_TEST

START_TEST(variables_are_named_in_remarks)
{
	setenv("PROFCORE__P__CALL_GRAPH", "never", 1);
	setenv("PROFCORE__P__TITEL", "x", 1);
	resolve("[plugin:p]\n", NULL);
	ck_assert_str_eq(fixture_remarks(&diags), "environment: error: PROFCORE__P__TITEL: [plugin:p] has no "
						  "option \"titel\"; did you mean \"title\"?\n"
						  "environment: error: PROFCORE__P__CALL_GRAPH: call_graph = "
						  "never: is no duration, such as 30s, 250ms or "
						  "1.5h\n");
	finish();
}
END_TEST

START_TEST(core_options_are_sound)
{
	const struct manifest_option *(*const tables[])(size_t *) = { options_of_run, options_of_target,
								      options_of_stage };
	const struct manifest_option *run;
	struct pfc_error error;
	size_t count;

	for (size_t i = 0; i < 3; i++) {
		const struct manifest_option *table = tables[i](&count);

		ck_assert_int_eq(options_resolve(table, count, NULL, NULL, &diags, &set, &error), 0);
		ck_assert_uint_eq(set.count, count);
		options_finish(&set);
	}
	run = options_of_run(&count);
	ck_assert_int_eq(options_resolve(run, count, NULL, NULL, &diags, &set, &error), 0);
	ck_assert_int_eq(options_int(&set, "duration"), 10000000000);
	ck_assert_int_eq(options_int(&set, "lead"), 20000000);
	ck_assert_str_eq(options_text(&set, "output"), "profiling");
	options_finish(&set);
}
END_TEST

START_TEST(values_become_json)
{
	json_t *array;

	resolve("[plugin:p]\ncount = 7\nheaders = a, b\n", NULL);
	array = options_to_json(&set);
	ck_assert_uint_eq(json_array_size(array), DEF_COUNT);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(array, 0), "name")), "count");
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(array, 0), "integer")), 7);
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(array, 0), "set")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(array, 0), "type")),
			 PFC_VALUE_INT);
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(array, 1), "set")), 0);
	ck_assert_uint_eq(json_array_size(json_object_get(json_array_get(array, 7), "items")), 2);
	json_decref(array);
	finish();
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("options");

	tcase_add_test(tests, durations);
	tcase_add_test(tests, sizes);
	tcase_add_test(tests, formats_read_back);
	tcase_add_test(tests, reads_every_type);
	tcase_add_test(tests, defaults_without_a_section);
	tcase_add_test(tests, says_what_does_not_fit);
	tcase_add_test(tests, wrong_values_leave_the_default);
	tcase_add_test(tests, reserved_keys_are_skipped);
	tcase_add_test(tests, stage_keys_are_options_too);
	tcase_add_test(tests, variables_are_named_in_remarks);
	tcase_add_test(tests, core_options_are_sound);
	tcase_add_test(tests, values_become_json);
	return fixture_main(tests, "options");
}
