/* SPDX-License-Identifier: MIT */
/* config/registry*.c: where plugins are found, which are refused, and whom we trust with privileges. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "config/registry.h"
#include "config_fixture.h"

static struct registry *registry;
static struct pfc_error error;
static const struct manifest *found;

static void make_folder(const char *name)
{
	ck_assert_int_eq(mkdir(fixture_path(name), 0755), 0);
	/* Whatever the umask says. */
	ck_assert_int_eq(chmod(fixture_path(name), 0755), 0);
}

/* A copy of the null plugin whose id is four other letters. */
static void make_plugin(const char *name, const char *id)
{
	size_t bytes;
	unsigned char *data = fixture_read(fixture_plugin("null"), &bytes);
	unsigned char *at = memmem(data, bytes, "= null\n", 7);

	ck_assert_ptr_nonnull(at);
	memcpy(at + 2, id, 4);
	ck_assert_int_eq(chmod(fixture_write_bytes(name, data, bytes), 0644), 0);
	free(data);
}

static void open_registry(const char *path)
{
	setenv("PROFCORE_PLUGIN_PATH", path, 1);
	ck_assert_int_eq(registry_open(&registry, &error), 0);
}

/* The folder beside the test program is searched too: only what lies in the test's own folder counts here. */
static const struct manifest *mine_at(size_t index)
{
	for (size_t i = 0; i < registry_count(registry); i++) {
		if (str_starts(registry_at(registry, i)->path, fixture_folder()) && index-- == 0) {
			return registry_at(registry, i);
		}
	}
	return NULL;
}

static size_t mine_count(void)
{
	size_t count = 0;

	while (mine_at(count) != NULL) {
		count++;
	}
	return count;
}

static const struct registry_reject *my_reject_at(size_t index)
{
	for (size_t i = 0; i < registry_reject_count(registry); i++) {
		if (str_starts(registry_reject_at(registry, i)->path, fixture_folder()) && index-- == 0) {
			return registry_reject_at(registry, i);
		}
	}
	return NULL;
}

static size_t my_reject_count(void)
{
	size_t count = 0;

	while (my_reject_at(count) != NULL) {
		count++;
	}
	return count;
}

START_TEST(lists_in_order_of_id)
{
	make_folder("a");
	make_plugin("a/1.so", "zzzz");
	make_plugin("a/2.so", "aaaa");
	make_plugin("a/.hidden.so", "hide");
	fixture_write("a/readme.txt", "no plugin");
	open_registry(fixture_path("a"));
	ck_assert_uint_eq(mine_count(), 2);
	ck_assert_str_eq(mine_at(0)->id, "aaaa");
	ck_assert_str_eq(mine_at(1)->id, "zzzz");
	ck_assert_ptr_null(mine_at(2));
	ck_assert_ptr_eq(registry_find(registry, "zzzz"), mine_at(1));
	ck_assert_ptr_null(registry_find(registry, "hide"));
	ck_assert_ptr_null(registry_at(registry, registry_count(registry)));
	ck_assert_ptr_null(registry_reject_at(registry, registry_reject_count(registry)));
	ck_assert_uint_eq(my_reject_count(), 0);
	ck_assert_str_eq(registry_folder_at(registry, 0), fixture_path("a"));
	registry_close(registry);
}
END_TEST

START_TEST(first_folder_wins)
{
	char path[1024];

	make_folder("a");
	make_folder("b");
	make_plugin("a/x.so", "same");
	make_plugin("b/y.so", "same");
	make_plugin("b/z.so", "only");
	snprintf(path, sizeof(path), "::%s:%s:%s:", fixture_path("b"), fixture_path("a"), fixture_path("b"));
	open_registry(path);
	ck_assert_uint_eq(mine_count(), 2);
	ck_assert_str_eq(registry_find(registry, "same")->path, fixture_path("b/y.so"));
	ck_assert_uint_eq(my_reject_count(), 0);
	registry_close(registry);
}
END_TEST

