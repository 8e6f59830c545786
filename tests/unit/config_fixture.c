/* SPDX-License-Identifier: MIT */
#include "config_fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[PATH_MAX];

static int remove_one(const char *path, const struct stat *stat_buf, int kind, struct FTW *walk)
{
	(void)stat_buf;
	(void)kind;
	(void)walk;
	return remove(path);
}

void fixture_setup(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/profcore-test-XXXXXX", base != NULL ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

void fixture_teardown(void)
{
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fixture_folder(void)
{
	return folder;
}

const char *fixture_path(const char *name)
{
	static char paths[8][PATH_MAX + 256];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

const char *fixture_write_bytes(const char *name, const void *data, size_t bytes)
{
	const char *path = fixture_path(name);
	FILE *file = fopen(path, "wb");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(data, 1, bytes, file), bytes);
	ck_assert_int_eq(fclose(file), 0);
	return path;
}

const char *fixture_write(const char *name, const char *text)
{
	return fixture_write_bytes(name, text, strlen(text));
}

unsigned char *fixture_read(const char *path, size_t *ret_bytes)
{
	FILE *file = fopen(path, "rb");
	struct stat stat_buf;
	unsigned char *data;

	ck_assert_msg(file != NULL, "%s cannot be read", path);
	ck_assert_int_eq(fstat(fileno(file), &stat_buf), 0);
	data = malloc((size_t)stat_buf.st_size + 1);
	ck_assert_ptr_nonnull(data);
	*ret_bytes = fread(data, 1, (size_t)stat_buf.st_size, file);
	ck_assert_uint_eq(*ret_bytes, (size_t)stat_buf.st_size);
	fclose(file);
	return data;
}

const char *fixture_plugin(const char *id)
{
	static char path[PATH_MAX];
	const char *root = getenv("PROFCORE_BUILD_ROOT");

	ck_assert_msg(root != NULL, "PROFCORE_BUILD_ROOT names the build folder; meson test sets it");
	snprintf(path, sizeof(path), "%s/plugins/%s.so", root, id);
	return path;
}

const char *fixture_remarks(const struct diag_list *diags)
{
	static char *text;
	size_t bytes = 0;
	size_t cut = strlen(folder) + 1;
	FILE *file;

	free(text);
	file = open_memstream(&text, &bytes);
	ck_assert_ptr_nonnull(file);
	diag_print(diags, file, 0);
	fclose(file);
	for (char *at = text; folder[0] != '\0' && (at = strstr(at, folder)) != NULL;) {
		memmove(at, at + cut, strlen(at + cut) + 1);
	}
	return text;
}

int fixture_main(TCase *tests, const char *name)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, fixture_setup, fixture_teardown);
	tcase_set_timeout(tests, 60);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
