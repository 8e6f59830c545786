/* SPDX-License-Identifier: MIT */
/* Dumps of just-in-time compilers: names, lines, code that was made anew, and files that lie. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <profcore/status.h>

#include "stacks/jit_dump.h"

#define NEVER UINT64_MAX

static FILE *dump;
static char answers[16][128];

static void put(const void *data, size_t bytes)
{
	ck_assert_uint_eq(fwrite(data, 1, bytes, dump), bytes);
}

static void begin(uint32_t magic)
{
	const uint32_t header[10] = { magic, 1, 40, 62, 0, 1234 };

	dump = tmpfile();
	ck_assert_ptr_nonnull(dump);
	put(header, sizeof(header));
	memset(answers, 0, sizeof(answers));
}

static void put_load(uint64_t code, uint64_t bytes, const char *name)
{
	const uint64_t fields[5] = { 1234, code, code, bytes, 1 };
	const uint32_t header[4] = { 0, (uint32_t)(16 + sizeof(fields) + strlen(name) + 1 + 3) };

	put(header, sizeof(header));
	put(fields, sizeof(fields));
	put(name, strlen(name) + 1);
	put("\x90\x90\xc3", 3);
}

/* Lines of one function, each "file" or "\377". */
static void put_lines(uint64_t code, uint64_t shift, uint32_t count, const char *const *files, size_t padding)
{
	uint32_t bytes = 32 + (uint32_t)padding;
	const uint64_t fields[2] = { code, count };
	uint32_t header[4] = { 2 };

	for (uint32_t i = 0; i < count; i++) {
		bytes += 16 + (uint32_t)strlen(files[i]) + 1;
	}
	header[1] = bytes;
	put(header, sizeof(header));
	put(fields, sizeof(fields));
	for (uint32_t i = 0; i < count; i++) {
		uint64_t at = code + shift + 16 * (uint64_t)i;
		const uint32_t line[2] = { 100 + i, 0 };

		put(&at, sizeof(at));
		put(line, sizeof(line));
		put(files[i], strlen(files[i]) + 1);
	}
	put("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", padding);
}

static int take(void *ctx, uint32_t index, const char *name, const char *file, uint32_t line)
{
	(void)ctx;
	snprintf(answers[index], sizeof(answers[index]), "%s %s:%u", name, file, line);
	return 0;
}

static int resolve(const uint64_t *addresses, uint32_t count, uint64_t deadline_ns)
{
	struct jit_dump_request request = {
		.addresses = addresses, .count = count, .deadline_ns = deadline_ns, .on_code = take
	};
	int status;

	fflush(dump);
	request.fd = fileno(dump);
	status = jit_dump_resolve(&request);
	fclose(dump);
	return status;
}

START_TEST(test_names_of_files)
{
	ck_assert(jit_dump_is("/srv/jit-17.dump") && jit_dump_is("jit-1.dump"));
	ck_assert(!jit_dump_is("/srv/jit-.dump") && !jit_dump_is("/jit-1.dump/x") &&
		  !jit_dump_is("/my-jit-1.dump") && !jit_dump_is("/jit-1.dumps"));
}
END_TEST

START_TEST(test_names_and_lines)
{
	const char *const files[] = { "/src/a.js", "\377", "/src/b.js" };
	const uint64_t addresses[] = { 0xfff, 0x1000, 0x101f, 0x1020, 0x10ff, 0x1100, 0x2000 };

	begin(0x4a695444);
	put_lines(0x1000, 0, 3, files, 4);
	put_load(0x1000, 0x100, "hot");
	put_load(0x2000, 0x10, "without lines");
	ck_assert_int_eq(resolve(addresses, 7, NEVER), 0);
	ck_assert_str_eq(answers[0], "");
	ck_assert_str_eq(answers[1], "hot /src/a.js:100");
	ck_assert_str_eq(answers[2], "hot /src/a.js:101");
	ck_assert_str_eq(answers[3], "hot /src/b.js:102");
	ck_assert_str_eq(answers[4], "hot /src/b.js:102");
	ck_assert_str_eq(answers[5], "");
	ck_assert_str_eq(answers[6], "without lines :0");
}
END_TEST

