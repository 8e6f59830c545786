/* SPDX-License-Identifier: MIT */
/*
 * What the built plugin `analyze` finds in made-up memory artifacts: growth with its function, churn, leaks, limits; and what it must not
 * find in what ended, stayed level, or is too small. Usage: test_analyze_memory ANALYZE_SO
 */
#include <check.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/profcore.h>

#include "bench_host.h"
#include "synth.h"

#define T0     1000000000u
#define TICKS  100u
#define MIB    (1ull << 20)
#define FAULTS 400u

static const char *plugin_path;

/* A course, and what is in the tables beside it. */
struct course {
	uint64_t anon_first, anon_last; /* a straight line */
	uint64_t ended;                 /* exits of the one process */
	uint64_t oom_kills, limit_hits;
	int64_t limit;
	unsigned kept; /* of FAULTS page faults: still there at the end */
	const char *leaks;
};

#define COLUMN(t, n, u)                                                                                      \
	{                                                                                                    \
		sizeof(struct pfc_column), t, n, u                                                           \
	}

static uint32_t declare(const struct pfc_writer *to, const char *name, const struct pfc_column *columns,
			uint32_t count)
{
	struct pfc_table table = { sizeof(table), count, name, columns, sizeof(*columns), -1 };
	int32_t id = to->declare(to->ctx, &table);

	ck_assert_int_ge(id, 0);
	return (uint32_t)id;
}

#define DECLARE(to, name, columns) declare(to, name, columns, sizeof(columns) / sizeof((columns)[0]))

static void add(const struct pfc_writer *to, uint32_t table, const void *const *row)
{
	ck_assert_int_eq(to->append(to->ctx, table, 1, row), 0);
}

static void write_memory(const struct pfc_writer *to, const struct course *course)
{
	static const struct pfc_column strings[] = { COLUMN(PFC_UTF8, "text", "") };
	static const struct pfc_column processes[] = { COLUMN(PFC_I32, "pid", "id") };
	static const struct pfc_column totals[] = { COLUMN(PFC_U64, "time", "ns"),
						    COLUMN(PFC_U32, "processes", "count"),
						    COLUMN(PFC_U64, "rss", "bytes"),
						    COLUMN(PFC_U64, "anon", "bytes") };
	static const struct pfc_column group[] = { COLUMN(PFC_I64, "limit", "bytes"),
						   COLUMN(PFC_I64, "current", "bytes") };
	static const struct pfc_column events[] = { COLUMN(PFC_U8, "kind", "enum"),
						    COLUMN(PFC_U64, "value", "count") };
	static const struct pfc_column faults[] = { COLUMN(PFC_U64, "time", "ns"),
						    COLUMN(PFC_I32, "tid", "id"),
						    COLUMN(PFC_U8, "kept", "enum") };
	static const struct pfc_column leaks[] = {
		COLUMN(PFC_U8, "verdict", "enum"),       COLUMN(PFC_F64, "confidence", "%"),
		COLUMN(PFC_F64, "rate", "bytes/s"),      COLUMN(PFC_F64, "rate_low", "bytes/s"),
		COLUMN(PFC_F64, "rate_high", "bytes/s"), COLUMN(PFC_U32, "function", "id:strings"),
		COLUMN(PFC_U32, "module", "id:strings")
	};
	uint32_t strings_id = DECLARE(to, "strings", strings),
		 processes_id = DECLARE(to, "processes", processes),
		 totals_id = DECLARE(to, "totals", totals), group_id = DECLARE(to, "group", group),
		 events_id = DECLARE(to, "events", events), faults_id = DECLARE(to, "faults", faults),
		 leaks_id = DECLARE(to, "leaks", leaks);
	const char *texts[] = { "", course->leaks ? course->leaks : "nothing" };
	int32_t pid = 7;
	uint32_t one = 1, function = 1, module = 0;

	for (int i = 0; i < 2; i++) {
		struct pfc_string text = { texts[i], strlen(texts[i]) };
		add(to, strings_id, (const void *[]){ &text });
	}
	add(to, processes_id, (const void *[]){ &pid });
	for (uint64_t i = 0; i <= TICKS; i++) {
		uint64_t time_ns = T0 + i * 10000000;
		uint64_t anon = (uint64_t)((double)course->anon_first +
					   ((double)course->anon_last - (double)course->anon_first) *
						   (double)i / TICKS);
		uint64_t rss = anon + MIB;

		add(to, totals_id, (const void *[]){ &time_ns, &one, &rss, &anon });
	}
	for (uint32_t i = 0; i < FAULTS; i++) {
		uint64_t time_ns = T0 + i * 1000000ull;
		uint8_t kept = i % FAULTS < course->kept;

		add(to, faults_id, (const void *[]){ &time_ns, &pid, &kept });
	}
	if (course->limit) {
		int64_t current = course->limit;
		add(to, group_id, (const void *[]){ &course->limit, &current });
	}
	{
		const uint64_t values[] = { course->ended, course->oom_kills, course->limit_hits };
		for (uint8_t i = 0; i < 3; i++) {
			uint8_t kind = 2 + i;
			if (values[i]) {
				add(to, events_id, (const void *[]){ &kind, &values[i] });
			}
		}
	}
	if (course->leaks) {
		const double figures[] = { 99.9, 17000, 10000, 24000 };
		uint8_t verdict = 1;
		add(to, leaks_id,
		    (const void *[]){ &verdict, &figures[0], &figures[1], &figures[2], &figures[3], &function,
				      &module });
	}
	ck_assert_int_eq(to->commit(to->ctx), 0);
}

