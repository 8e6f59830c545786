/* SPDX-License-Identifier: MIT */
/* plugins/load-test: the parser of answers, whole, byte by byte, in random pieces, and on mutated bytes. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "http_parse.h"

enum outcome {
	WHOLE,   /* done, every byte taken */
	MORE,    /* needs more */
	AT_EOF,  /* done once the peer closes, not before */
	REFUSED, /* protocol error */
	EXTRA,   /* done before the last byte */
};

struct sample {
	const char *text;
	size_t bytes; /* 0: strlen */
	enum outcome outcome;
	uint16_t status;
	bool close;
	bool is_head;
};

#define OK    "HTTP/1.1 200 OK\r\n"
#define CHUNK OK "Transfer-Encoding: chunked\r\n\r\n"

static const struct sample samples[] = {
	{ OK "Content-Length: 5\r\n\r\nhello", 0, WHOLE, 200, false, false },
	{ OK "Content-Length: 5\r\n\r\nhell", 0, MORE, 200, false, false },
	{ OK "Content-Length: 5\r\n\r\nhello!", 0, EXTRA, 200, false, false },
	{ OK "content-LENGTH:\t 05 \r\n\r\nhello", 0, WHOLE, 200, false, false },
	{ OK "Content-Length: 0\r\n\r\n", 0, WHOLE, 200, false, false },
	{ "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 0, WHOLE, 200, false, false },
	{ "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 0, WHOLE, 200, false, false },
	{ OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 0, WHOLE, 200, false, false },
	{ OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 0, REFUSED, 200, false, false },
	{ OK "Content-Length: 5, 5\r\n\r\nhello", 0, REFUSED, 200, false, false },
	{ OK "Content-Length: -1\r\n\r\n", 0, REFUSED, 200, false, false },
	{ OK "Content-Length: +1\r\n\r\nx", 0, REFUSED, 200, false, false },
	{ OK "Content-Length: 0x10\r\n\r\n", 0, REFUSED, 200, false, false },
	{ OK "Content-Length:\r\n\r\n", 0, REFUSED, 200, false, false },
	{ OK "Content-Length: 99999999999999999999\r\n\r\n", 0, REFUSED, 200, false, false },
	{ OK "Content-Length: 999999999999999999\r\n\r\nx", 0, MORE, 200, false, false },
	{ CHUNK "5\r\nhello\r\n0\r\n\r\n", 0, WHOLE, 200, false, false },
	{ CHUNK "5;a=b\r\nhello\r\n3 \r\nabc\r\n0\r\nTrailer: x\r\n\r\n", 0, WHOLE, 200, false, false },
	{ CHUNK "00A\r\n0123456789\r\n0\r\n\r\n", 0, WHOLE, 200, false, false },
	{ CHUNK "5\r\nhello0\r\n\r\n", 0, REFUSED, 200, false, false },
	{ CHUNK "5\r\nhello!\r\n0\r\n\r\n", 0, REFUSED, 200, false, false },
	{ CHUNK "ffffffffffffffffff\r\n", 0, REFUSED, 200, false, false },
	{ CHUNK "-5\r\n", 0, REFUSED, 200, false, false },
	{ CHUNK "\r\n", 0, REFUSED, 200, false, false },
	{ CHUNK "5\r\nhello\r\n0\r\n", 0, MORE, 200, false, false },
	{ CHUNK "0\r\n\r\nx", 0, EXTRA, 200, false, false },
	/* RFC 9112 section 6.3: the coding wins over the length, and the connection is not to be trusted further. */
	{ OK "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 0, WHOLE, 200,
	  true, false },
	{ OK "Transfer-Encoding: gzip, Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 0, WHOLE, 200, false, false },
	{ OK "Transfer-Encoding: gzip\r\n\r\nxxxx", 0, AT_EOF, 200, true, false },
	{ OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 0, REFUSED, 200, false,
	  false },
	{ OK "\r\nuntil it closes", 0, AT_EOF, 200, true, false },
	{ OK "Connection: close\r\nContent-Length: 1\r\n\r\nx", 0, WHOLE, 200, true, false },
	{ OK "Connection: foo, Close\r\nContent-Length: 1\r\n\r\nx", 0, WHOLE, 200, true, false },
	{ OK "Connection: closely\r\nContent-Length: 1\r\n\r\nx", 0, WHOLE, 200, false, false },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 0, WHOLE, 200, true, false },
	{ "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", 0, WHOLE, 200, false,
	  false },
	{ "HTTP/1.1 204 No Content\r\n\r\n", 0, WHOLE, 204, false, false },
	{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", 0, WHOLE, 304, false, false },
	{ OK "Content-Length: 100\r\n\r\n", 0, WHOLE, 200, false, true },
	{ OK "Transfer-Encoding: chunked\r\n\r\n", 0, WHOLE, 200, false, true },
	{ "HTTP/1.1 100 Continue\r\nContent-Length: 7\r\n\r\n" OK "Content-Length: 1\r\n\r\nx", 0, WHOLE, 200,
	  false, false },
	{ "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 0,
	  WHOLE, 404, false, false },
	{ "HTTP/1.1 101 Switching Protocols\r\n\r\n", 0, REFUSED, 101, false, false },
	{ "HTTP/2 200\r\n\r\n", 0, REFUSED, 0, false, false },
	{ "HTTP/1.1 099 Low\r\n\r\n", 0, REFUSED, 0, false, false },
	{ "HTTP/1.1 600 High\r\n\r\n", 0, REFUSED, 0, false, false },
	{ "HTTP/1.1 2000 Long\r\n\r\n", 0, REFUSED, 0, false, false },
	{ "SSH-2.0-OpenSSH_9.2\r\n", 0, REFUSED, 0, false, false },
	{ "\r\n\r\n\r\n", 0, REFUSED, 0, false, false },
	{ OK "No colon\r\n\r\n", 0, REFUSED, 200, false, false },
	{ OK ": no name\r\n\r\n", 0, REFUSED, 200, false, false },
	{ OK "Content-Length : 5\r\n\r\nhello", 0, REFUSED, 200, false, false },
	{ OK "X: a\r\n Content-Length: 5\r\n\r\n", 0, REFUSED, 200, false, false },
	{ OK "X: a\0b\r\n\r\n", sizeof(OK "X: a\0b\r\n\r\n") - 1, REFUSED, 200, false, false },
};
static const int sample_count = sizeof(samples) / sizeof(samples[0]);

static size_t sample_bytes(const struct sample *sample)
{
	return sample->bytes != 0 ? sample->bytes : strlen(sample->text);
}

/* Feed pieces of sizes that `next` gives; the outcome. */
static enum outcome feed(struct http_parser *parser, const char *text, size_t bytes, size_t (*next)(void))
{
	size_t at = 0;

	while (at < bytes) {
		size_t piece = next();
		int64_t taken;

		piece = piece < bytes - at ? piece : bytes - at;
		taken = http_parser_feed(parser, text + at, piece);
		if (taken < 0) {
			ck_assert_int_eq(taken, PFC_EPROTO);
			ck_assert_ptr_nonnull(parser->why);
			ck_assert_int_eq(http_parser_feed(parser, "x", 1), PFC_EPROTO);
			return REFUSED;
		}
		ck_assert_uint_le((uint64_t)taken, piece);
		at += (size_t)taken;
		if ((size_t)taken < piece) {
			ck_assert_int_eq(parser->state, HTTP_DONE);
			return EXTRA;
		}
		if (parser->state == HTTP_DONE && at < bytes) {
			return EXTRA;
		}
	}
	if (parser->state == HTTP_DONE) {
		return WHOLE;
	}
	return http_parser_eof(parser) == 0 ? AT_EOF : MORE;
}

static size_t all_at_once(void)
{
	return SIZE_MAX;
}

static size_t one_byte(void)
{
	return 1;
}

static size_t a_few(void)
{
	return (size_t)rand() % 9 + 1;
}

static void check_sample(int index, size_t (*next)(void))
{
	const struct sample *sample = &samples[index];
	struct http_parser parser;
	enum outcome outcome;

	http_parser_init(&parser, sample->is_head);
	outcome = feed(&parser, sample->text, sample_bytes(sample), next);
	ck_assert_msg(outcome == sample->outcome, "sample %d: outcome %d, expected %d (%s):\n%s", index,
		      outcome, sample->outcome, parser.why != NULL ? parser.why : "-", sample->text);
	ck_assert_msg(parser.status == sample->status, "sample %d: status %u", index, parser.status);
	if (outcome == WHOLE || outcome == AT_EOF) {
		ck_assert_msg(parser.close == sample->close, "sample %d: close %d", index, parser.close);
	}
}

START_TEST(test_whole)
{
	check_sample(_i, all_at_once);
}
END_TEST

START_TEST(test_byte_by_byte)
{
	check_sample(_i, one_byte);
}
END_TEST

START_TEST(test_random_pieces)
{
	srand(1 + (unsigned)_i);
	for (int round = 0; round < 200; round++) {
		check_sample(_i, a_few);
	}
}
END_TEST

START_TEST(test_again_after_init)
{
	struct http_parser parser;

	http_parser_init(&parser, false);
	feed(&parser, samples[0].text, sample_bytes(&samples[0]) - 2, all_at_once);
	http_parser_init(&parser, false);
	ck_assert_int_eq(feed(&parser, samples[0].text, sample_bytes(&samples[0]), all_at_once), WHOLE);
}
END_TEST

/* How many bytes of an endless repetition are taken before it is refused. */
static uint64_t endless(const char *begin, const char *repeat)
{
	struct http_parser parser;
	uint64_t bytes = 0;

	http_parser_init(&parser, false);
	ck_assert_int_ge(http_parser_feed(&parser, begin, strlen(begin)), 0);
	while (bytes < 10000000) {
		int64_t taken = http_parser_feed(&parser, repeat, strlen(repeat));

		if (taken < 0) {
			return bytes;
		}
		bytes += (uint64_t)taken;
	}
	ck_abort_msg("never refused: %s%s...", begin, repeat);
	return 0;
}

START_TEST(test_endless_heads_are_bounded)
{
	uint64_t slack = 64;

	ck_assert_uint_le(endless("", "x"), HTTP_HEAD_BYTES_MAX);
	ck_assert_uint_ge(endless("", "x"), HTTP_HEAD_BYTES_MAX - slack);
	ck_assert_uint_le(endless(OK, "A: b\r\n"), HTTP_HEAD_BYTES_MAX);
	ck_assert_uint_le(endless(OK "A: ", "x"), HTTP_HEAD_BYTES_MAX);
	ck_assert_uint_le(endless("", "HTTP/1.1 100 Continue\r\n\r\n"), HTTP_HEAD_BYTES_MAX);
	ck_assert_uint_le(endless(CHUNK "0\r\n", "T: x\r\n"), HTTP_HEAD_BYTES_MAX);
	ck_assert_uint_le(endless(CHUNK "1;", "x"), HTTP_CHUNK_LINE_BYTES_MAX);
	ck_assert_uint_le(endless(CHUNK, "0"), HTTP_CHUNK_LINE_BYTES_MAX);
}
END_TEST

START_TEST(test_long_lines)
{
	char name[HTTP_LINE_BYTES + 100];
	char text[2048];
	struct http_parser parser;

	/* A long value of a header that says nothing is fine; of one that counts, it is not. */
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	snprintf(text, sizeof(text), OK "Cookie: %s\r\nContent-Length: 0\r\n\r\n", name);
	http_parser_init(&parser, false);
	ck_assert_int_eq(feed(&parser, text, strlen(text), all_at_once), WHOLE);
	snprintf(text, sizeof(text), OK "Connection: %s, close\r\nContent-Length: 0\r\n\r\n", name);
	http_parser_init(&parser, false);
	ck_assert_int_eq(feed(&parser, text, strlen(text), all_at_once), REFUSED);
}
END_TEST

/* Whatever comes, in whatever pieces: an end, within the bounds, and the same one for the same bytes. */
START_TEST(test_mutations)
{
	char text[512];

	srand(7);
	for (int round = 0; round < 200000; round++) {
		const struct sample *sample = &samples[rand() % sample_count];
		size_t bytes = sample_bytes(sample);
		struct http_parser whole;
		struct http_parser pieces;
		enum outcome outcome;

		memcpy(text, sample->text, bytes);
		for (int i = rand() % 4; i >= 0; i--) {
			static const char likely[] = "\r\n:;, 0123456789abcdefHTP/\0\xff";

			text[(size_t)rand() % bytes] =
				rand() % 2 ? likely[(size_t)rand() % sizeof(likely)] : (char)rand();
		}
		http_parser_init(&whole, sample->is_head);
		http_parser_init(&pieces, sample->is_head);
		outcome = feed(&whole, text, bytes, all_at_once);
		ck_assert_int_eq(feed(&pieces, text, bytes, a_few), outcome);
		ck_assert_int_eq(whole.status, pieces.status);
		ck_assert_uint_eq(whole.left, pieces.left);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("load_http_parse");
	TCase *answers = tcase_create("answers");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(answers, test_whole, 0, sample_count);
	tcase_add_loop_test(answers, test_byte_by_byte, 0, sample_count);
	tcase_add_loop_test(answers, test_random_pieces, 0, sample_count);
	tcase_add_test(answers, test_again_after_init);
	tcase_add_test(answers, test_endless_heads_are_bounded);
	tcase_add_test(answers, test_long_lines);
	tcase_add_test(answers, test_mutations);
	tcase_set_timeout(answers, 60);
	suite_add_tcase(suite, answers);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