/* V8's addresses of lines are 64 bytes further: as in the ELF file that perf would make of it. */
START_TEST(test_lines_behind_an_imagined_header)
{
	const char *const files[] = { "a", "\377" };
	const uint64_t addresses[] = { 0x1000, 0x100f, 0x1010 };

	begin(0x4a695444);
	put_lines(0x1000, 64, 2, files, 0);
	put_load(0x1000, 0x100, "f");
	ck_assert_int_eq(resolve(addresses, 3, NEVER), 0);
	ck_assert_str_eq(answers[0], "f a:100");
	ck_assert_str_eq(answers[1], "f a:100");
	ck_assert_str_eq(answers[2], "f a:101");
}
END_TEST

START_TEST(test_lines_that_make_no_sense)
{
	const char *const rubbish[] = { "\304'\002" };
	const char *const none[] = { "\377" };
	const char *const good[] = { "a" };
	const uint64_t addresses[] = { 0x1000, 0x2000, 0x3000 };

	begin(0x4a695444);
	put_lines(0x1000, 0, 1, rubbish, 0);
	put_load(0x1000, 0x100, "one");
	put_lines(0x2000, 0, 1, none, 0); /* as the one before: there is none */
	put_load(0x2000, 0x100, "two");
	put_lines(0x3000, 0, 1, good, 16); /* more bytes than lines */
	put_load(0x3000, 0x100, "three");
	ck_assert_int_eq(resolve(addresses, 3, NEVER), 0);
	ck_assert_str_eq(answers[0], "one :0");
	ck_assert_str_eq(answers[1], "two :0");
	ck_assert_str_eq(answers[2], "three :0");
}
END_TEST

/* Code memory is used again: the last record counts. */
START_TEST(test_later_code_wins)
{
	const uint64_t addresses[] = { 0x1000, 0x1080 };

	begin(0x4a695444);
	put_load(0x1000, 0x100, "old");
	put_load(0x1080, 0x10, "new");
	ck_assert_int_eq(resolve(addresses, 2, NEVER), 0);
	ck_assert_str_eq(answers[0], "old :0");
	ck_assert_str_eq(answers[1], "new :0");
}
END_TEST

START_TEST(test_broken_files)
{
	const uint64_t addresses[] = { 0x1000 };
	const uint32_t small[4] = { 0, 8 };
	const uint32_t cut[4] = { 0, 4096 };

	begin(0x4454694a); /* the other byte order */
	put_load(0x1000, 0x100, "f");
	ck_assert_int_eq(resolve(addresses, 1, NEVER), PFC_ECORRUPT);
	begin(0x4a695444);
	put_load(0x1000, 0x100, "f");
	put(small, sizeof(small)); /* would be read for ever */
	ck_assert_int_eq(resolve(addresses, 1, NEVER), 0);
	ck_assert_str_eq(answers[0], "f :0");
	begin(0x4a695444);
	put_load(0x1000, UINT64_MAX, "wraps");
	put(cut, sizeof(cut));
	ck_assert_int_eq(resolve(addresses, 1, NEVER), 0);
	ck_assert_str_eq(answers[0], "");
	begin(0x4a695444);
	put_load(0x1000, 0x100, "f");
	ck_assert_int_eq(resolve(addresses, 1, 1), PFC_ETIMEDOUT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stacks_jit_dump");
	TCase *cases = tcase_create("jit dump");
	SRunner *runner;
	int failed;

	tcase_add_test(cases, test_names_of_files);
	tcase_add_test(cases, test_names_and_lines);
	tcase_add_test(cases, test_lines_behind_an_imagined_header);
	tcase_add_test(cases, test_lines_that_make_no_sense);
	tcase_add_test(cases, test_later_code_wins);
	tcase_add_test(cases, test_broken_files);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
