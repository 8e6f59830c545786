/* SPDX-License-Identifier: MIT */
/* plugins/lib/perf: events of named PMUs, on a made-up tree in the form of /sys/bus/event_source/devices. */
#include <check.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/perf/pmu.h"

static char root[] = "/tmp/test-pmu-XXXXXX";

static void put(const char *path, const char *text)
{
	char whole[256];
	FILE *file;

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(whole, sizeof(whole), "%s/%.*s", root, (int)(slash - path), path);
		ck_assert(mkdir(whole, 0700) == 0 || errno == EEXIST);
	}
	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	file = fopen(whole, "w");
	ck_assert_ptr_nonnull(file);
	fprintf(file, "%s\n", text);
	fclose(file);
}

static void setup(void)
{
	strcpy(strrchr(root, '-') + 1, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	put("cpu/type", "4");
	put("cpu/format/event", "config:0-7,32-35"); /* as AMD's: in two pieces */
	put("cpu/format/umask", "config:8-15");
	put("cpu/format/inv", "config:23");
	put("cpu/format/ldlat", "config1:0-15");
	put("cpu/format/offcore_rsp", "config1:0-63");
	put("cpu/events/cpu-cycles", "event=0x3c");
	put("cpu/events/mem-loads", "event=0xcd,umask=0x1,ldlat=3");
	put("cpu/events/asks", "event=0xcd,ldlat=?");
	put("cpu/events/round", "round");
	put("cpu_atom/type", "10");
	put("cpu_atom/cpus", "4-7");
	put("cpu_atom/format/event", "config:0-7");
	put("uncore_imc_0/type", "17");
	put("uncore_imc_0/cpumask", "0,18");
	put("uncore_imc_0/format/event", "config:0-7");
	put("uncore_imc_0/events/cas_count_read", "event=0x04");
	put("uncore_imc_0/events/cas_count_read.scale", "6.103515625e-5");
	put("broken/type", "many");
	put("odd/type", "20");
	put("odd/format/a", "config7:0-7");
	put("odd/format/b", "config:9-3");
	put("odd/format/c", "config:0-99");
	put("odd/format/d", "");
}

static void teardown(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", root);
	ck_assert_int_eq(system(command), 0); /* NOLINT: the path is mkdtemp's */
}

static struct perf_event_spec parse(const char *word)
{
	struct perf_event_spec spec;

	ck_assert_msg(perf_pmu_parse_in(word, root, &spec) == 0, "%s", word);
	return spec;
}

static void check_config(const char *word, uint32_t type, uint64_t config, uint64_t config1)
{
	struct perf_event_spec spec = parse(word);

	ck_assert_uint_eq(spec.type, type);
	ck_assert_msg(spec.config == config && spec.config1 == config1, "%s: %llx %llx", word,
		      (unsigned long long)spec.config, (unsigned long long)spec.config1);
	ck_assert(!spec.is_absent);
}

START_TEST(test_terms_are_spread_over_their_bits)
{
	check_config("cpu/event=0x3c,umask=0x0/", 4, 0x3c, 0);
	check_config("cpu/event=0x3c,umask=0x41,inv/", 4, 0x80413c, 0);
	check_config("cpu/event=0x1a7,umask=1/", 4, 0x1000001a7, 0);
	check_config("cpu/event=0xb7,umask=1,offcore_rsp=0xffffffffffffffff/", 4, 0x1b7, UINT64_MAX);
	check_config("cpu/config=0x1234,config1=5,inv/", 4, 0x801234, 5);
	check_config("cpu/event=60/", 4, 0x3c, 0);
}
END_TEST

START_TEST(test_events_are_made_of_terms)
{
	check_config("cpu/cpu-cycles/", 4, 0x3c, 0);
	check_config("cpu/mem-loads/", 4, 0x1cd, 3);
	check_config("cpu/mem-loads,ldlat=30/", 4, 0x1cd, 30); /* the later one wins */
	check_config("uncore_imc_0/cas_count_read/", 17, 4, 0);
}
END_TEST

/* perf's generic names work in a PMU of CPUs too; of one of several kinds of CPU the kernel wants to know which. */
START_TEST(test_generic_names_in_a_pmu)
{
	check_config("cpu/instructions/", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, 0);
	check_config("cpu_atom/cycles/", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES | 10ULL << 32, 0);
}
END_TEST

START_TEST(test_what_counts_for_whole_cpus_is_known)
{
	ck_assert_str_eq(parse("uncore_imc_0/event=4/").cpumask, "0,18");
	ck_assert_str_eq(parse("cpu/cpu-cycles/").cpumask, "");
}
END_TEST

START_TEST(test_a_pmu_that_is_not_here_is_no_mistake)
{
	ck_assert(parse("power/energy-pkg/").is_absent);
	ck_assert(parse("cpu_core/event=1/").is_absent);
}
END_TEST

START_TEST(test_mistakes)
{
	static const struct {
		const char *word;
		int error;
	} wrong[] = { { "cpu", -EINVAL },
		      { "cpu/", -EINVAL },
		      { "/cycles/", -EINVAL },
		      { "../cpu/event=1/", -EINVAL },
		      { "cpu/a/b/", -EINVAL },
		      { "cpu//", -ENOKEY },
		      { "cpu/nothing/", -ENOKEY },
		      { "cpu/../type/", -EINVAL },
		      { "cpu/event=/", -ENOKEY },
		      { "cpu/event=x/", -ENOKEY },
		      { "cpu/event=-1/", -ENOKEY },
		      { "cpu/event=1x/", -ENOKEY },
		      { "cpu/cpu-cycles=1/", -ENOKEY },
		      { "cpu/asks/", -ENOKEY },
		      { "cpu/round/", -ENOKEY },
		      { "cpu/event=0x1000/", -ERANGE },
		      { "cpu/inv=2/", -ERANGE },
		      { "cpu/event=99999999999999999999/", -ENOKEY },
		      { "uncore_imc_0/cycles/", -ENOKEY },
		      { "broken/event=1/", -EIO },
		      { "odd/a=1/", -EIO },
		      { "odd/b=1/", -EIO },
		      { "odd/c=1/", -EIO },
		      { "odd/d=1/", -EIO } };
	struct perf_event_spec spec;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int got = perf_pmu_parse_in(wrong[i].word, root, &spec);

		ck_assert_msg(got == wrong[i].error, "%s: %d, not %d", wrong[i].word, got, wrong[i].error);
	}
}
END_TEST

