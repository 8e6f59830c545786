/* SPDX-License-Identifier: MIT */
/* core/config: files, includes, environment and --set; all faults at once, in order, each with its place. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "config/config.h"
#include "config_fixture.h"

static struct diag_list diags;
static struct config *config;

static void load_with(const char *path, const char *const *sets, size_t count)
{
	struct pfc_error error;

	ck_assert_int_eq(config_load(path, sets, count, &diags, &config, &error), 0);
}

static void load(const char *text)
{
	load_with(fixture_write("x.ini", text), NULL, 0);
}

static void unload(void)
{
	config_destroy(config);
	diag_finish(&diags);
	config = NULL;
}

static const char *text_of(const char *kind, const char *name, const char *key)
{
	const struct config_value *value = config_value(config_section(config, kind, name), key);

	return value != NULL ? value->text : "(none)";
}

static void expect(const char *text, const char *remarks)
{
	load(text);
	config_check(config, &diags);
	ck_assert_str_eq(fixture_remarks(&diags), remarks);
	unload();
}

START_TEST(reads_a_config)
{
	load("[run]\nduration = 30s\n[target]\ncontainer = web\n[plugin:perf-cpu]\n[plugin:flame]\nuse = "
	     "flamegraph\n");
	ck_assert_uint_eq(diags.count, 0);
	ck_assert_str_eq(text_of("run", NULL, "duration"), "30s");
	ck_assert_str_eq(text_of("run", NULL, "name"), "x");
	ck_assert_str_eq(config_value(config_section(config, "run", NULL), "name")->origin.file, "default");
	ck_assert_str_eq(text_of("target", NULL, "container"), "web");
	ck_assert_str_eq(text_of("plugin", "flame", "use"), "flamegraph");
	ck_assert_ptr_nonnull(config_section(config, "plugin", "perf-cpu"));
	ck_assert_int_eq(config_section(config, "plugin", "perf-cpu")->origin.line, 5);
	ck_assert_ptr_null(config_section(config, "plugin", "perf"));
	unload();
}
END_TEST

START_TEST(later_sources_win)
{
	const char *const sets[] = { "perf-cpu.frequency=5", "run.duration=7s", "perf-cpu.input.x=a.b" };
	const struct config_value *value;

	setenv("PROFCORE__PERF_CPU__FREQUENCY", "4", 1);
	setenv("PROFCORE__RUN__LEAD", "1ms", 1);
	fixture_write(
		"base.ini",
		"[run]\nduration = 1s\noutput = out\n[plugin:perf-cpu]\nfrequency = 2\nevent = cycles\n");
	load_with(
		fixture_write("x.ini",
			      "[run]\ninclude = base.ini\nduration = 3s\n[plugin:perf-cpu]\nfrequency = 3\n"),
		sets, 3);
	ck_assert_str_eq(fixture_remarks(&diags), "");
	value = config_value(config_section(config, "plugin", "perf-cpu"), "frequency");
	ck_assert_str_eq(value->text, "5");
	ck_assert_str_eq(value->origin.file, "--set");
	ck_assert_str_eq(value->overridden->text, "4");
	ck_assert_str_eq(value->overridden->origin.file, "environment");
	ck_assert_str_eq(value->overridden->overridden->text, "3");
	ck_assert_int_eq(value->overridden->overridden->origin.line, 5);
	ck_assert_str_eq(value->overridden->overridden->overridden->text, "2");
	ck_assert_str_eq(value->overridden->overridden->overridden->origin.file, fixture_path("base.ini"));
	ck_assert_ptr_null(value->overridden->overridden->overridden->overridden);
	ck_assert_str_eq(text_of("plugin", "perf-cpu", "event"), "cycles");
	ck_assert_str_eq(text_of("plugin", "perf-cpu", "input.x"), "a.b");
	ck_assert_str_eq(text_of("run", NULL, "duration"), "7s");
	ck_assert_str_eq(text_of("run", NULL, "output"), "out");
	ck_assert_str_eq(text_of("run", NULL, "lead"), "1ms");
	ck_assert_str_eq(text_of("run", NULL, "include"), "(none)");
	unload();
}
END_TEST

START_TEST(all_faults_at_once_in_order)
{
	expect("[runn]\nname = x\n[plugins:perf]\n[perf-cpu]\n[%&!]\n[plugin:run]\n[plugin:a "
	       "b]\nbad\n[target]\n[target]\n",
	       "x.ini:1: error: unknown section [runn]; did you mean [run]?\n"
	       "x.ini:3: error: unknown section [plugins:perf]; did you mean [plugin:perf]?\n"
	       "x.ini:4: error: unknown section [perf-cpu]; did you mean [plugin:perf-cpu]?\n"
	       "x.ini:5: error: unknown section [%&!]; sections are [run], [target] and [plugin:NAME]\n"
	       "x.ini:6: error: \"run\" cannot name a stage: use letters, digits, - and _, at most 40, and "
	       "no reserved word\n"
	       "x.ini:7: error: \"a b\" cannot name a stage: use letters, digits, - and _, at most 40, and "
	       "no reserved word\n"
	       "x.ini:8: error: \"bad\" is no `key = value`, section, comment or continued value\n"
	       "x.ini:10: error: section [target] a second time, the first is on line 9; merge them\n");
}
END_TEST

START_TEST(includes_are_relative_and_deep)
{
	char name[32];
	char text[64];

	mkdir(fixture_path("sub"), 0755);
	fixture_write("sub/a.ini", "[run]\ninclude = b.ini, c.ini\n");
	fixture_write("sub/b.ini", "[run]\nlead = 1ms\noutput = b\n");
	fixture_write("sub/c.ini", "[run]\noutput = c\n");
	load("[run]\ninclude = sub/a.ini\n");
	ck_assert_uint_eq(diags.count, 0);
	ck_assert_str_eq(text_of("run", NULL, "lead"), "1ms");
	ck_assert_str_eq(text_of("run", NULL, "output"), "c");
	unload();
	for (int i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "d%d.ini", i);
		snprintf(text, sizeof(text), "[run]\ninclude = d%d.ini\n", i + 1);
		fixture_write(name, text);
	}
	fixture_write("d8.ini", "[run]\nlead = 2ms\n");
	load_with(fixture_path("d0.ini"), NULL, 0);
	ck_assert_str_eq(fixture_remarks(&diags), "");
	ck_assert_str_eq(text_of("run", NULL, "lead"), "2ms");
	unload();
	fixture_write("d8.ini", "[run]\ninclude = d9.ini\n");
	load_with(fixture_path("d0.ini"), NULL, 0);
	ck_assert_str_eq(fixture_remarks(&diags),
			 "d8.ini:2: error: include d9.ini: more than 8 files deep\n");
	unload();
}
END_TEST

START_TEST(include_faults_are_said)
{
	fixture_write("loop.ini", "[run]\ninclude = x.ini\n");
	expect("[run]\nname = x\ninclude = loop.ini, nothere.ini\n",
	       "loop.ini:2: error: include x.ini: it is being included already (as x.ini)\n"
	       "x.ini:3: error: include nothere.ini: No such file or directory\n");
	fixture_write("twice.ini", "[run]\ninclude = twice.ini, twice.ini, twice.ini\n");
	fixture_write("wrong.ini", "[runn]\n");
	expect("[run]\ninclude = wrong.ini\n",
	       "wrong.ini:1: error: unknown section [runn]; did you mean [run]?\n");
	/* Eight files, each naming the next eight times: bounded, and said. */
	for (int i = 0; i < 8; i++) {
		char name[32];
		char text[256];

		snprintf(name, sizeof(name), "w%d.ini", i);
		snprintf(text, sizeof(text),
			 "[run]\ninclude = w%d.ini,w%d.ini,w%d.ini,w%d.ini,w%d.ini,w%d.ini\n", i + 1, i + 1,
			 i + 1, i + 1, i + 1, i + 1);
		fixture_write(name, text);
	}
	fixture_write("w8.ini", "[run]\nlead = 1ms\n");
	load_with(fixture_path("w0.ini"), NULL, 0);
	ck_assert_ptr_nonnull(strstr(fixture_remarks(&diags), "more than 64 files in all"));
	unload();
}
END_TEST

