/* SPDX-License-Identifier: MIT */
/* base/str.c: the buffer, UTF-8, and whether did-you-mean means what people meant. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

START_TEST(buffer_grows)
{
	struct str str = { 0 };
	char *text;

	ck_assert_str_eq(str_text(&str), "");
	for (int i = 0; i < 1000; i++) {
		str_format(&str, "%d,", i % 10);
	}
	str_add_bytes(&str, "end\0", 4);
	ck_assert_uint_eq(str.bytes, 2004);
	text = str_take(&str);
	ck_assert_ptr_nonnull(text);
	ck_assert_str_eq(text + 2000, "end");
	ck_assert_ptr_null(str.text);
	free(text);
	text = str_take(&str);
	ck_assert_str_eq(text, "");
	free(text);
}
END_TEST

START_TEST(starts_and_ends)
{
	ck_assert(str_starts("plugin:x", "plugin:"));
	ck_assert(!str_starts("plug", "plugin:"));
	ck_assert(str_ends("a.so", ".so"));
	ck_assert(!str_ends("so", ".so"));
}
END_TEST

START_TEST(utf8)
{
	static const char *const good[] = {
		"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"
	};
	static const char *const bad[] = { "\x80",     "\xc0\xaf",     "\xc3",
					   "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80",
					   "\xff",     "\xe0\x80\xaf", "\xf0\x80\x80\xaf",
					   "a\xc3(" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_msg(str_is_utf8(good[i]), "good %zu", i);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(!str_is_utf8(bad[i]), "bad %zu", i);
	}
}
END_TEST

START_TEST(distance)
{
	ck_assert_uint_eq(str_distance("", ""), 0);
	ck_assert_uint_eq(str_distance("abc", ""), 3);
	ck_assert_uint_eq(str_distance("run", "rnu"), 1);
	ck_assert_uint_eq(str_distance("kitten", "sitting"), 3);
}
END_TEST

/* Every name that a config of today may hold. */
static const char *const names[] = {
	"run",
	"target",
	"recipe",
	"plugin",
	"name",
	"duration",
	"output",
	"include",
	"lead",
	"deadline",
	"command",
	"pid",
	"process",
	"container",
	"cgroup",
	"image",
	"pod",
	"system",
	"ready",
	"compose-service",
	"compose-project",
	"ready_timeout",
	"stop_timeout",
	"directory",
	"on_restart",
	"use",
	"enabled",
	"on_failure",
	"perf-cpu",
	"memory",
	"strace",
	"load-test",
	"flamegraph",
	"report",
	"analyze",
	"null",
	"frequency",
	"call_graph",
	"max_stack",
	"kernel",
	"event",
	"ring",
	"url",
	"connections",
	"rate",
	"method",
	"headers",
	"body",
	"timeout",
	"keep_alive",
	"title",
	"min_width",
	"direction",
	"reverse",
	"color",
	"threads",
	"max_depth",
	"follow",
	"stop",
	"degrade",
	"abort",
	"dwarf",
	"auto",
};

