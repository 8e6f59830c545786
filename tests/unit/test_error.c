/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "config_fixture.h"

START_TEST(set_fills_all_and_clears_the_hint)
{
	struct pfc_error err;

	memset(&err, 'x', sizeof(err));
	ck_assert_int_eq(error_set(&err, PFC_EIO, "why", "open %s", "file"), PFC_EIO);
	ck_assert_int_eq(err.status, PFC_EIO);
	ck_assert_str_eq(err.what, "open file");
	ck_assert_str_eq(err.why, "why");
	ck_assert_str_eq(err.hint, "");
	ck_assert_int_eq(error_hint(&err, "try %d", 7), PFC_EIO);
	ck_assert_str_eq(err.hint, "try 7");
}
END_TEST

START_TEST(without_an_object_the_status_still_comes_back)
{
	ck_assert_int_eq(error_set(NULL, PFC_ENOENT, "why", "what"), PFC_ENOENT);
	ck_assert_int_eq(error_errno(NULL, ENOSPC, "what"), PFC_ENOSPC);
	ck_assert_int_eq(error_nomem(NULL), PFC_ENOMEM);
	ck_assert_int_eq(error_hint(NULL, "hint"), PFC_EINVAL);
	ck_assert_int_eq(error_set(&(struct pfc_error){ 0 }, PFC_EIO, NULL, "what"), PFC_EIO);
}
END_TEST

START_TEST(long_texts_are_cut_and_terminated)
{
	struct pfc_error err;
	char text[2000];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&err, PFC_EIO, text, "%s", text);
	error_hint(&err, "%s", text);
	ck_assert_uint_eq(strlen(err.what), sizeof(err.what) - 1);
	ck_assert_uint_eq(strlen(err.why), sizeof(err.why) - 1);
	ck_assert_uint_eq(strlen(err.hint), sizeof(err.hint) - 1);
}
END_TEST

START_TEST(errno_values_become_the_nearest_status)
{
	struct pfc_error err;

	ck_assert_int_eq(error_errno(&err, EACCES, "open %s", "x"), PFC_EPERM);
	ck_assert_str_eq(err.why, strerror(EACCES));
	ck_assert_int_eq(error_status_of(0), PFC_OK);
	ck_assert_int_eq(error_status_of(EDQUOT), PFC_ENOSPC);
	ck_assert_int_eq(error_status_of(ESRCH), PFC_ETARGET);
	ck_assert_int_eq(error_status_of(EBADF), PFC_EIO);
}
END_TEST

START_TEST(every_status_has_a_name_and_no_number_is_too_odd)
{
	ck_assert_str_eq(error_status_name(PFC_OK), "PFC_OK");
	ck_assert_str_eq(error_status_name(PFC_ETIMEDOUT), "PFC_ETIMEDOUT");
	ck_assert_str_eq(error_status_name(PFC_ELOST), "PFC_ELOST");
	ck_assert_str_eq(error_status_name(PFC_ELOST - 1), "PFC_E?");
	ck_assert_str_eq(error_status_name(1), "PFC_E?");
	ck_assert_str_eq(error_status_name(INT_MIN), "PFC_E?");
	ck_assert_str_eq(error_status_name(INT_MAX), "PFC_E?");
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("error");

	tcase_add_test(tests, set_fills_all_and_clears_the_hint);
	tcase_add_test(tests, without_an_object_the_status_still_comes_back);
	tcase_add_test(tests, long_texts_are_cut_and_terminated);
	tcase_add_test(tests, errno_values_become_the_nearest_status);
	tcase_add_test(tests, every_status_has_a_name_and_no_number_is_too_odd);
	return fixture_main(tests, "error");
}