START_TEST(unreadable_files_are_said)
{
	char *large = malloc(10 << 20);

	ck_assert_ptr_nonnull(large);
	memset(large, '\n', 10 << 20);
	load_with(fixture_path("none.ini"), NULL, 0);
	ck_assert_str_eq(fixture_remarks(&diags), "none.ini: error: No such file or directory\n");
	unload();
	load_with(fixture_folder(), NULL, 0);
	ck_assert_ptr_nonnull(strstr(fixture_remarks(&diags), "error: is a folder, not a file\n"));
	unload();
	load_with(fixture_write_bytes("large.ini", large, 10 << 20), NULL, 0);
	ck_assert_str_eq(fixture_remarks(&diags),
			 "large.ini: error: larger than 1 MiB, which no configuration needs\n");
	unload();
	load_with("/dev/zero", NULL, 0);
	ck_assert_str_eq(fixture_remarks(&diags),
			 "/dev/zero: error: larger than 1 MiB, which no configuration needs\n");
	unload();
	load_with(NULL, NULL, 0);
	ck_assert_uint_eq(diags.count, 0);
	ck_assert_str_eq(text_of("run", NULL, "name"), "run");
	unload();
	free(large);
}
END_TEST

START_TEST(variables_are_matched_loosely_and_checked)
{
	setenv("PROFCORE__TARGET__COMPOSE_SERVICE", "web", 1);
	setenv("PROFCORE__my_stage__Call_Graph", "fp", 1);
	setenv("PROFCORE__A__B__KEY", "1", 1);
	setenv("PROFCORE_PLUGIN_PATH", "/x", 1);
	load("[plugin:my-stage]\ncall-graph = x\n[plugin:a__b]\n");
	ck_assert_str_eq(fixture_remarks(&diags), "");
	ck_assert_str_eq(text_of("target", NULL, "compose-service"), "web");
	ck_assert_str_eq(text_of("plugin", "my-stage", "call-graph"), "fp");
	ck_assert_str_eq(text_of("plugin", "a__b", "key"), "1");
	unload();
	setenv("PROFCORE__MY_STAEG__X", "1", 1);
	setenv("PROFCORE__RUN__", "1", 1);
	setenv("PROFCORE__X", "1", 1);
	setenv("PROFCORE__RUN__INCLUDE", "1", 1);
	setenv("PROFCORE__RUN__OUTPUT", "\xff", 1);
	load("[plugin:my-stage]\n[plugin:a__b]\n");
	ck_assert_uint_eq(diags.count, 5);
	ck_assert_ptr_nonnull(strstr(fixture_remarks(&diags),
				     "environment: error: PROFCORE__MY_STAEG__X: there is no stage "
				     "\"my-staeg\"; did you mean \"my-stage\"?\n"));
	ck_assert_ptr_nonnull(
		strstr(fixture_remarks(&diags), "PROFCORE__X: write it as PROFCORE__SECTION__KEY"));
	ck_assert_ptr_nonnull(strstr(fixture_remarks(&diags), "PROFCORE__RUN__: write it as"));
	ck_assert_ptr_nonnull(
		strstr(fixture_remarks(&diags), "PROFCORE__RUN__INCLUDE: include works in a file only"));
	ck_assert_ptr_nonnull(
		strstr(fixture_remarks(&diags), "PROFCORE__RUN__OUTPUT: the value is not UTF-8"));
	unload();
}
END_TEST