START_TEST(test_a_message_says_what_there_is)
{
	char text[448];

	perf_pmu_names("cpu/nothing/", root, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "mem-loads"));
	ck_assert_ptr_nonnull(strstr(text, "umask"));
	perf_pmu_names("uncore_imc_0/x/", root, text, sizeof(text));
	ck_assert_ptr_null(strstr(text, "scale"));
	perf_pmu_names("gpu/x/", root, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "cpu_atom"));
}
END_TEST

/* On this machine's own sysfs: modifiers stand behind the slash, with a colon or without. */
START_TEST(test_modifiers)
{
	struct perf_event_spec spec;

	ck_assert_int_eq(perf_spec_parse("no_such_pmu/event=1/u", &spec), 0);
	ck_assert(spec.only_user && spec.is_modified && spec.is_absent);
	ck_assert_int_eq(perf_spec_parse("no_such_pmu/event=1/:kpp", &spec), 0);
	ck_assert(spec.only_kernel && spec.precise == 2);
	ck_assert_str_eq(spec.name, "no_such_pmu/event=1/:kpp");
	ck_assert_int_eq(perf_spec_parse("no_such_pmu/event=1/x", &spec), -EINVAL);
	ck_assert_int_eq(perf_spec_parse("no_such_pmu/event=1/:", &spec), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("perf_pmu");
	TCase *cases = tcase_create("made-up sysfs");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, test_terms_are_spread_over_their_bits);
	tcase_add_test(cases, test_events_are_made_of_terms);
	tcase_add_test(cases, test_generic_names_in_a_pmu);
	tcase_add_test(cases, test_what_counts_for_whole_cpus_is_known);
	tcase_add_test(cases, test_a_pmu_that_is_not_here_is_no_mistake);
	tcase_add_test(cases, test_mistakes);
	tcase_add_test(cases, test_a_message_says_what_there_is);
	tcase_add_test(cases, test_modifiers);
	suite_add_tcase(suite, cases);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
