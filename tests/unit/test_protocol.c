/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config_fixture.h"
#include "stage/protocol.h"

static int ends[2];

static void make_pair(void)
{
	int bytes = 1 << 20;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
}

static int receive_text(const void *text, size_t bytes, json_t **ret)
{
	ck_assert_int_eq(send(ends[0], text, bytes, 0), (ssize_t)bytes);
	return protocol_receive(ends[1], true, ret);
}

START_TEST(a_message_arrives_as_it_was)
{
	json_t *message = NULL;

	make_pair();
	ck_assert_int_eq(protocol_send(ends[0], json_pack("{s:s, s:I, s:s}", "op", "done", "at", (json_int_t)1 << 60, "text",
							  "\xc3\xa4\n")),
			 0);
	ck_assert_int_eq(protocol_receive(ends[1], true, &message), 0);
	ck_assert_str_eq(protocol_op(message), "done");
	ck_assert_int_eq(protocol_int(message, "at"), (int64_t)1 << 60);
	ck_assert_str_eq(protocol_text(message, "text"), "\xc3\xa4\n");
	json_decref(message);
}
END_TEST

START_TEST(members_that_are_missing_or_odd_are_empty)
{
	json_t *message = json_pack("{s:i, s:s, s:[]}", "op", 5, "at", "soon", "text");

	ck_assert_str_eq(protocol_op(message), "");
	ck_assert_str_eq(protocol_text(message, "text"), "");
	ck_assert_str_eq(protocol_text(message, "none"), "");
	ck_assert_int_eq(protocol_int(message, "at"), 0);
	ck_assert_int_eq(protocol_int(message, "none"), 0);
	ck_assert_str_eq(protocol_op(NULL), "");
	ck_assert_int_eq(protocol_int(NULL, "at"), 0);
	json_decref(message);
}
END_TEST

START_TEST(what_is_no_object_is_corrupt)
{
	static const char *const texts[] = { "[]", "5", "\"x\"", "null", "{", "{} {}", "{\"a\": 1e999}", "{\"a\": \"\\u0000\"}",
					     "{\"a\": \"\xff\"}", "\xff", " ", "{\"op\": \"x\", }" };
	json_t *message = NULL;

	make_pair();
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_msg(receive_text(texts[i], strlen(texts[i]), &message) == PFC_ECORRUPT, "%s", texts[i]);
	}
	ck_assert_int_eq(receive_text("{}\0", 3, &message), PFC_ECORRUPT);
	ck_assert_ptr_null(message);
}
END_TEST

START_TEST(deep_nesting_is_corrupt)
{
	char text[100001];
	json_t *message = NULL;

	make_pair();
	memset(text, '[', sizeof(text));
	memcpy(text, "{\"a\":", 5);
	ck_assert_int_eq(receive_text(text, sizeof(text), &message), PFC_ECORRUPT);
}
END_TEST

START_TEST(a_packet_too_large_is_corrupt_whatever_it_begins_with)
{
	char *text = malloc(PROTOCOL_BYTES_MAX + 1);
	json_t *message = NULL;

	make_pair();
	memset(text, ' ', PROTOCOL_BYTES_MAX + 1);
	memcpy(text, "{}", 2);
	ck_assert_int_eq(receive_text(text, PROTOCOL_BYTES_MAX, &message), 0);
	json_decref(message);
	ck_assert_int_eq(receive_text(text, PROTOCOL_BYTES_MAX + 1, &message), PFC_ECORRUPT);
	free(text);
}
END_TEST

START_TEST(too_large_to_send)
{
	char *text = calloc(1, PROTOCOL_BYTES_MAX + 1);
	json_t *message = NULL;

	make_pair();
	memset(text, 'x', PROTOCOL_BYTES_MAX);
	ck_assert_int_eq(protocol_send(ends[0], json_pack("{s:s}", "op", text)), PFC_ENOSPC);
	ck_assert_int_eq(protocol_receive(ends[1], false, &message), PFC_EAGAIN);
	ck_assert_int_eq(protocol_send(ends[0], NULL), PFC_ENOMEM);
	free(text);
}
END_TEST

START_TEST(a_closed_end_is_no_signal)
{
	json_t *message = NULL;

	make_pair();
	close(ends[0]);
	ck_assert_int_eq(protocol_receive(ends[1], true, &message), PFC_EIO);
	ck_assert_int_eq(protocol_receive(ends[1], false, &message), PFC_EIO);
	ck_assert_int_eq(protocol_send(ends[1], json_object()), PFC_EIO);
	ck_assert_int_eq(protocol_send(-1, json_object()), PFC_EIO);
}
END_TEST

START_TEST(strings_of_any_bytes)
{
	json_t *string = protocol_string("a\xff" "b\xc3\xa4", 100);

	ck_assert_str_eq(json_string_value(string), "a?b??");
	json_decref(string);
	string = protocol_string("\xc3\xa4\xc3\xa4", 3); /* cut within a letter */
	ck_assert_str_eq(json_string_value(string), "???");
	json_decref(string);
	string = protocol_string("abc", 2);
	ck_assert_str_eq(json_string_value(string), "ab");
	json_decref(string);
	string = protocol_string("", 0);
	ck_assert_str_eq(json_string_value(string), "");
	json_decref(string);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("protocol");

	tcase_add_test(tests, a_message_arrives_as_it_was);
	tcase_add_test(tests, members_that_are_missing_or_odd_are_empty);
	tcase_add_test(tests, what_is_no_object_is_corrupt);
	tcase_add_test(tests, deep_nesting_is_corrupt);
	tcase_add_test(tests, a_packet_too_large_is_corrupt_whatever_it_begins_with);
	tcase_add_test(tests, too_large_to_send);
	tcase_add_test(tests, a_closed_end_is_no_signal);
	tcase_add_test(tests, strings_of_any_bytes);
	return fixture_main(tests, "protocol");
}