START_TEST(sets_are_checked)
{
	static const char *const sets[] = {
		"run.duration", "duration=5s",       "=",           ".x=1", "run.=1", "perf-cup.frequency=1",
		"zzz.a=1",      "run.include=a.ini", "run.name=a=b"
	};

	load_with(fixture_write("x.ini", "[plugin:perf-cpu]\n"), sets, sizeof(sets) / sizeof(sets[0]));
	ck_assert_uint_eq(diag_errors(&diags), 8);
	ck_assert_ptr_nonnull(strstr(fixture_remarks(&diags), "did you mean \"perf-cpu\"?"));
	ck_assert_ptr_nonnull(strstr(fixture_remarks(&diags), "there are run, target, perf-cpu\n"));
	ck_assert_str_eq(text_of("run", NULL, "name"), "a=b");
	unload();
}
END_TEST

START_TEST(code_may_set_values)
{
	struct pfc_error error;

	load("[run]\nduration = 1s\n");
	ck_assert_int_eq(config_set(config, "run", NULL, "duration", "9s", "command line", &error), 0);
	ck_assert_int_eq(config_set(config, "target", NULL, "pid", "1", "command line", &error), 0);
	ck_assert_int_eq(config_set(config, "plugin", "new", "x", "1", "command line", &error), 0);
	ck_assert_str_eq(text_of("run", NULL, "duration"), "9s");
	ck_assert_str_eq(config_value(config_section(config, "run", NULL), "duration")->origin.file,
			 "command line");
	ck_assert_str_eq(config_value(config_section(config, "run", NULL), "duration")->overridden->text,
			 "1s");
	ck_assert_str_eq(text_of("target", NULL, "pid"), "1");
	ck_assert_str_eq(text_of("plugin", "new", "x"), "1");
	unload();
}
END_TEST

