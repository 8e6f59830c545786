/* SPDX-License-Identifier: MIT */
/* core/base/paths.c: copies of this program stand where profcore would, in a build tree and installed, and look around. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/str.h"
#include "config_fixture.h"

#define IN_BUILD  "configs/commands"
#define INSTALLED "share/profcore/commands"

static const char *make_program(const char *folder, const char *name)
{
	char path[PATH_MAX];
	unsigned char *data;
	const char *copy;
	size_t bytes;

	ck_assert_int_eq(mkdir(fixture_path(folder), 0755), 0);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	data = fixture_read("/proc/self/exe", &bytes);
	copy = fixture_write_bytes(path, data, bytes);
	free(data);
	ck_assert_int_eq(chmod(copy, 0755), 0);
	return copy;
}

/* An empty file below folders that are made when they are not there. */
static void make_file(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", name);
	for (char *at = strchr(path, '/'); at != NULL; at = strchr(at + 1, '/')) {
		*at = '\0';
		(void)mkdir(fixture_path(path), 0755);
		*at = '/';
	}
	fixture_write(name, "");
}

/* What the program at `path` finds, below the test's folder and canonical; "" for nothing. */
static const char *found_by(const char *path, const char *name)
{
	static char canonical[PATH_MAX];
	char command[4 * PATH_MAX];
	char line[2 * PATH_MAX] = "";
	FILE *from;

	snprintf(command, sizeof(command), "'%s' --find '%s'", path, name);
	from = popen(command, "r");
	ck_assert_ptr_nonnull(from);
	if (fgets(line, sizeof(line), from) == NULL) {
		line[0] = '\0';
	}
	ck_assert_int_eq(pclose(from), 0);
	if (line[0] == '\0') {
		return "";
	}
	ck_assert_ptr_nonnull(realpath(line, canonical));
	ck_assert(str_starts(canonical, fixture_folder()));
	return canonical + strlen(fixture_folder()) + 1;
}

START_TEST(in_a_build_tree)
{
	const char *program = make_program("core", "profcore");

	make_file(IN_BUILD "/here.ini");
	make_file(INSTALLED "/there.ini");
	ck_assert_str_eq(found_by(program, "here"), IN_BUILD "/here.ini");
	ck_assert_str_eq(found_by(program, "there"), ""); /* the two layouts are never mixed */
}
END_TEST

START_TEST(installed)
{
	const char *program = make_program("bin", "profcore");

	make_file(IN_BUILD "/here.ini");
	make_file(INSTALLED "/there.ini");
	ck_assert_str_eq(found_by(program, "here"), "");
	ck_assert_str_eq(found_by(program, "there"), INSTALLED "/there.ini");
	ck_assert_str_eq(found_by(program, "nowhere"), "");
	ck_assert_str_eq(found_by(program, ""), "");
}
END_TEST

START_TEST(a_folder_that_only_ends_alike)
{
	const char *program = make_program("hardcore", "profcore");

	make_file(IN_BUILD "/both.ini");
	make_file(INSTALLED "/both.ini");
	ck_assert_str_eq(found_by(program, "both"), INSTALLED "/both.ini");
}
END_TEST

START_TEST(through_a_link)
{
	const char *program = make_program("bin", "profcore");
	const char *link;

	ck_assert_int_eq(mkdir(fixture_path("elsewhere"), 0755), 0);
	link = fixture_path("elsewhere/profcore");
	ck_assert_int_eq(symlink(program, link), 0);
	make_file(INSTALLED "/there.ini");
	ck_assert_str_eq(found_by(link, "there"), INSTALLED "/there.ini");
}
END_TEST

START_TEST(a_tree_that_was_moved)
{
	make_program("old", "unused");
	make_program("old/bin", "profcore");
	make_file("old/" INSTALLED "/there.ini");
	ck_assert_int_eq(rename(fixture_path("old"), fixture_path("new one")), 0);
	ck_assert_str_eq(found_by(fixture_path("new one/bin/profcore"), "there"),
			 "new one/" INSTALLED "/there.ini");
}
END_TEST

static int find(const char *name)
{
	char *path = paths_find(IN_BUILD, INSTALLED, name, ".ini");

	if (path != NULL) {
		fputs(path, stdout);
	}
	free(path);
	return 0;
}

int main(int argc, char **argv)
{
	TCase *tests;

	if (argc == 3 && str_equal(argv[1], "--find")) {
		return find(argv[2]);
	}
	tests = tcase_create("paths");
	tcase_add_test(tests, in_a_build_tree);
	tcase_add_test(tests, installed);
	tcase_add_test(tests, a_folder_that_only_ends_alike);
	tcase_add_test(tests, through_a_link);
	tcase_add_test(tests, a_tree_that_was_moved);
	return fixture_main(tests, "paths");
}