START_TEST(bad_files_are_rejects)
{
	make_folder("a");
	make_plugin("a/x.so", "same");
	make_plugin("a/y.so", "same");
	fixture_write("a/bad.so", "text");
	ck_assert_int_eq(symlink("nowhere", fixture_path("a/link.so")), 0);
	ck_assert_int_eq(mkfifo(fixture_path("a/pipe.so"), 0600), 0);
	open_registry(fixture_path("a"));
	ck_assert_uint_eq(mine_count(), 1);
	ck_assert_uint_eq(my_reject_count(), 4);
	ck_assert_ptr_nonnull(strstr(my_reject_at(0)->error.why, "no ELF file"));
	ck_assert_ptr_nonnull(strstr(my_reject_at(1)->error.why, "No such file"));
	ck_assert_ptr_nonnull(strstr(my_reject_at(2)->error.why, "no regular file"));
	ck_assert_ptr_nonnull(strstr(my_reject_at(3)->error.why, "its id \"same\" is taken by"));
	ck_assert_int_eq(registry_use(registry, "bad", &found, &error), PFC_ENOENT);
	ck_assert_ptr_nonnull(strstr(error.why, "no ELF file"));
	registry_close(registry);
	open_registry(fixture_path("nowhere"));
	ck_assert_uint_eq(my_reject_count(), 1);
	ck_assert_ptr_nonnull(strstr(my_reject_at(0)->error.why, "No such file"));
	registry_close(registry);
}
END_TEST

START_TEST(use_by_id_and_path)
{
	const struct manifest *again;

	make_folder("a");
	make_folder("b");
	make_plugin("a/x.so", "abcd");
	make_plugin("b/y.so", "file");
	open_registry(fixture_path("a"));
	ck_assert_int_eq(registry_use(registry, "abcd", &found, &error), 0);
	ck_assert_str_eq(found->id, "abcd");
	ck_assert_int_eq(registry_use(registry, fixture_path("b/y.so"), &found, &error), 0);
	ck_assert_str_eq(found->id, "file");
	ck_assert_int_eq(registry_use(registry, fixture_path("a/../b/y.so"), &again, &error), 0);
	ck_assert_ptr_eq(found, again);
	ck_assert_int_eq(registry_use(registry, "abdc", &found, &error), PFC_ENOENT);
	ck_assert_str_eq(error.why, "there is no such plugin; did you mean \"abcd\"?");
	ck_assert_int_eq(registry_use(registry, "zzzzzz", &found, &error), PFC_ENOENT);
	ck_assert_ptr_nonnull(strstr(error.hint, fixture_path("a")));
	ck_assert_int_eq(registry_use(registry, fixture_path("none.so"), &found, &error), PFC_ENOENT);
	ck_assert_int_eq(registry_use(registry, "./", &found, NULL), PFC_EINVAL);
	registry_close(registry);
}
END_TEST

static void trust_init(struct registry_trust *trust)
{
	memset(trust, 0, sizeof(*trust));
	trust->privileged = true;
	trust->uids[trust->count++] = 0;
	trust->uids[trust->count++] = geteuid();
}

/* The folders above the test's own must be trusted themselves: a sticky /tmp is. */
START_TEST(trust_follows_the_whole_path)
{
	struct registry_trust trust;

	trust_init(&trust);
	make_folder("a");
	make_plugin("a/x.so", "abcd");
	ck_assert_msg(registry_trust_check(&trust, fixture_path("a/x.so"), false, &error) == 0, "%s: %s",
		      error.what, error.why);
	ck_assert_int_eq(registry_trust_check(&trust, fixture_path("a"), true, &error), 0);
	ck_assert_int_eq(chmod(fixture_path("a/x.so"), 0664), 0);
	ck_assert_int_eq(registry_trust_check(&trust, fixture_path("a/x.so"), false, &error), PFC_EPERM);
	ck_assert_ptr_nonnull(strstr(error.why, "its group may write"));
	ck_assert_ptr_eq(strstr(error.hint, "chmod go-w "), error.hint);
	ck_assert_int_eq(chmod(fixture_path("a/x.so"), 0644), 0);
	ck_assert_int_eq(chmod(fixture_path("a"), 0757), 0);
	ck_assert_int_eq(registry_trust_check(&trust, fixture_path("a/x.so"), false, &error), PFC_EPERM);
	ck_assert_ptr_nonnull(strstr(error.why, "everybody may write"));
	ck_assert_ptr_nonnull(strstr(error.hint, fixture_path("a")));
	/* Sticky: nobody can replace x.so, but anybody could add files to a folder that is searched. */
	ck_assert_int_eq(chmod(fixture_path("a"), 01777), 0);
	ck_assert_int_eq(registry_trust_check(&trust, fixture_path("a/x.so"), false, &error), 0);
	ck_assert_int_eq(registry_trust_check(&trust, fixture_path("a"), true, &error), PFC_EPERM);
	/* A sticky bit on the file itself means nothing. */
	ck_assert_int_eq(chmod(fixture_path("a/x.so"), 01666), 0);
	ck_assert_int_eq(registry_trust_check(&trust, fixture_path("a/x.so"), false, &error), PFC_EPERM);
	trust.privileged = false;
	ck_assert_int_eq(registry_trust_check(&trust, fixture_path("a/x.so"), false, &error), 0);
}
END_TEST