START_TEST(sections_are_judged_as_a_whole)
{
	expect("[target]\npid = 1\ncontainer = x\n", "x.ini:3: error: [target] container beside pid "
						     "(x.ini:2): a run has one target, give one of them\n");
	expect("[target]\ncontainer = x\nprocess = backend\n", "");
	expect("[target]\ncommand = x\nprocess = backend\n",
	       "x.ini:3: error: [target] process beside command (x.ini:2): a run has one target, give one of "
	       "them\n");
	expect("[target]\npid = 1\nsystem = yes\n", "x.ini:3: error: [target] system beside pid (x.ini:2): a "
						    "run has one target, give one of them\n");
	expect("[target]\npid =\ncontainer = x\n", "");
	expect("[target]\ncompose-project = x\n",
	       "x.ini:2: error: [target] compose-project narrows compose-service, and that is not given\n");
	expect("[target]\npid = 1\nready = tcp:1\n", "x.ini:3: warning: [target] ready is for a launched "
						     "command, and there is no command, ignoring it\n");
	expect("[run]\nname = ../x\n",
	       "x.ini:2: error: name = ../x: it becomes part of a folder's name: use letters, digits, . - "
	       "and _, at most 64\n");
	expect("[recipe]\nseconds = run.duration\nurl = load.url\nhelp = Any text\n[plugin:perf]\n",
	       "x.ini:3: error: [recipe] url = load.url: a shorthand stands for SECTION.key, for instance "
	       "run.duration\n");
}
END_TEST

START_TEST(run_names_fit_folders)
{
	load_with(fixture_write("a b\xc3\xa9.ini", ""), NULL, 0);
	ck_assert_str_eq(text_of("run", NULL, "name"), "a_b__");
	unload();
	load_with(fixture_write("...ini", ""), NULL, 0);
	config_check(config, &diags);
	ck_assert_str_eq(fixture_remarks(&diags), "");
	unload();
}
END_TEST

START_TEST(remarks_are_sorted_and_escaped)
{
	const struct origin places[] = { { "b", 2 }, { "a", 9 }, { "b", 1 }, { "a", 0 } };

	for (size_t i = 0; i < 4; i++) {
		diag_add(&diags, i == 1 ? DIAG_WARNING : DIAG_ERROR, &places[i], "no %zu\x1b[1m", i);
	}
	diag_add(&diags, DIAG_NOTE, &places[2], "second");
	diag_add(&diags, DIAG_ERROR, NULL, "nowhere");
	ck_assert_str_eq(fixture_remarks(&diags),
			 "profcore: error: nowhere\na: error: no 3\\x1b[1m\na:9: warning: no 1\\x1b[1m\n"
			 "b:1: error: no 2\\x1b[1m\nb:1: note: second\nb:2: error: no 0\\x1b[1m\n");
	ck_assert_uint_eq(diag_errors(&diags), 4);
	diag_finish(&diags);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("config");

	tcase_add_test(tests, reads_a_config);
	tcase_add_test(tests, later_sources_win);
	tcase_add_test(tests, all_faults_at_once_in_order);
	tcase_add_test(tests, includes_are_relative_and_deep);
	tcase_add_test(tests, include_faults_are_said);
	tcase_add_test(tests, unreadable_files_are_said);
	tcase_add_test(tests, variables_are_matched_loosely_and_checked);
	tcase_add_test(tests, sets_are_checked);
	tcase_add_test(tests, code_may_set_values);
	tcase_add_test(tests, sections_are_judged_as_a_whole);
	tcase_add_test(tests, run_names_fit_folders);
	tcase_add_test(tests, remarks_are_sorted_and_escaped);
	return fixture_main(tests, "config");
}
