/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "config_fixture.h"
#include "run/rundir.h"

static struct rundir *make(const char *name)
{
	struct rundir *dir = NULL;
	struct pfc_error err;

	ck_assert_msg(rundir_create(fixture_path("out"), name, &dir, &err) == 0, "%s: %s", err.what, err.why);
	return dir;
}

START_TEST(ids_of_one_second_differ)
{
	struct rundir *dirs[5];

	for (size_t i = 0; i < 5; i++) {
		dirs[i] = make("same");
		for (size_t j = 0; j < i; j++) {
			ck_assert_str_ne(dirs[i]->id, dirs[j]->id);
		}
	}
	for (size_t i = 0; i < 5; i++) {
		rundir_close(dirs[i]);
	}
}
END_TEST

START_TEST(hostile_names_become_plain)
{
	static const char *const names[] = { "../../etc/x", ".hidden", "a b\nc", "", "\xff\xfe", "....//", "-rf" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct rundir *dir = make(names[i]);
		struct stat st;

		ck_assert_ptr_null(strchr(dir->id, '/'));
		ck_assert_int_ne(dir->id[0], '.');
		for (const char *at = dir->id; *at != '\0'; at++) {
			ck_assert(*at > ' ' && *at < 0x7f);
		}
		ck_assert_int_eq(fstatat(dir->output_fd, dir->id, &st, AT_SYMLINK_NOFOLLOW), 0);
		ck_assert(S_ISDIR(st.st_mode));
		rundir_close(dir);
	}
}
END_TEST

START_TEST(a_long_name_is_cut)
{
	char name[1000];
	struct rundir *dir;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	dir = make(name);
	ck_assert_uint_lt(strlen(dir->id), 100);
	rundir_close(dir);
}
END_TEST

START_TEST(an_output_that_is_no_folder)
{
	struct rundir *dir = NULL;
	struct pfc_error err = { 0 };

	fixture_write("file", "x");
	ck_assert_int_lt(rundir_create(fixture_path("file"), "a", &dir, &err), 0);
	ck_assert_int_lt(rundir_create(fixture_path("file/below"), "a", &dir, &err), 0);
	ck_assert_str_ne(err.what, "");
	ck_assert_int_lt(rundir_create("", "a", &dir, &err), 0);
	ck_assert_str_ne(err.why, "");
	ck_assert_ptr_null(dir);
}
END_TEST

START_TEST(files_are_new_and_inside)
{
	struct rundir *dir = make("a");
	struct pfc_error err = { 0 };
	int fd = -1;

	ck_assert_int_eq(rundir_create_file(dir, "artifacts/x", &fd, &err), 0);
	close(fd);
	fd = -1;
	ck_assert_int_lt(rundir_create_file(dir, "artifacts/x", &fd, &err), 0);
	ck_assert_int_eq(symlinkat("/tmp", dir->fd, "artifacts/link"), 0);
	ck_assert_int_lt(rundir_create_file(dir, "artifacts/link", &fd, &err), 0);
	ck_assert_int_lt(rundir_open_file(dir, "artifacts/link", &fd, &err), 0);
	ck_assert_int_lt(rundir_create_file(dir, "../outside", &fd, &err), 0);
	ck_assert_int_lt(rundir_create_file(dir, "artifacts/../../outside", &fd, &err), 0);
	ck_assert_int_lt(rundir_create_file(dir, fixture_path("outside"), &fd, &err), 0);
	ck_assert_int_lt(rundir_open_file(dir, "../../../../../../etc/passwd", &fd, &err), 0);
	ck_assert_int_lt(rundir_open_file(dir, "/etc/passwd", &fd, &err), 0);
	ck_assert_int_eq(access(fixture_path("out/outside"), F_OK), -1);
	ck_assert_int_eq(fd, -1);
	rundir_close(dir);
}
END_TEST

START_TEST(a_folder_that_is_a_link_is_not_followed)
{
	struct rundir *dir = make("a");
	struct pfc_error err = { 0 };
	int fd = -1;

	ck_assert_int_eq(symlinkat(fixture_folder(), dir->fd, "elsewhere"), 0);
	fixture_write("secret", "x");
	ck_assert_int_lt(rundir_open_file(dir, "elsewhere/secret", &fd, &err), 0);
	ck_assert_int_lt(rundir_create_file(dir, "elsewhere/new", &fd, &err), 0);
	ck_assert_int_eq(access(fixture_path("new"), F_OK), -1);
	rundir_close(dir);
}
END_TEST

START_TEST(links_replace_links_and_nothing_else)
{
	struct rundir *first = make("a");
	struct rundir *second = make("a");
	struct pfc_error err = { 0 };
	char to[256];
	ssize_t bytes;

	ck_assert_int_eq(rundir_link_latest(first, &err), 0);
	ck_assert_int_eq(rundir_link_latest(second, &err), 0);
	bytes = readlinkat(first->output_fd, "latest", to, sizeof(to) - 1);
	ck_assert_int_gt(bytes, 0);
	to[bytes] = '\0';
	ck_assert_str_eq(to, second->id);
	fixture_write("out/kept", "mine");
	ck_assert_int_lt(rundir_link(first, "kept", "x", &err), 0);
	ck_assert_int_eq(mkdirat(first->output_fd, "folder", 0700), 0);
	ck_assert_int_lt(rundir_link(first, "folder", "x", &err), 0);
	rundir_close(first);
	rundir_close(second);
}
END_TEST

