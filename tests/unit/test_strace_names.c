/* SPDX-License-Identifier: MIT */
/* Names by number against what the compiler's headers say. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "names.h"

enum { NATIVE, I386, X32 };

static const char *name(uint32_t abi, int32_t nr)
{
	static char text[NAME_ROOM];

	return syscall_name(abi, nr, text, sizeof(text));
}

START_TEST(calls_of_this_machine)
{
	ck_assert_str_eq(name(NATIVE, SYS_read), "read");
	ck_assert_str_eq(name(NATIVE, SYS_openat), "openat");
	ck_assert_str_eq(name(NATIVE, SYS_futex), "futex");
	ck_assert_str_eq(name(NATIVE, SYS_exit_group), "exit_group");
	ck_assert_str_eq(name(NATIVE, SYS_io_uring_enter), "io_uring_enter");
	ck_assert_str_eq(name(NATIVE, 462), "mseal"); /* newer than the packaged library */
}
END_TEST

START_TEST(the_same_number_means_another_call_to_32_bit_code)
{
	ck_assert_str_eq(name(I386, 3), "read");
	ck_assert_str_eq(name(I386, 11), "execve");
	ck_assert_str_eq(name(I386, 4), "write");
	ck_assert_str_eq(name(I386, 192), "mmap2");
	ck_assert_str_eq(name(X32, 0), "read");
}
END_TEST

START_TEST(unknown_numbers_are_told_as_such)
{
	ck_assert_str_eq(name(NATIVE, 9999), "syscall_9999");
	ck_assert_str_eq(name(I386, 9999), "i386_syscall_9999");
	ck_assert_str_eq(name(X32, 9999), "x32_syscall_9999");
	ck_assert_str_eq(name(NATIVE, -1), "syscall_-1");
	ck_assert_str_eq(name(NATIVE, INT32_MAX), "syscall_2147483647");
	ck_assert_str_eq(name(77, 9999), "syscall_9999");
}
END_TEST

START_TEST(names_lead_back_to_numbers)
{
	ck_assert_int_eq(syscall_number(NATIVE, "write"), SYS_write);
	ck_assert_int_eq(syscall_number(I386, "write"), 4);
	ck_assert_int_eq(syscall_number(X32, "read"), 0);
	ck_assert_int_eq(syscall_number(NATIVE, "mseal"), 462);
	ck_assert_int_eq(syscall_number(NATIVE, "no_such_call"), -1);
	for (int32_t nr = 0; nr < 335; nr++) {
		const char *text = name(NATIVE, nr);

		ck_assert_msg(strncmp(text, "syscall_", 8) != 0, "%d has no name", nr);
		ck_assert_msg(syscall_number(NATIVE, text) == nr, "%d %s", nr, text);
	}
}
END_TEST

START_TEST(errors)
{
	char text[NAME_ROOM];

	ck_assert_str_eq(errno_name(ENOENT, text, sizeof(text)), "ENOENT");
	ck_assert_str_eq(errno_name(EAGAIN, text, sizeof(text)), "EAGAIN");
	ck_assert_str_eq(errno_name(512, text, sizeof(text)), "ERESTARTSYS");
	ck_assert_str_eq(errno_name(3000, text, sizeof(text)), "errno_3000");
	ck_assert_str_eq(errno_name(0, text, sizeof(text)), "errno_0");
	ck_assert_str_eq(errno_name(-5, text, sizeof(text)), "errno_-5");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strace_names");
	TCase *tcase = tcase_create("names");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, calls_of_this_machine);
	tcase_add_test(tcase, the_same_number_means_another_call_to_32_bit_code);
	tcase_add_test(tcase, unknown_numbers_are_told_as_such);
	tcase_add_test(tcase, names_lead_back_to_numbers);
	tcase_add_test(tcase, errors);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