START_TEST(trust_asks_for_the_owner)
{
	struct registry_trust trust;

	trust_init(&trust);
	make_folder("a");
	make_plugin("a/x.so", "abcd");
	if (geteuid() != 0) {
		printf("# skipped: only root can give files away\n");
		return;
	}
	ck_assert_int_eq(chown(fixture_path("a/x.so"), 4711, 0), 0);
	ck_assert_int_eq(registry_trust_check(&trust, fixture_path("a/x.so"), false, &error), PFC_EPERM);
	ck_assert_ptr_nonnull(strstr(error.why, "belongs to user 4711"));
	ck_assert_ptr_eq(strstr(error.hint, "chown root "), error.hint);
	open_registry(fixture_path("a"));
	ck_assert_uint_eq(mine_count(), 0);
	ck_assert_uint_eq(my_reject_count(), 1);
	ck_assert_int_eq(registry_use(registry, fixture_path("a/x.so"), &found, &error), PFC_EPERM);
	registry_close(registry);
	ck_assert_int_eq(chown(fixture_path("a/x.so"), 0, 0), 0);
	ck_assert_int_eq(chown(fixture_path("a"), 4711, 0), 0);
	ck_assert_int_eq(registry_trust_check(&trust, fixture_path("a/x.so"), false, &error), PFC_EPERM);
	/* The owner of the program may own plugins. */
	trust.uids[trust.count++] = 4711;
	ck_assert_int_eq(registry_trust_check(&trust, fixture_path("a/x.so"), false, &error), 0);
}
END_TEST

/* A link from an unsafe place leads to a safe file: what counts is where it leads, and that place is what is opened. */
START_TEST(links_are_followed_before_the_check)
{
	make_folder("a");
	make_folder("open");
	make_plugin("a/x.so", "abcd");
	ck_assert_int_eq(chmod(fixture_path("open"), 0777), 0);
	ck_assert_int_eq(symlink(fixture_path("a/x.so"), fixture_path("open/l.so")), 0);
	open_registry(fixture_path("a"));
	ck_assert_int_eq(registry_use(registry, fixture_path("open/l.so"), &found, &error), 0);
	ck_assert_str_eq(found->path, fixture_path("a/x.so"));
	registry_close(registry);
}
END_TEST

START_TEST(fifty_plugins)
{
	struct timespec start;
	struct timespec end;
	char name[32];
	char id[16];

	make_folder("a");
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "a/%d.so", i);
		snprintf(id, sizeof(id), "p%03d", i);
		make_plugin(name, id);
	}
	clock_gettime(CLOCK_MONOTONIC, &start);
	open_registry(fixture_path("a"));
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("# 50 plugins read in %.2f ms\n",
	       (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6);
	ck_assert_uint_eq(mine_count(), 50);
	ck_assert_str_eq(mine_at(49)->id, "p049");
	registry_close(registry);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("registry");

	tcase_add_test(tests, lists_in_order_of_id);
	tcase_add_test(tests, first_folder_wins);
	tcase_add_test(tests, bad_files_are_rejects);
	tcase_add_test(tests, use_by_id_and_path);
	tcase_add_test(tests, trust_follows_the_whole_path);
	tcase_add_test(tests, trust_asks_for_the_owner);
	tcase_add_test(tests, links_are_followed_before_the_check);
	tcase_add_test(tests, fifty_plugins);
	return fixture_main(tests, "registry");
}