/* ---- replacing ---- */

static struct rundir *shared;
static atomic_bool done;

static void *replace(void *arg)
{
	json_t *json = json_pack("{s:[], s:i}", "items", "n", 0);

	for (int i = 0; i < 300; i++) {
		json_array_append_new(json_object_get(json, "items"), json_string("some text to make it longer and longer"));
		if (rundir_write_json(shared, "manifest.json", json, NULL) < 0) {
			break;
		}
	}
	atomic_store(&done, true);
	json_decref(json);
	return arg;
}

START_TEST(a_reader_sees_the_old_or_the_new_text)
{
	pthread_t thread;
	size_t reads = 0;
	size_t least = 0;

	shared = make("a");
	ck_assert_int_eq(rundir_write_text(shared, "manifest.json", "{\"items\": []}", NULL), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, replace, NULL), 0);
	while (!atomic_load(&done)) {
		int fd = openat(shared->fd, "manifest.json", O_RDONLY);
		json_t *json = json_loadfd(fd, 0, NULL);
		size_t count = json_array_size(json_object_get(json, "items"));

		ck_assert_msg(json != NULL, "read %zu is no JSON", reads);
		ck_assert_uint_ge(count, least);
		least = count;
		reads++;
		json_decref(json);
		close(fd);
	}
	pthread_join(thread, NULL);
	ck_assert_uint_gt(reads, 10);
	ck_assert_int_eq(faccessat(shared->fd, "manifest.json.new", F_OK, 0), -1);
	rundir_close(shared);
}
END_TEST

START_TEST(a_full_disk_leaves_the_old_text)
{
	struct rundir *dir = NULL;
	struct pfc_error err = { 0 };
	char *big = malloc(400 * 1024);
	unsigned char *text;
	size_t bytes;
	char *path;

	if (mkdir(fixture_path("full"), 0700) < 0 || mount("none", fixture_path("full"), "tmpfs", 0, "size=64k") < 0) {
		printf("# SKIP(root): a full disk needs a tmpfs of its own\n");
		free(big);
		return;
	}
	memset(big, 'x', 400 * 1024 - 1);
	big[400 * 1024 - 1] = '\0';
	ck_assert_int_eq(rundir_create(fixture_path("full"), "a", &dir, &err), 0);
	ck_assert_int_eq(rundir_write_text(dir, "manifest.json", "old", &err), 0);
	ck_assert_int_eq(rundir_write_text(dir, "manifest.json", big, &err), PFC_ENOSPC);
	ck_assert_str_ne(err.hint, "");
	ck_assert_int_eq(faccessat(dir->fd, "manifest.json.new", F_OK, 0), -1);
	path = str_printf("%s/manifest.json", dir->path);
	text = fixture_read(path, &bytes);
	ck_assert_uint_eq(bytes, 3);
	free(text);
	free(path);
	free(big);
	rundir_close(dir);
	ck_assert_int_eq(umount(fixture_path("full")), 0);
}
END_TEST

START_TEST(a_read_only_folder_is_told)
{
	struct rundir *dir = NULL;
	struct pfc_error err = { 0 };

	if (mkdir(fixture_path("ro"), 0700) < 0 || mount("none", fixture_path("ro"), "tmpfs", MS_RDONLY, NULL) < 0) {
		printf("# SKIP(root): a read-only folder needs a mount of its own\n");
		return;
	}
	ck_assert_int_lt(rundir_create(fixture_path("ro"), "a", &dir, &err), 0);
	ck_assert_int_eq(umount(fixture_path("ro")), 0);
	ck_assert_ptr_nonnull(strstr(err.why, "Read-only"));
	ck_assert_str_ne(err.hint, "");
}
END_TEST

START_TEST(closing_nothing)
{
	rundir_close(NULL);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("rundir");

	tcase_add_test(tests, ids_of_one_second_differ);
	tcase_add_test(tests, hostile_names_become_plain);
	tcase_add_test(tests, a_long_name_is_cut);
	tcase_add_test(tests, an_output_that_is_no_folder);
	tcase_add_test(tests, files_are_new_and_inside);
	tcase_add_test(tests, a_folder_that_is_a_link_is_not_followed);
	tcase_add_test(tests, links_replace_links_and_nothing_else);
	tcase_add_test(tests, a_reader_sees_the_old_or_the_new_text);
	tcase_add_test(tests, a_full_disk_leaves_the_old_text);
	tcase_add_test(tests, a_read_only_folder_is_told);
	tcase_add_test(tests, closing_nothing);
	return fixture_main(tests, "rundir");
}
