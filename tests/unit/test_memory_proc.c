/* SPDX-License-Identifier: MIT */
/* plugins/memory: texts of /proc and of control groups, as kernels write them and as nobody should. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "group.h"
#include "procread.h"

START_TEST(status_of_a_process)
{
	struct proc_status status;

	ck_assert(procread_status("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssAnon:\t     512 "
				  "kB\nRssFile:\t     500 kB\n"
				  "RssShmem:\t      12 kB\nVmSwap:\t       8 kB\n",
				  &status));
	ck_assert(status.has_memory);
	ck_assert_uint_eq(status.rss, 1024 * 1024);
	ck_assert_uint_eq(status.anon, 512 * 1024);
	ck_assert_uint_eq(status.file, 500 * 1024);
	ck_assert_uint_eq(status.shmem, 12 * 1024);
	ck_assert_uint_eq(status.swap, 8 * 1024);
	ck_assert_uint_eq(status.peak_rss, 2048 * 1024);
	/* A zombie has no memory, and that is not the same as none being used. */
	ck_assert(procread_status("Name:\tx\nState:\tZ (zombie)\n", &status));
	ck_assert(!status.has_memory);
	ck_assert(!procread_status("", &status));
}
END_TEST

START_TEST(stat_with_a_hostile_name)
{
	struct proc_stat stat;

	ck_assert(procread_stat("12 (a) R 9 9) S 1 2 3 4 -1 4194304 1500 77 3 9 0 0", &stat));
	ck_assert_uint_eq(stat.minor_faults, 1500);
	ck_assert_uint_eq(stat.major_faults, 3);
	ck_assert_int_eq(stat.state, 'S');
	ck_assert(!procread_stat("12 (a) S 1", &stat));
	ck_assert(!procread_stat("garbage", &stat));
}
END_TEST

START_TEST(rollup)
{
	struct proc_smaps smaps;

	ck_assert(procread_rollup("00400000-7ffc ---p 0 00:00 0 [rollup]\nRss: 100 kB\nPss: 40 kB\nPss_Anon: "
				  "30 kB\nPss_File: 10 kB\n"
				  "SwapPss: 2 kB\n",
				  &smaps));
	ck_assert_uint_eq(smaps.rss, 100 * 1024);
	ck_assert_uint_eq(smaps.pss, 40 * 1024);
	ck_assert_uint_eq(smaps.pss_anon, 30 * 1024);
	ck_assert_uint_eq(smaps.swap_pss, 2 * 1024);
	ck_assert(!procread_rollup("Name: x\n", &smaps));
}
END_TEST

START_TEST(kinds_of_mappings)
{
	static const struct {
		const char *line;
		enum mapping_kind kind;
	} cases[] = {
		{ "55d0a000-55d0b000 r-xp 00001000 08:01 123 /usr/bin/x\n", MAPPING_FILE_CODE },
		{ "55d0a000-55d0b000 rw-p 00001000 08:01 123 /usr/bin/x\n", MAPPING_FILE_DATA },
		{ "55d0a000-55d0b000 r--s 00001000 08:01 123 /var/cache/db\n", MAPPING_FILE_SHARED },
		{ "55d0a000-55d0b000 rw-p 00000000 00:00 0 [heap]\n", MAPPING_HEAP },
		{ "7ffc0000-7ffd0000 rw-p 00000000 00:00 0 [stack]\n", MAPPING_STACK },
		{ "7f000000-7f010000 rw-p 00000000 00:00 0 \n", MAPPING_ANON },
		{ "7f000000-7f010000 rw-p 00000000 00:00 0\n", MAPPING_ANON },
		{ "7f000000-7f010000 rw-p 00000000 00:00 0 [anon:worker stack]\n", MAPPING_ANON },
		{ "7f000000-7f010000 rw-s 00000000 00:01 99 /memfd:ring (deleted)\n", MAPPING_SHMEM },
		{ "7f000000-7f010000 rw-s 00000000 00:01 99 /dev/zero (deleted)\n", MAPPING_SHMEM },
		{ "7f000000-7f010000 r-xp 00000000 00:00 0 [vdso]\n", MAPPING_OTHER },
	};
	uint64_t start, end;
	enum mapping_kind kind;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_msg(procread_mapping(cases[i].line, &start, &end, &kind), "%s", cases[i].line);
		ck_assert_msg(kind == cases[i].kind, "%s: %s", cases[i].line, procread_kind_word(kind));
		ck_assert_uint_lt(start, end);
	}
	ck_assert(!procread_mapping("Rss:                 100 kB\n", &start, &end, &kind));
	ck_assert(!procread_mapping("7f010000-7f000000 rw-p 00000000 00:00 0\n", &start, &end, &kind));
}
END_TEST

