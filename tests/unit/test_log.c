/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "config_fixture.h"

static const char *escaped(const char *text)
{
	static char to[256];

	return log_escape(to, sizeof(to), text);
}

START_TEST(plain_text_stays)
{
	ck_assert_str_eq(escaped("a b ~ \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"), "a b ~ \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
	ck_assert_str_eq(escaped(""), "");
}
END_TEST

START_TEST(what_moves_a_terminal_is_escaped)
{
	ck_assert_str_eq(escaped("\x1b[2J"), "\\x1b[2J");
	ck_assert_str_eq(escaped("a\nb\rc\td\x7f"), "a\\x0ab\\x0dc\\x09d\\x7f");
	ck_assert_str_eq(escaped("\xc2\x9b" "31m"), "\\x9b31m"); /* C1 CSI as UTF-8 */
	ck_assert_str_eq(escaped("\x9b" "31m"), "\\x9b31m");     /* and as a bare byte */
}
END_TEST

START_TEST(what_turns_the_order_of_letters_is_escaped)
{
	/* right-to-left override, isolate, mark, and the line separator */
	ck_assert_str_eq(escaped("\xe2\x80\xae" "gpj"), "\\xe2\\x80\\xaegpj");
	ck_assert_str_eq(escaped("\xe2\x81\xa6"), "\\xe2\\x81\\xa6");
	ck_assert_str_eq(escaped("\xe2\x80\x8f"), "\\xe2\\x80\\x8f");
	ck_assert_str_eq(escaped("\xd8\x9c"), "\\xd8\\x9c");
	ck_assert_str_eq(escaped("\xe2\x80\xa8"), "\\xe2\\x80\\xa8");
	ck_assert_str_eq(escaped("\xe2\x80\x93"), "\xe2\x80\x93"); /* a dash is none of these */
}
END_TEST

START_TEST(what_is_not_utf8_is_escaped)
{
	ck_assert_str_eq(escaped("\xff\xfe"), "\\xff\\xfe");
	ck_assert_str_eq(escaped("\xe2\x82"), "\\xe2\\x82");
	ck_assert_str_eq(escaped("\xc0\xaf"), "\\xc0\\xaf");
}
END_TEST

START_TEST(a_cut_text_is_terminated_and_whole)
{
	char to[12];

	memset(to, 'x', sizeof(to));
	log_escape(to, sizeof(to), "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac");
	ck_assert(memchr(to, '\0', sizeof(to)) != NULL);
	ck_assert(str_is_utf8(to));
	log_escape(to, sizeof(to), "aaaaaaaaaaaaaaaaaaaaa");
	ck_assert_uint_lt(strlen(to), sizeof(to));
	for (size_t room = 1; room < sizeof(to); room++) {
		memset(to, 'x', sizeof(to));
		log_escape(to, room, "\x1b\x1b\xe2\x82\xac\xf0\x9f\x98\x80");
		ck_assert(memchr(to, '\0', room) != NULL);
		ck_assert_int_eq(to[room], 'x');
	}
}
END_TEST

/* What `talk` writes to stderr. */
static char *said(void (*talk)(void))
{
	int saved = dup(STDERR_FILENO);
	int fd = open(fixture_path("err"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	unsigned char *text;
	size_t bytes;

	dup2(fd, STDERR_FILENO);
	talk();
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fd);
	text = fixture_read(fixture_path("err"), &bytes);
	text[bytes] = '\0';
	return (char *)text;
}

static void talk_all(void)
{
	log_error("one %d", 1);
	log_warning("two");
	log_info("three");
	log_debug("four");
	log_line(PFC_LOG_WARNING, "stage", "a\nb");
	log_line(PFC_LOG_NOTICE, "stage", "five");
}

START_TEST(levels)
{
	char *text = said(talk_all);

	ck_assert_str_eq(text, "profcore: error: one 1\nprofcore: warning: two\nprofcore: warning: stage: a\\x0ab\n"
				 "profcore: stage: five\n");
	free(text);
	log_set_level(PFC_LOG_ERROR);
	text = said(talk_all);
	ck_assert_str_eq(text, "profcore: error: one 1\n");
	free(text);
	log_set_level(PFC_LOG_DEBUG);
	ck_assert_int_eq(log_level(), PFC_LOG_DEBUG);
	text = said(talk_all);
	ck_assert_ptr_nonnull(strstr(text, "profcore: four\n"));
	free(text);
}
END_TEST

static void talk_failure(void)
{
	struct pfc_error err;

	error_set(&err, PFC_EIO, "why\x1b", "what");
	log_failure(&err);
	error_hint(&err, "hint");
	log_failure(&err);
}

START_TEST(a_failure_is_one_line)
{
	char *text = said(talk_failure);

	ck_assert_str_eq(text, "profcore: error: what: why\\x1b\nprofcore: error: what: why\\x1b; try: hint\n");
	free(text);
}
END_TEST

static void count_hook(void *ctx, bool before)
{
	int *calls = ctx;

	*calls = *calls * 10 + (before ? 1 : 2);
}

START_TEST(the_hook_is_called_around_a_line_that_is_shown)
{
	int calls = 0;

	log_set_hook(count_hook, &calls);
	log_info("not shown");
	ck_assert_int_eq(calls, 0);
	free(said(talk_failure));
	ck_assert_int_eq(calls, 1212);
	log_set_hook(NULL, NULL);
}
END_TEST

START_TEST(colour_only_on_a_terminal_and_never_with_no_color)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	int saved = dup(STDERR_FILENO);
	int terminal;
	bool plain, on_terminal, empty, dumb, forbidden;

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master) | unlockpt(master), 0);
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
	ck_assert_int_ge(terminal, 0);
	unsetenv("NO_COLOR");
	setenv("TERM", "xterm", 1);
	dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
	plain = log_has_color();
	dup2(terminal, STDERR_FILENO);
	on_terminal = log_has_color();
	setenv("NO_COLOR", "", 1);
	empty = log_has_color(); /* no-color.org: present and not empty */
	setenv("TERM", "dumb", 1);
	dumb = log_has_color();
	setenv("TERM", "xterm", 1);
	setenv("NO_COLOR", "1", 1);
	forbidden = log_has_color();
	dup2(saved, STDERR_FILENO);
	ck_assert(!plain && on_terminal && empty && !dumb && !forbidden);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("log");

	tcase_add_test(tests, plain_text_stays);
	tcase_add_test(tests, what_moves_a_terminal_is_escaped);
	tcase_add_test(tests, what_turns_the_order_of_letters_is_escaped);
	tcase_add_test(tests, what_is_not_utf8_is_escaped);
	tcase_add_test(tests, a_cut_text_is_terminated_and_whole);
	tcase_add_test(tests, levels);
	tcase_add_test(tests, a_failure_is_one_line);
	tcase_add_test(tests, the_hook_is_called_around_a_line_that_is_shown);
	tcase_add_test(tests, colour_only_on_a_terminal_and_never_with_no_color);
	return fixture_main(tests, "log");
}
