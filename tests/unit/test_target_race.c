/* SPDX-License-Identifier: MIT */
/* A target that swaps a folder for a link out of its root, as fast as it can: no file outside is ever opened. */
#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target/opener.h"

#define SWAPS 100000

struct race {
	char base[64];
	int root_fd;
	uint64_t inside;  /* inode of root/folder/file */
	uint64_t outside; /* of the file beside the root, which the link leads to */
	atomic_bool is_over;
};

static uint64_t make_file(const char *folder, const char *name)
{
	struct stat stat_buf;
	char path[PATH_MAX];
	int fd;

	mkdir(folder, 0755);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &stat_buf), 0);
	close(fd);
	return stat_buf.st_ino;
}

static void setup(struct race *race)
{
	char path[PATH_MAX];
	char link[PATH_MAX];

	memset(race, 0, sizeof(*race));
	strcpy(race->base, "/tmp/profcore-race-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(race->base));
	snprintf(path, sizeof(path), "%s/outside", race->base);
	race->outside = make_file(path, "file");
	snprintf(path, sizeof(path), "%s/root", race->base);
	mkdir(path, 0755);
	race->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/root/folder", race->base);
	race->inside = make_file(path, "file");
	snprintf(path, sizeof(path), "%s/root/link", race->base);
	snprintf(link, sizeof(link), "../../../../../../../..%s/outside", race->base);
	ck_assert_int_eq(symlink(link, path), 0);
}

static void *swap(void *arg)
{
	struct race *race = arg;

	for (int i = 0; i < SWAPS; i++) {
		ck_assert_int_eq(syscall(SYS_renameat2, race->root_fd, "folder", race->root_fd, "link",
					 2 /* RENAME_EXCHANGE */),
				 0);
	}
	atomic_store(&race->is_over, true);
	return NULL;
}

static void teardown(const struct race *race)
{
	static const char *const files[] = { "outside/file", "root/folder/file", "root/link" };
	static const char *const folders[] = { "outside", "root/folder", "root", "" };
	char path[PATH_MAX];

	close(race->root_fd);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", race->base, files[i]);
		unlink(path);
	}
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", race->base, folders[i]);
		rmdir(path);
	}
}

START_TEST(swapped_links_lead_nowhere)
{
	unsigned long found = 0;
	unsigned long looks = 0;
	struct race race;
	pthread_t thread;

	setup(&race);
	ck_assert_int_eq(pthread_create(&thread, NULL, swap, &race), 0);
	while (!atomic_load(&race.is_over)) {
		/* The right inode of the file outside: nothing but the way to it is wrong. */
		int outside = opener_find(race.root_fd, "/folder/file", race.outside);
		int inside = opener_find(race.root_fd, "/folder/file", race.inside);

		ck_assert_int_lt(outside, 0);
		if (inside >= 0) {
			close(inside);
			found++;
		}
		looks++;
	}
	pthread_join(thread, NULL);
	/* The race was one: the file inside was seen, and missed, in between. */
	ck_assert_uint_gt(found, 0);
	ck_assert_uint_lt(found, looks);
	teardown(&race);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("target_race");
	TCase *tcase = tcase_create("links");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, swapped_links_lead_nowhere);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
