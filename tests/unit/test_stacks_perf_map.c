/* SPDX-License-Identifier: MIT */
/* Lists of just-in-time compilers: later lines win, nonsense is passed over, time is bounded. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <profcore/status.h>

#include "stacks/perf_map.h"

#define ADDRESSES 4

static const uint64_t addresses[ADDRESSES] = { 0x1000, 0x1010, 0x2000, 0xffffffffffffff00ULL };
static char names[ADDRESSES][PERF_MAP_NAME_BYTES];

static int take_name(void *ctx, uint32_t index, const char *name)
{
	(void)ctx;
	ck_assert_uint_lt(index, ADDRESSES);
	ck_assert_str_eq(names[index], "");
	snprintf(names[index], sizeof(names[index]), "%s", name);
	return 0;
}

static int resolve(const char *text, size_t bytes, uint64_t deadline_ns)
{
	struct perf_map_request request = {
		.addresses = addresses, .count = ADDRESSES, .deadline_ns = deadline_ns, .on_name = take_name
	};
	int status;

	request.fd = memfd_create("map", MFD_CLOEXEC);
	ck_assert_int_ge(request.fd, 0);
	ck_assert_int_eq((int)(write(request.fd, text, bytes) == (ssize_t)bytes), 1);
	memset(names, 0, sizeof(names));
	status = perf_map_resolve(&request);
	close(request.fd);
	return status;
}

static void check_names(const char *text, const char *a, const char *b, const char *c)
{
	ck_assert_int_eq(resolve(text, strlen(text), UINT64_MAX), 0);
	ck_assert_str_eq(names[0], a);
	ck_assert_str_eq(names[1], b);
	ck_assert_str_eq(names[2], c);
	ck_assert_str_eq(names[3], "");
}

START_TEST(later_lines_win)
{
	check_names("1000 20 first and its arguments\n2000 1 other\n", "first and its arguments",
		    "first and its arguments", "other");
	check_names("1000 20 old\n1010 8 new\n", "old", "new", "");
	check_names("1000 8 old\n0x1000 0x1001 all\n", "all", "all", "all");
	check_names("1000 11 edge\n2000 0 nothing", "edge", "edge", "");
	check_names("1000 20 the last line has no end", "the last line has no end",
		    "the last line has no end", "");
}
END_TEST

START_TEST(nonsense_is_passed_over)
{
	check_names("", "", "", "");
	check_names("\n\n \n1000\n1000 20\n1000 20 \n-1000 20 x\n 1000 20 x\n1000  20 x\nxyz 20 x\n", "", "",
		    "");
	check_names(
		"1000 fffffffffffffffff too long a number\n1000 ffffffffffffffff over the end\n2000 1 good\n",
		"", "", "good");
	ck_assert_int_eq(resolve("1000 20 a\0b\n2000 1 c\n", 22, UINT64_MAX), 0);
	ck_assert_str_eq(names[0], "a");
	ck_assert_str_eq(names[2], "c");
}
END_TEST

/* Longer than what is read at a time, with lines across every border; a name as long as the list allows. */
START_TEST(long_lists_are_read_whole)
{
	size_t room = 5U << 20;
	char *text = malloc(room);
	size_t bytes = 0;

	ck_assert_ptr_nonnull(text);
	while (bytes < room - 8192) {
		bytes += (size_t)snprintf(text + bytes, room - bytes, "%zx 10 function number %zu\n",
					  0x100000 + bytes, bytes);
	}
	bytes += (size_t)snprintf(text + bytes, room - bytes, "2000 1 ");
	memset(text + bytes, 'n', 4000);
	bytes += 4000;
	bytes += (size_t)snprintf(text + bytes, room - bytes, "\n1000 1 last\n");
	ck_assert_int_eq(resolve(text, bytes, UINT64_MAX), 0);
	ck_assert_str_eq(names[0], "last");
	ck_assert_uint_eq(strlen(names[2]), PERF_MAP_NAME_BYTES - 1);
	/* No line at all. */
	memset(text, 'f', room);
	ck_assert_int_eq(resolve(text, room, UINT64_MAX), 0);
	ck_assert_str_eq(names[0], "");
	free(text);
}
END_TEST

START_TEST(time_is_bounded)
{
	static const char line[] = "1000 20 again and again\n";
	size_t count = 1200000;
	char *text = malloc(count * strlen(line) + 1);

	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; i < count; i++) {
		memcpy(text + i * strlen(line), line, strlen(line));
	}
	ck_assert_int_eq(resolve(text, count * strlen(line), 1), PFC_ETIMEDOUT);
	ck_assert_str_eq(names[0], "again and again");
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stacks_perf_map");
	TCase *cases = tcase_create("perf_map");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, later_lines_win);
	tcase_add_test(cases, nonsense_is_passed_over);
	tcase_add_test(cases, long_lists_are_read_whole);
	tcase_add_test(cases, time_is_bounded);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