/* What fingers and memories make of them: dropped, doubled, swapped and neighbouring letters, other forms of the word. */
static const char *const typos[][2] = {
	{ "frequncy", "frequency" },
	{ "freqency", "frequency" },
	{ "frequecny", "frequency" },
	{ "frequenzy", "frequency" },
	{ "freq", "frequency" },
	{ "frequencies", "frequency" },
	{ "Frequency", "frequency" },
	{ "fequency", "frequency" },
	{ "duraton", "duration" },
	{ "durration", "duration" },
	{ "duratoin", "duration" },
	{ "dur", "duration" },
	{ "duration_", "duration" },
	{ "DURATION", "duration" },
	{ "conections", "connections" },
	{ "connection", "connections" },
	{ "conns", "connections" },
	{ "connectoins", "connections" },
	{ "connexions", "connections" },
	{ "callgraph", "call_graph" },
	{ "call-graph", "call_graph" },
	{ "call_grpah", "call_graph" },
	{ "graph_call", "call_graph" },
	{ "cal_graph", "call_graph" },
	{ "flamegrap", "flamegraph" },
	{ "flame-graph", "flamegraph" },
	{ "flame_graph", "flamegraph" },
	{ "flamegrpah", "flamegraph" },
	{ "falmegraph", "flamegraph" },
	{ "framegraph", "flamegraph" },
	{ "loadtest", "load-test" },
	{ "load_test", "load-test" },
	{ "laod-test", "load-test" },
	{ "load-tset", "load-test" },
	{ "perfcpu", "perf-cpu" },
	{ "perf_cpu", "perf-cpu" },
	{ "pref-cpu", "perf-cpu" },
	{ "perf-cup", "perf-cpu" },
	{ "cpu-perf", "perf-cpu" },
	{ "analyse", "analyze" },
	{ "analize", "analyze" },
	{ "anaylze", "analyze" },
	{ "analyzer", "analyze" },
	{ "straec", "strace" },
	{ "stracee", "strace" },
	{ "trace", "strace" },
	{ "memroy", "memory" },
	{ "memori", "memory" },
	{ "mem", "memory" },
	{ "reprot", "report" },
	{ "reports", "report" },
	{ "targte", "target" },
	{ "taget", "target" },
	{ "tagret", "target" },
	{ "targets", "target" },
	{ "rnu", "run" },
	{ "runn", "run" },
	{ "Run", "run" },
	{ "plugn", "plugin" },
	{ "plugins", "plugin" },
	{ "pluging", "plugin" },
	{ "contianer", "container" },
	{ "conatiner", "container" },
	{ "containers", "container" },
	{ "cotainer", "container" },
	{ "procces", "process" },
	{ "proces", "process" },
	{ "porcess", "process" },
	{ "comand", "command" },
	{ "commmand", "command" },
	{ "cmmand", "command" },
	{ "cgorup", "cgroup" },
	{ "cgroups", "cgroup" },
	{ "ouput", "output" },
	{ "outptu", "output" },
	{ "ouptut", "output" },
	{ "inlcude", "include" },
	{ "includes", "include" },
	{ "deadlien", "deadline" },
	{ "dead_line", "deadline" },
	{ "compose_service", "compose-service" },
	{ "compose-servce", "compose-service" },
	{ "composeservice", "compose-service" },
	{ "compose-projct", "compose-project" },
	{ "ready-timeout", "ready_timeout" },
	{ "readytimeout", "ready_timeout" },
	{ "stoptimeout", "stop_timeout" },
	{ "on-restart", "on_restart" },
	{ "onrestart", "on_restart" },
	{ "on_fail", "on_failure" },
	{ "onfailure", "on_failure" },
	{ "on_faliure", "on_failure" },
	{ "enable", "enabled" },
	{ "enalbed", "enabled" },
	{ "directroy", "directory" },
	{ "dir_ectory", "directory" },
	{ "methd", "method" },
	{ "mehtod", "method" },
	{ "header", "headers" },
	{ "haeders", "headers" },
	{ "timout", "timeout" },
	{ "time_out", "timeout" },
	{ "keepalive", "keep_alive" },
	{ "keep-alive", "keep_alive" },
	{ "colour", "color" },
	{ "colors", "color" },
	{ "colro", "color" },
	{ "thread", "threads" },
	{ "maxdepth", "max_depth" },
	{ "max-stack", "max_stack" },
	{ "maxstack", "max_stack" },
	{ "kernle", "kernel" },
	{ "kernal", "kernel" },
	{ "evnet", "event" },
	{ "urll", "url" },
	{ "folow", "follow" },
	{ "degarde", "degrade" },
	{ "degraded", "degrade" },
	{ "abrot", "abort" },
	{ "dwraf", "dwarf" },
	{ "dwarff", "dwarf" },
	{ "minwidth", "min_width" },
	{ "min_widht", "min_width" },
	{ "revers", "reverse" },
	{ "reversed", "reverse" },
	{ "imgae", "image" },
	{ "sytem", "system" },
};

START_TEST(nearest_is_what_was_meant)
{
	size_t count = sizeof(typos) / sizeof(typos[0]);
	size_t right = 0;

	for (size_t i = 0; i < count; i++) {
		const char *near = str_nearest(typos[i][0], names, sizeof(names) / sizeof(names[0]));

		if (near != NULL && str_equal(near, typos[i][1])) {
			right++;
		} else {
			printf("# %s: %s instead of %s\n", typos[i][0], near != NULL ? near : "nothing",
			       typos[i][1]);
		}
	}
	printf("# did-you-mean: %zu of %zu\n", right, count);
	ck_assert_uint_ge(count, 100);
	ck_assert_uint_ge(right * 100, count * 95);
}
END_TEST

/* A wrong guess is worse than a list of what there is. */
START_TEST(nearest_leaves_strangers_alone)
{
	static const char *const strangers[] = { "foo",      "xyz",         "banana", "q",    "",
						 "zzzzzzzz", "hello_world", "42",     "quux", "x-y" };

	for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
		const char *near = str_nearest(strangers[i], names, sizeof(names) / sizeof(names[0]));

		ck_assert_msg(near == NULL, "%s: %s", strangers[i], near != NULL ? near : "");
	}
	ck_assert_ptr_null(str_nearest("run", NULL, 0));
}
END_TEST

START_TEST(nearest_takes_long_words)
{
	char word[300];

	memset(word, 'a', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	ck_assert_ptr_null(str_nearest(word, names, sizeof(names) / sizeof(names[0])));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("str");
	TCase *tests = tcase_create("str");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tests, buffer_grows);
	tcase_add_test(tests, starts_and_ends);
	tcase_add_test(tests, utf8);
	tcase_add_test(tests, distance);
	tcase_add_test(tests, nearest_is_what_was_meant);
	tcase_add_test(tests, nearest_leaves_strangers_alone);
	tcase_add_test(tests, nearest_takes_long_words);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
