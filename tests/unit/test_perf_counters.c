/* SPDX-License-Identifier: MIT */
/* plugins/perf-cpu: perf's words, groups of counters, sums and what a machine lacks, on a made-up kernel. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "counters.h"
#include "lib/perf/spec.h"

/* The made-up kernel: descriptors from 1000 on, so that close() of them does no harm. */
struct opened {
	uint32_t type;
	uint64_t config;
	int group_fd;
	bool disabled;
	bool exclude_kernel;
	bool exclude_user;
	int32_t pid;
	int32_t cpu;
	unsigned long flags;
};

static struct opened opened[64];
static int open_count;
static uint64_t lacking; /* bit n: PERF_TYPE_HARDWARE event n is missing */
static const uint32_t no_exclude_type = 33;
static bool groups_full; /* a second event in a group is one too many */

static int fake_open(void *ctx, const struct perf_event_attr *attr, int32_t pid, int32_t cpu, int group_fd,
		     unsigned long flags)
{
	(void)ctx;
	ck_assert_uint_eq(attr->inherit, cpu < 0); /* the kernel refuses an inherited one on a group */
	ck_assert(cpu >= 0 || pid > 0);
	if (attr->type == PERF_TYPE_HARDWARE && (lacking >> attr->config & 1)) {
		return -ENOENT;
	}
	if (attr->type == no_exclude_type &&
	    (attr->exclude_hv || attr->exclude_user || attr->exclude_kernel)) {
		return -EINVAL;
	}
	if (group_fd >= 0 && groups_full) {
		return -EINVAL;
	}
	opened[open_count] = (struct opened){
		attr->type,         attr->config, group_fd, attr->disabled, attr->exclude_kernel,
		attr->exclude_user, pid,          cpu,      flags
	};
	return 1000 + open_count++;
}

/* Each runs half of the time; the value tells which descriptor it was. */
static bool fake_read(void *ctx, int fd, struct counter_value *ret)
{
	(void)ctx;
	*ret = (struct counter_value){ (uint64_t)fd, 2000, 1000 };
	return true;
}

static struct counters counters;
static struct perf_attach attach;
static struct perf_attach_thread threads[3] = { { .pid = 5, .tid = 5 },
						{ .pid = 5, .tid = 6 },
						{ .tid = 7, .is_suspect = true } };

static void parse(const char *const *words, uint32_t count)
{
	struct perf_refusal refusal;

	open_count = 0;
	lacking = 0;
	groups_full = false;
	counters_init(&counters);
	ck_assert_msg(counters_parse(&counters, "events", words, count, &refusal) == 0, "%s: %s",
		      refusal.what, refusal.why);
	counters_pair(&counters);
	counters.open = fake_open;
	counters.read = fake_read;
	attach = (struct perf_attach){ .threads = threads, .thread_count = 3, .event = { .kernel = true } };
}

static void open_all(void)
{
	struct perf_refusal refusal;

	ck_assert_msg(counters_open(&counters, &attach, &refusal) == 0, "%s: %s", refusal.what, refusal.why);
}

static void check_word(const char *word, const char *name, uint32_t type, uint64_t config)
{
	struct perf_event_spec spec;

	ck_assert_msg(perf_spec_parse(word, &spec) == 0, "%s", word);
	ck_assert_str_eq(spec.name, name);
	ck_assert_uint_eq(spec.type, type);
	ck_assert_uint_eq(spec.config, config);
}