/* Page faults, one a millisecond of a MiB each: three of four in fill_pages, by way of an inlined std::, one of four in other. */
static void write_faults(const struct pfc_writer *to)
{
	struct synth s;
	uint32_t app, main_stack, fill, other, at;

	synth_begin(&s, to);
	app = synth_module(&s, "/srv/forum/bin/forum", 1);
	main_stack = synth_stack(&s, 0, synth_location(&s, app, 0x1000, "main", "main.c", 8));
	at = synth_location(&s, app, 0x2000, "fill_pages", "main.c", 20);
	synth_inlined(&s, at, 1, "std::fill", "stl", 88);
	fill = synth_stack(&s, main_stack, at);
	other = synth_stack(&s, main_stack, synth_location(&s, app, 0x3000, "other", "main.c", 30));
	for (uint32_t i = 0; i < FAULTS; i++) {
		synth_samples(&s, T0 + i * 1000000ull, 7, 7, i % 4 ? fill : other, MIB, 1);
	}
	synth_end(&s, 1);
}

/* The report for programs; the caller frees it. */
static char *analyze(const struct course *course)
{
	struct mem_artifact *memory =
		mem_artifact_create("memory", "timeline", "profcore.memory/1", "memory", 64);
	struct mem_artifact *faults =
		mem_artifact_create("memory", "faults", "profcore.stacks/1", "faults", 64);
	void *handle = dlopen(plugin_path, RTLD_NOW | RTLD_LOCAL);
	struct bench_host bench;
	char *text;

	ck_assert_msg(handle != NULL, "%s", dlerror());
	write_memory(mem_artifact_writer(memory), course);
	write_faults(mem_artifact_writer(faults));
	bench_host_init(&bench);
	bench.window.t0_ns = T0;
	bench.window.t1_ns = T0 + 1000000000u;
	bench_host_input(&bench, "memory", mem_artifact_reader(memory));
	bench_host_input(&bench, "stacks", mem_artifact_reader(faults));
	ck_assert_int_eq(bench_host_run(&bench, (pfc_plugin_entry)dlsym(handle, PFC_PLUGIN_ENTRY)), 0);
	text = strdup(bench_host_output(&bench, "json", NULL));
	bench_host_finish(&bench);
	mem_artifact_destroy(memory);
	mem_artifact_destroy(faults);
	dlclose(handle);
	return text;
}

static void check(const struct course *course, const char *has, const char *lacks)
{
	char *text = analyze(course);

	ck_assert_msg(!has || strstr(text, has) != NULL, "no \"%s\" in %.1500s", has, text);
	ck_assert_msg(!lacks || strstr(text, lacks) == NULL, "\"%s\" in %.1500s", lacks, text);
	free(text);
}

START_TEST(growth_has_the_function_that_is_not_the_languages)
{
	const struct course grows = { .anon_first = MIB, .anon_last = 400 * MIB, .kept = FAULTS };

	check(&grows, "RSS grew 399 MiB in the window, 75 % of it faulted in under fill_pages (forum)",
	      "\"memory_churn\"");
	check(&grows, "and still did at its end", "under std::fill");
}
END_TEST

START_TEST(what_is_level_or_little_did_not_grow)
{
	const struct course level = { .anon_first = 400 * MIB, .anon_last = 405 * MIB, .kept = 5 };
	const struct course little = { .anon_first = MIB / 2, .anon_last = 3 * MIB, .kept = 3 };

	check(&level, NULL, "\"memory_growth\"");
	check(&little, NULL, "\"memory_growth\"");
}
END_TEST

START_TEST(what_comes_and_goes_is_churn_unless_all_is_over)
{
	const struct course churns = { .anon_first = 10 * MIB, .anon_last = 10 * MIB, .kept = 8 };
	const struct course over = { .anon_first = MIB, .anon_last = 300 * MIB, .ended = 1 };

	check(&churns, "75 % of it under fill_pages (forum)", "\"memory_growth\"");
	check(&churns, "\"memory_churn\"", NULL);
	check(&over, "75 % of what came in faulted in under fill_pages (forum)", "\"memory_churn\"");
}
END_TEST

START_TEST(leaks_and_limits_are_said)
{
	const struct course leaks = {
		.anon_first = 10 * MIB, .anon_last = 10 * MIB, .kept = FAULTS, .leaks = "forgets"
	};
	const struct course killed = {
		.anon_first = MIB, .anon_last = MIB, .oom_kills = 2, .limit = (int64_t)(64 * MIB)
	};
	const struct course limited = {
		.anon_first = MIB, .anon_last = MIB, .limit_hits = 9, .limit = (int64_t)(64 * MIB)
	};
	const struct course calm = { .anon_first = MIB, .anon_last = MIB, .limit = (int64_t)(64 * MIB) };

	check(&leaks, "forgets leaks 16.6 KiB a second", NULL);
	check(&leaks, "99.9 % sure", NULL);
	check(&killed, "The kernel killed 2 of the target", "\"memory_limit\"");
	check(&limited, "memory limit was hit 9 times", "\"oom_kill\"");
	check(&calm, NULL, "\"memory_limit\"");
	check(&calm, NULL, "\"leak\"");
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("analyze_memory");
	TCase *tests = tcase_create("findings");
	SRunner *runner;
	int failed;

	plugin_path = argc > 1 ? argv[1] : "analyze.so";
	tcase_add_test(tests, growth_has_the_function_that_is_not_the_languages);
	tcase_add_test(tests, what_is_level_or_little_did_not_grow);
	tcase_add_test(tests, what_comes_and_goes_is_churn_unless_all_is_over);
	tcase_add_test(tests, leaks_and_limits_are_said);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