START_TEST(smaps_by_kind)
{
	static const char *const lines[] = { "7f000000-7f010000 rw-p 00000000 00:00 0 \n",
					     "Size: 64 kB\n",
					     "Rss: 12 kB\n",
					     "Anonymous: 12 kB\n",
					     "55d0a000-55d0b000 r-xp 00001000 08:01 123 /usr/bin/x\n",
					     "Rss: 4 kB\n",
					     "7f100000-7f110000 rw-p 00000000 00:00 0 \n",
					     "Rss: 8 kB\n" };
	struct proc_kinds kinds = { 0 };
	enum mapping_kind current = MAPPING_OTHER;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		procread_smaps_line(lines[i], &current, &kinds);
	}
	ck_assert_uint_eq(kinds.count[MAPPING_ANON], 2);
	ck_assert_uint_eq(kinds.by_kind[MAPPING_ANON].rss, 20 * 1024);
	ck_assert_uint_eq(kinds.by_kind[MAPPING_ANON].anon, 12 * 1024);
	ck_assert_uint_eq(kinds.by_kind[MAPPING_FILE_CODE].rss, 4 * 1024);
}
END_TEST

/* ---- control groups, in a folder made up for it ---- */

static char root[64];

static void put(const char *path, const char *text)
{
	char full[512];
	FILE *file;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(full, 0755);
		*slash = '/';
	}
	file = fopen(full, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void make_root(void)
{
	snprintf(root, sizeof(root), "/tmp/test_memory_proc.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static void drop_root(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(the_samplers_mapping_is_not_the_programs)
{
	struct proc_kinds kinds;
	enum mapping_kind current = MAPPING_OTHER;

	memset(&kinds, 0, sizeof(kinds));
	procread_smaps_line("7f0000000000-7f0001000000 rw-s 00000000 00:01 77 /memfd:profcore-heap (deleted)",
			    &current, &kinds);
	procread_smaps_line("Rss:                8192 kB", &current, &kinds);
	procread_smaps_line("7f0002000000-7f0003000000 rw-s 00000000 00:01 78 /memfd:its-own (deleted)",
			    &current, &kinds);
	procread_smaps_line("Rss:                  12 kB", &current, &kinds);
	ck_assert_uint_eq(kinds.count[MAPPING_SHMEM], 1);
	ck_assert_uint_eq(kinds.by_kind[MAPPING_SHMEM].rss, 12 * 1024);
	ck_assert_uint_eq(kinds.by_kind[MAPPING_OTHER].rss, 0);
}
END_TEST

START_TEST(group_of_version_2)
{
	struct group_values values;
	struct group group;

	make_root();
	put("/proc/self/mountinfo", "30 1 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n");
	put("/proc/7/cgroup", "0::/docker/abc\n");
	put("/sys/fs/cgroup/docker/abc/memory.current", "4096000\n");
	put("/sys/fs/cgroup/docker/abc/memory.max", "max\n");
	put("/sys/fs/cgroup/docker/abc/memory.stat",
	    "anon 100\nfile 200\nkernel 30\nshmem 4\nfile_mapped 9\n");
	put("/sys/fs/cgroup/docker/abc/memory.events",
	    "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 0\n");
	put("/sys/fs/cgroup/docker/abc/memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=12\n"
							 "full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n");
	ck_assert(group_open(&group, 7, true, root));
	ck_assert_int_eq(group.version, 2);
	ck_assert(group_read(&group, &values));
	ck_assert_int_eq(values.current, 4096000);
	ck_assert_int_eq(values.limit, -1);
	ck_assert_int_eq(values.peak, -1); /* this kernel has none: not 0 */
	ck_assert_int_eq(values.anon, 100);
	ck_assert_int_eq(values.file, 200);
	ck_assert_int_eq(values.shmem, 4);
	ck_assert_int_eq(values.kernel, 30);
	ck_assert_int_eq(values.high_events, 1);
	ck_assert_int_eq(values.limit_events, 2);
	ck_assert_int_eq(values.oom_kills, 4);
	ck_assert_int_eq(values.pressure_some_ns, 12000);
	ck_assert_int_eq(values.pressure_full_ns, 5000);
	ck_assert_str_eq(group.no_pressure, "");
	group_close(&group);
	drop_root();
}
END_TEST

START_TEST(group_of_version_1_on_a_hybrid_machine)
{
	struct group_values values;
	struct group group;

	make_root();
	put("/proc/self/mountinfo", "31 1 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
				    "35 1 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
				    "41 1 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	put("/proc/7/cgroup", "5:hugetlb,memory:/docker/abc\n1:cpu:/elsewhere\n0::/docker/abc\n");
	put("/sys/fs/cgroup/unified/docker/abc/cgroup.procs", "7\n");
	put("/sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", "1000\n");
	put("/sys/fs/cgroup/memory/docker/abc/memory.max_usage_in_bytes", "2000\n");
	put("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n");
	put("/sys/fs/cgroup/memory/docker/abc/memory.memsw.usage_in_bytes", "1500\n");
	put("/sys/fs/cgroup/memory/docker/abc/memory.failcnt", "6\n");
	put("/sys/fs/cgroup/memory/docker/abc/memory.stat",
	    "cache 1\nrss 2\ntotal_cache 10\ntotal_rss 20\ntotal_shmem 3\n");
	put("/sys/fs/cgroup/memory/docker/abc/memory.oom_control",
	    "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
	ck_assert(group_open(&group, 7, false, root));
	ck_assert_int_eq(group.version, 1);
	ck_assert(group.is_shared);
	ck_assert(group_read(&group, &values));
	ck_assert_int_eq(values.current, 1000);
	ck_assert_int_eq(values.peak, 2000);
	ck_assert_int_eq(values.limit, -1);
	ck_assert_int_eq(values.swap, 500);
	ck_assert_int_eq(values.anon, 20);
	ck_assert_int_eq(values.file, 10);
	ck_assert_int_eq(values.limit_events, 6);
	ck_assert_int_eq(values.oom_kills, 2);
	ck_assert_int_eq(values.pressure_some_ns, -1);
	ck_assert_ptr_nonnull(strstr(group.no_pressure, "PSI"));
	group_close(&group);
	drop_root();
}
END_TEST

START_TEST(no_group)
{
	struct group group;

	make_root();
	put("/proc/self/mountinfo", "41 1 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	ck_assert(!group_open(&group, 7, true, root));
	ck_assert_ptr_nonnull(strstr(group.why_not, "/proc/7/cgroup"));
	group_close(&group);
	put("/proc/7/cgroup", "0::/docker/abc\n");
	ck_assert(!group_open(&group, 7, true, root));
	ck_assert_ptr_nonnull(strstr(group.why_not, "memory controller"));
	group_close(&group);
	drop_root();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory_proc");
	TCase *tests = tcase_create("texts");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, status_of_a_process);
	tcase_add_test(tests, stat_with_a_hostile_name);
	tcase_add_test(tests, rollup);
	tcase_add_test(tests, kinds_of_mappings);
	tcase_add_test(tests, smaps_by_kind);
	tcase_add_test(tests, the_samplers_mapping_is_not_the_programs);
	tcase_add_test(tests, group_of_version_2);
	tcase_add_test(tests, group_of_version_1_on_a_hybrid_machine);
	tcase_add_test(tests, no_group);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