START_TEST(test_words)
{
	static const char *const wrong[] = {
		"",   "cycle", "r",      "rxyz",  "r12345678901234567", "a:b:c",
		":b", "a:",    "../x:y", "a:b/c", "sched:..",           "cycles "
	};
	static const char *const nowhere[] = { "/nonexistent" };
	struct perf_event_spec spec;

	check_word("cycles", "cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES);
	check_word("cpu-cycles", "cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES);
	check_word("faults", "page-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS);
	check_word("cs", "context-switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES);
	check_word("task-clock", "task-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK);
	check_word("L1-dcache-load-misses", "L1-dcache-load-misses", PERF_TYPE_HW_CACHE,
		   0 | 0 << 8 | 1 << 16);
	check_word("LLC-stores", "LLC-stores", PERF_TYPE_HW_CACHE, 2 | 1 << 8);
	check_word("dTLB-prefetches", "dTLB-prefetches", PERF_TYPE_HW_CACHE, 3 | 2 << 8);
	check_word("r1A2", "r1A2", PERF_TYPE_RAW, 0x1a2);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_msg(perf_spec_parse_in(wrong[i], nowhere, 1, &spec) == -EINVAL, "\"%s\"", wrong[i]);
	}
	ck_assert_int_eq(perf_spec_parse_in("sched:sched_switch", nowhere, 1, &spec), -ENOENT);
}
END_TEST

START_TEST(test_modifiers)
{
	static const char *const wrong[] = { "cycles:",     "cycles:x", "cycles:uu:k",
					     "cycles:pppp", ":u",       "cycles:H" };
	static const char *const nowhere[] = { "/nonexistent" };
	struct perf_event_spec spec;

	check_word("cpu-cycles:u", "cpu-cycles:u", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES);
	ck_assert_int_eq(perf_spec_parse("cycles:upp", &spec), 0);
	ck_assert(spec.only_user && !spec.only_kernel);
	ck_assert_uint_eq(spec.precise, 2);
	ck_assert_int_eq(perf_spec_parse("task-clock:k", &spec), 0);
	ck_assert(spec.only_kernel && spec.is_clock);
	ck_assert_int_eq(perf_spec_parse("r1a2:uk", &spec), 0);
	ck_assert(!spec.only_user && !spec.only_kernel && spec.type == PERF_TYPE_RAW);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_msg(perf_spec_parse_in(wrong[i], nowhere, 1, &spec) != 0, "\"%s\"", wrong[i]);
	}
	ck_assert_int_eq(perf_spec_parse_in("sched:sched_switch:u", nowhere, 1, &spec), -ENOENT);
}
END_TEST

START_TEST(test_tracepoints_have_the_id_of_tracefs)
{
	char folder[] = "/tmp/test-spec-XXXXXX";
	const char *folders[] = { "/nonexistent", folder };
	struct perf_event_spec spec;
	char path[128];
	FILE *file;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/sched", folder);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	strcat(path, "/sched_switch");
	ck_assert_int_eq(mkdir(path, 0700), 0);
	strcat(path, "/id");
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs("314\n", file);
	fclose(file);
	ck_assert_int_eq(perf_spec_parse_in("sched:sched_switch", folders, 2, &spec), 0);
	ck_assert_uint_eq(spec.type, PERF_TYPE_TRACEPOINT);
	ck_assert_uint_eq(spec.config, 314);
	unlink(path);
	for (int i = 0; i < 3; i++) {
		*strrchr(path, '/') = '\0';
		rmdir(path);
	}
}
END_TEST

START_TEST(test_words_that_are_none_are_refused)
{
	const char *words[] = { "cycles", "cylces" };
	struct perf_refusal refusal;

	counters_init(&counters);
	ck_assert_int_eq(counters_parse(&counters, "counters", words, 2, &refusal), PFC_EINVAL);
	ck_assert_ptr_nonnull(strstr(refusal.what, "cylces"));
	ck_assert_ptr_nonnull(strstr(refusal.hint, "branch-misses"));
}
END_TEST

START_TEST(test_ratios_share_a_group)
{
	const char *words[] = { "instructions", "task-clock", "cycles", "cache-misses", "cpu-cycles" };

	parse(words, 5);
	ck_assert_uint_eq(counters.count, 4); /* cycles twice is once */
	ck_assert_int_eq(counters.items[2].leader, 0);
	ck_assert_int_eq(counters.items[3].leader, -1); /* without cache-references it is no rate */
	open_all();
	ck_assert_int_eq(open_count, 8); /* of two threads; the late one has inherited */
	ck_assert_uint_eq(counters.late, 1);
	ck_assert_int_eq(opened[4].group_fd, 1000);
	ck_assert(!opened[4].disabled); /* a member follows its leader */
	ck_assert_int_eq(opened[5].group_fd, 1001);
	ck_assert_int_eq(opened[6].group_fd, -1);
	counters_close(&counters);
}
END_TEST

START_TEST(test_braces_make_groups)
{
	const char *words[] = { "{page-faults", "cs", "task-clock}:u", "cycles", "{instructions:k}", "r1a2" };

	parse(words, 6);
	ck_assert_uint_eq(counters.count, 6);
	ck_assert_str_eq(counters.items[5].name, "r1a2");
	ck_assert_str_eq(counters.items[0].name, "page-faults:u");
	ck_assert_str_eq(counters.items[2].name, "task-clock:u");
	ck_assert_int_eq(counters.items[0].leader, -1);
	ck_assert_int_eq(counters.items[1].leader, 0);
	ck_assert_int_eq(counters.items[2].leader, 0);
	ck_assert_int_eq(counters.items[3].leader, -1);
	ck_assert_str_eq(counters.items[4].name, "instructions:k");
	ck_assert_int_eq(counters.items[4].leader,
			 -1); /* alone in its braces, and no ratio with what is narrowed */
	open_all();
	ck_assert_int_eq(opened[2].group_fd, 1000);
	ck_assert(opened[0].exclude_kernel && !opened[0].exclude_user);
	ck_assert(!opened[8].exclude_kernel && opened[8].exclude_user);
	counters_close(&counters);
}
END_TEST

START_TEST(test_braces_that_do_not_match)
{
	static const char *const lists[][2] = { { "{cycles", "instructions" }, { "cycles}", "cs" },
						{ "{cycles", "{cs}" },         { "{", "cs}" },
						{ "{cycles}x", "cs" },         { "cycles", "{}" } };
	struct perf_refusal refusal;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		counters_init(&counters);
		ck_assert_msg(counters_parse(&counters, "events", lists[i], 2, &refusal) == PFC_EINVAL,
			      "%s, %s", lists[i][0], lists[i][1]);
	}
}
END_TEST

/* One event a CPU, on the folder's descriptor, not inherited; a group that was made anew goes on where the old one ended. */
START_TEST(test_counters_of_a_control_group)
{
	static struct perf_ring rings[2] = { { .cpu = 0 }, { .cpu = 5 } };
	const char *words[] = { "cycles", "instructions" };
	struct counter_value value;

	parse(words, 2);
	attach = (struct perf_attach){ .scope = PERF_SCOPE_GROUP,
				       .group = "/proc",
				       .rings = rings,
				       .cpu_count = 2,
				       .thread_count = 1,
				       .threads = threads,
				       .event = { .kernel = true } };
	open_all();
	ck_assert_int_eq(open_count, 4);
	ck_assert_int_eq(opened[1].cpu, 5);
	ck_assert_uint_eq(opened[1].flags, PERF_FLAG_PID_CGROUP);
	ck_assert_int_eq(opened[3].group_fd, 1001);
	ck_assert(counters_sum(&counters, 0, &value));
	ck_assert_uint_eq(value.value, 1000 + 1001);
	counters_renew(&counters, &attach);
	ck_assert(counters_sum(&counters, 0, &value));
	ck_assert_uint_eq(value.value, 1000 + 1001 + 1004 + 1005);
	attach.scope = PERF_SCOPE_CPUS;
	counters_close(&counters);
	parse(words, 1);
	attach = (struct perf_attach){
		.scope = PERF_SCOPE_CPUS, .rings = rings, .cpu_count = 2, .threads = threads
	};
	open_all();
	ck_assert_int_eq(opened[0].pid, -1);
	ck_assert_uint_eq(opened[0].flags, 0);
	counters_close(&counters);
}
END_TEST

START_TEST(test_a_group_that_does_not_fit_is_parted)
{
	const char *words[] = { "cycles", "instructions" };

	parse(words, 2);
	groups_full = true;
	open_all();
	ck_assert_int_eq(open_count, 4);
	ck_assert_int_eq(opened[2].group_fd, -1);
	ck_assert(opened[2].disabled);
	counters_close(&counters);
}
END_TEST

START_TEST(test_what_is_lacking_is_named_and_has_no_value)
{
	const char *words[] = { "cycles", "instructions", "page-faults" };
	struct counter_value value = { 77, 77, 77 };

	parse(words, 3);
	lacking = 1 << PERF_COUNT_HW_CPU_CYCLES | 1 << PERF_COUNT_HW_INSTRUCTIONS;
	open_all();
	ck_assert_str_eq(counters.missing, "cycles, instructions");
	ck_assert(!counters_sum(&counters, 0, &value));
	ck_assert_uint_eq(value.value, 77);
	ck_assert(counters_sum(&counters, 2, &value));
	ck_assert_uint_eq(value.value, 1000 + 1001); /* both threads */
	ck_assert_uint_eq(value.enabled_ns, 4000);
	ck_assert_uint_eq(value.running_ns, 2000);
	counters_close(&counters);
}
END_TEST

/* Commas between slashes part no words; what counts for whole CPUs, and what is not here, is named and never a zero. */
START_TEST(test_events_of_pmus)
{
	const char *words[] = {
		"{no_such/event=0x3c", "umask=0/", "page-faults}:u", "other/a=1", "b", "c/k"
	};
	const char *uncore = "page-faults"; /* made one below */
	static struct perf_ring rings[3] = { { .cpu = 0 }, { .cpu = 1 }, { .cpu = 2 } };
	struct counter_value value;

	parse(words, 6);
	ck_assert_uint_eq(counters.count, 3);
	ck_assert_str_eq(counters.items[0].name, "no_such/event=0x3c,umask=0/:u");
	ck_assert_str_eq(counters.items[2].name, "other/a=1,b,c/k");
	ck_assert(counters.items[0].spec.only_user && counters.items[2].spec.only_kernel);
	ck_assert_int_eq(counters.items[1].leader, 0);
	open_all();
	ck_assert_ptr_nonnull(strstr(counters.missing, "no_such/event=0x3c,umask=0/:u (no such PMU)"));
	ck_assert(!counters_sum(&counters, 0, &value));
	ck_assert(counters_sum(&counters, 1, &value)); /* a member whose leader is not there counts alone */
	counters_close(&counters);
	/* An uncore event: not for threads; on whole CPUs once for each of its sets. */
	parse(&uncore, 1);
	counters.items[0].spec.type = 17;
	strcpy(counters.items[0].spec.cpumask, "0,2");
	open_all();
	ck_assert_ptr_nonnull(strstr(counters.missing, "(counts for whole CPUs only)"));
	ck_assert_int_eq(open_count, 0);
	counters_close(&counters);
	parse(&uncore, 1);
	counters.items[0].spec.type = 17;
	strcpy(counters.items[0].spec.cpumask, "0,2");
	attach = (struct perf_attach){
		.scope = PERF_SCOPE_CPUS, .rings = rings, .cpu_count = 3, .threads = threads
	};
	open_all();
	ck_assert_int_eq(open_count, 2);
	ck_assert_int_eq(opened[1].cpu, 2);
	counters_close(&counters);
}
END_TEST

/* A PMU that can leave nothing out refuses to: then it counts all code. One that was told to with a modifier is lacking. */
START_TEST(test_a_pmu_that_leaves_nothing_out)
{
	const char *words[] = { "page-faults", "cs:u" };

	parse(words, 2);
	counters.items[0].spec.type = counters.items[1].spec.type = no_exclude_type;
	open_all();
	ck_assert_int_eq(open_count, 2);
	ck_assert(!opened[0].exclude_kernel && !opened[0].exclude_user);
	ck_assert_str_eq(counters.missing, "cs:u");
	counters_close(&counters);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("perf_counters");
	TCase *words = tcase_create("words");
	TCase *kernel = tcase_create("made-up kernel");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(words, test_words);
	tcase_add_test(words, test_modifiers);
	tcase_add_test(words, test_braces_that_do_not_match);
	tcase_add_test(kernel, test_events_of_pmus);
	tcase_add_test(kernel, test_a_pmu_that_leaves_nothing_out);
	tcase_add_test(kernel, test_braces_make_groups);
	tcase_add_test(kernel, test_counters_of_a_control_group);
	tcase_add_test(words, test_tracepoints_have_the_id_of_tracefs);
	tcase_add_test(words, test_words_that_are_none_are_refused);
	tcase_add_test(kernel, test_ratios_share_a_group);
	tcase_add_test(kernel, test_a_group_that_does_not_fit_is_parted);
	tcase_add_test(kernel, test_what_is_lacking_is_named_and_has_no_value);
	suite_add_tcase(suite, words);
	suite_add_tcase(suite, kernel);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
