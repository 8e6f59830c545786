/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cmd/args.h"
#include "config_fixture.h"

static bool json;
static const char *config;
static struct args_list sets;

static const struct args_option options[] = {
	{ .name = "json", .flag = &json },
	{ .name = "config", .letter = 'c', .text = &config },
	{ .name = "set", .list = &sets },
	{ .name = NULL },
};

static char *words[600];

static int parse(int argc, const char *const *argv)
{
	json = false;
	config = NULL;
	memset(&sets, 0, sizeof(sets));
	for (int i = 0; i < argc; i++) {
		words[i] = (char *)argv[i];
	}
	return args_parse(argc, words, options);
}

#define PARSE(...) parse((int)(sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *)), (const char *[]){ __VA_ARGS__ })

START_TEST(options_stand_anywhere)
{
	ck_assert_int_eq(PARSE("run", "a", "--json", "b", "-c", "f.ini", "--set", "x.y=1", "--set=z.w=a=b", "c"), 4);
	ck_assert(json);
	ck_assert_str_eq(config, "f.ini");
	ck_assert_uint_eq(sets.count, 2);
	ck_assert_str_eq(sets.items[0], "x.y=1");
	ck_assert_str_eq(sets.items[1], "z.w=a=b");
	ck_assert_str_eq(words[0], "run");
	ck_assert_str_eq(words[1], "a");
	ck_assert_str_eq(words[2], "b");
	ck_assert_str_eq(words[3], "c");
}
END_TEST

START_TEST(short_forms)
{
	ck_assert_int_eq(PARSE("run", "-cf.ini"), 1);
	ck_assert_str_eq(config, "f.ini");
	ck_assert_int_eq(PARSE("run", "--config=f.ini"), 1);
	ck_assert_str_eq(config, "f.ini");
	ck_assert_int_eq(PARSE("run", "--config="), 1);
	ck_assert_str_eq(config, "");
	ck_assert_int_eq(PARSE("run", "-"), 2); /* a word: standard input by custom */
	ck_assert_int_eq(PARSE("run"), 1);
}
END_TEST

START_TEST(two_dashes_end_the_options)
{
	ck_assert_int_eq(PARSE("run", "--", "--json", "-c"), 3);
	ck_assert(!json);
	ck_assert_str_eq(words[1], "--json");
}
END_TEST

START_TEST(misuse_is_refused)
{
	ck_assert_int_eq(PARSE("run", "--jsn"), -1);
	ck_assert_int_eq(PARSE("run", "--jsn=1"), -1);
	ck_assert_int_eq(PARSE("run", "--=1"), -1);
	ck_assert_int_eq(PARSE("run", "-x"), -1);
	ck_assert_int_eq(PARSE("run", "--json=yes"), -1);
	ck_assert_int_eq(PARSE("run", "--config"), -1);
	ck_assert_int_eq(PARSE("run", "-c"), -1);
	ck_assert_int_eq(PARSE("run", "--js"), -1); /* no silent abbreviations */
}
END_TEST

START_TEST(a_list_has_an_end)
{
	const char *argv[600] = { "run" };
	int room = (int)(sizeof(sets.items) / sizeof(sets.items[0]));

	for (int i = 1; i < 600; i++) {
		argv[i] = "--set=a.b=1";
	}
	ck_assert_int_eq(parse(room + 1, argv), 1);
	ck_assert_uint_eq(sets.count, (size_t)room);
	ck_assert_int_eq(parse(room + 2, argv), -1);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("args");

	tcase_add_test(tests, options_stand_anywhere);
	tcase_add_test(tests, short_forms);
	tcase_add_test(tests, two_dashes_end_the_options);
	tcase_add_test(tests, misuse_is_refused);
	tcase_add_test(tests, a_list_has_an_end);
	return fixture_main(tests, "args");
}
