/* SPDX-License-Identifier: MIT */
/* Names kept on disk: what was written comes back, and nothing else does. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <profcore/status.h>

#include "stacks/cache.h"

#define BUILD_ID "00112233445566778899aabbccddeeff00112233"
#define NAME     BUILD_ID ".names"

static const struct cache_identity identity = { 11, 22, 33, 44 };
static char path[] = "/tmp/profcore-cache-XXXXXX";
static int folder = -1;

static void make_folder(void)
{
	strcpy(path, "/tmp/profcore-cache-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(folder, 0);
}

static void remove_folder(void)
{
	cache_trim(folder, 0, 0);
	close(folder);
	ck_assert_int_eq(rmdir(path), 0);
}

static void write_some(const char *build_id)
{
	static const uint64_t addresses[] = { 0x1000, 0x2000, 0x3000 };
	static const uint32_t first[] = { 0, 2, 2, 3 };
	static const struct cache_frame frames[] = { { 1, 7, 10, 0, 0 },
						     { 13, 7, 20, 0, 0 },
						     { 0, 0, 0, 0, 0x2f00 } };
	static const char texts[] = "\0outer\0src.c\0inner";
	const struct cache cache = { .has_debug_file = true,
				     .address_count = 3,
				     .frame_count = 3,
				     .text_bytes = sizeof(texts),
				     .addresses = addresses,
				     .first = first,
				     .frames = frames,
				     .texts = texts };

	cache_write(folder, build_id, &identity, &cache);
}

START_TEST(gives_back_what_was_written)
{
	struct cache cache;

	ck_assert_int_eq(cache_read(folder, BUILD_ID, &identity, &cache), PFC_ENOENT);
	write_some(BUILD_ID);
	ck_assert_int_eq(cache_read(folder, BUILD_ID, &identity, &cache), 0);
	ck_assert(cache.has_debug_file);
	ck_assert_uint_eq(cache.address_count, 3);
	ck_assert_uint_eq(cache.addresses[2], 0x3000);
	ck_assert_uint_eq(cache.first[1], 2);
	ck_assert_str_eq(cache.texts + cache.frames[0].function, "outer");
	ck_assert_str_eq(cache.texts + cache.frames[1].function, "inner");
	ck_assert_str_eq(cache.texts + cache.frames[1].file, "src.c");
	ck_assert_uint_eq(cache.frames[2].start, 0x2f00);
	cache_finish(&cache);
}
END_TEST

START_TEST(knows_one_copy_of_a_program_from_another)
{
	struct cache_identity other = identity;
	struct cache cache;

	write_some(BUILD_ID);
	other.changed_ns++;
	ck_assert_int_eq(cache_read(folder, BUILD_ID, &other, &cache), PFC_ENOENT);
	other = identity;
	other.bytes++;
	ck_assert_int_eq(cache_read(folder, BUILD_ID, &other, &cache), PFC_ENOENT);
}
END_TEST

/* The build-id comes from the target's file. */
START_TEST(makes_no_name_of_anything_but_hex)
{
	static const char *const bad[] = { "", "ab", "../../../../etc/passwd",
					   "00112233445566778899aabbccddeefg", "0011223344556677/../x" };
	struct cache cache;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_some(bad[i]);
		ck_assert_int_eq(cache_read(folder, bad[i], &identity, &cache), PFC_ENOENT);
	}
}
END_TEST

START_TEST(trusts_no_file_that_others_could_write)
{
	struct cache cache;

	write_some(BUILD_ID);
	ck_assert_int_eq(fchmodat(folder, NAME, 0620, 0), 0);
	ck_assert_int_eq(cache_read(folder, BUILD_ID, &identity, &cache), PFC_ENOENT);
	ck_assert_int_eq(fchmodat(folder, NAME, 0600, 0), 0);
	ck_assert_int_eq(renameat(folder, NAME, folder, "elsewhere.names"), 0);
	ck_assert_int_eq(symlinkat("elsewhere.names", folder, NAME), 0);
	ck_assert_int_eq(cache_read(folder, BUILD_ID, &identity, &cache), PFC_ENOENT);
	ck_assert_int_eq(unlinkat(folder, NAME, 0), 0);
	if (geteuid() == 0) {
		write_some(BUILD_ID);
		ck_assert_int_eq(fchownat(folder, NAME, 65534, 65534, 0), 0);
		ck_assert_int_eq(cache_read(folder, BUILD_ID, &identity, &cache), PFC_ENOENT);
	}
}
END_TEST

START_TEST(takes_no_damage_for_names)
{
	struct cache cache;
	struct stat stat;
	uint8_t byte;
	int fd;

	write_some(BUILD_ID);
	fd = openat(folder, NAME, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(fstat(fd, &stat), 0);
	for (off_t at = 0; at < stat.st_size; at++) {
		ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
		byte ^= 0x10;
		ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
		ck_assert_int_lt(cache_read(folder, BUILD_ID, &identity, &cache), 0);
		byte ^= 0x10;
		ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
	}
	ck_assert_int_eq(cache_read(folder, BUILD_ID, &identity, &cache), 0);
	cache_finish(&cache);
	for (off_t bytes = 0; bytes < stat.st_size; bytes += 7) {
		ck_assert_int_eq(ftruncate(fd, stat.st_size - 1 - bytes), 0);
		ck_assert_int_lt(cache_read(folder, BUILD_ID, &identity, &cache), 0);
	}
	close(fd);
	write_some(BUILD_ID);
	ck_assert_int_eq(cache_read(folder, BUILD_ID, &identity, &cache), 0);
	cache_finish(&cache);
}
END_TEST

START_TEST(removes_what_was_used_longest_ago)
{
	static const struct timespec long_ago[2] = { { .tv_sec = 1000 }, { .tv_nsec = UTIME_OMIT } };
	struct cache cache;
	char build_id[] = BUILD_ID;
	struct stat stat;

	for (char digit = 'a'; digit <= 'f'; digit++) {
		build_id[0] = digit;
		write_some(build_id);
	}
	build_id[0] = 'c';
	ck_assert_int_eq(cache_read(folder, build_id, &identity, &cache), 0);
	cache_finish(&cache);
	for (char digit = 'a'; digit <= 'f'; digit++) {
		char name[] = NAME;

		name[0] = digit;
		ck_assert_int_eq(fstatat(folder, name, &stat, 0), 0);
		if (digit != 'c') {
			ck_assert_int_eq(utimensat(folder, name, long_ago, 0), 0);
		}
	}
	cache_trim(folder, (uint64_t)stat.st_size * 6, 6);
	build_id[0] = 'a';
	ck_assert_int_eq(cache_read(folder, build_id, &identity, &cache), 0);
	cache_finish(&cache);
	cache_trim(folder, (uint64_t)stat.st_size, 6);
	for (char digit = 'a'; digit <= 'f'; digit++) {
		int status;

		build_id[0] = digit;
		status = cache_read(folder, build_id, &identity, &cache);
		ck_assert_int_eq(status, digit == 'a' ? 0 : PFC_ENOENT); /* the last one read */
		if (status == 0) {
			cache_finish(&cache);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stacks_cache");
	TCase *cases = tcase_create("cache");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(cases, make_folder, remove_folder);
	tcase_add_test(cases, gives_back_what_was_written);
	tcase_add_test(cases, knows_one_copy_of_a_program_from_another);
	tcase_add_test(cases, makes_no_name_of_anything_but_hex);
	tcase_add_test(cases, trusts_no_file_that_others_could_write);
	tcase_add_test(cases, takes_no_damage_for_names);
	tcase_add_test(cases, removes_what_was_used_longest_ago);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
