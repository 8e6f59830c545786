/* SPDX-License-Identifier: MIT */
/* Stored runs are hostile input: their manifests and what lies at the paths in them. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "config_fixture.h"
#include "plan/stored.h"

static struct pfc_error err;

#define STAGE(name, artifact)                                                                             \
	"{\"format\": 1, \"stages\": [{\"name\": \"" name "\", \"kind\": \"collector\", \"artifacts\": [" artifact "]}]}"
#define ARTIFACT(port, signal, path)                                                                      \
	"{\"port\": \"" port "\", \"type\": \"a.b/1\", \"signal\": \"" signal "\", \"state\": \"complete\", \"path\": \"" path "\"}"

static int read_run(const char *manifest, struct plan_stored **ret)
{
	mkdir(fixture_path("run"), 0700);
	fixture_write("run/manifest.json", manifest);
	err = (struct pfc_error){ 0 };
	return stored_from_run(fixture_path("run"), "run", false, ret, &err);
}

START_TEST(a_good_one)
{
	struct plan_stored *list = NULL;

	ck_assert_int_eq(read_run(STAGE("flame[perf-cpu.stacks]", ARTIFACT("svg", "cpu", "artifacts/x.svg")), &list), 0);
	ck_assert_str_eq(list->producer, "flame[perf-cpu.stacks]");
	ck_assert_str_eq(list->path, "artifacts/x.svg");
	ck_assert_str_eq(list->signal, "cpu");
	ck_assert(!list->partial);
	ck_assert_ptr_null(list->next);
	plan_stored_destroy(list);
}
END_TEST

START_TEST(names_and_paths_that_lead_elsewhere_are_refused)
{
	static const char *const manifests[] = {
		STAGE("a", ARTIFACT("p", "cpu", "../other/manifest.json")),
		STAGE("a", ARTIFACT("p", "cpu", "artifacts/../../x")),
		STAGE("a", ARTIFACT("p", "cpu", "/etc/passwd")),
		STAGE("../../../tmp/a", ARTIFACT("p", "cpu", "artifacts/x")),
		STAGE(".a", ARTIFACT("p", "cpu", "artifacts/x")),
		STAGE("a\\u001b[2J", ARTIFACT("p", "cpu", "artifacts/x")),
		STAGE("a", ARTIFACT("../p", "cpu", "artifacts/x")),
		STAGE("a", ARTIFACT("p", "../../etc/cron.d/x", "artifacts/x")),
		STAGE("a", ARTIFACT("p", "a/b", "artifacts/x")),
	};
	struct plan_stored *list = NULL;

	for (size_t i = 0; i < sizeof(manifests) / sizeof(manifests[0]); i++) {
		ck_assert_msg(read_run(manifests[i], &list) == PFC_ECORRUPT, "%s", manifests[i]);
		ck_assert_ptr_null(list);
		ck_assert_str_ne(err.why, "");
	}
}
END_TEST

START_TEST(what_is_no_manifest_is_refused)
{
	static const char *const manifests[] = { "", "[]", "5", "{}", "{\"format\": 2}", "{\"format\": \"1\"}", "{\"format\": 1", "\xff" };
	struct plan_stored *list = NULL;

	for (size_t i = 0; i < sizeof(manifests) / sizeof(manifests[0]); i++) {
		ck_assert_msg(read_run(manifests[i], &list) < 0, "%s", manifests[i]);
		ck_assert_str_ne(err.why, "");
	}
}
END_TEST

START_TEST(odd_members_are_no_artifacts)
{
	static const char *const manifests[] = {
		"{\"format\": 1}",
		"{\"format\": 1, \"stages\": 7}",
		"{\"format\": 1, \"stages\": [1, null, [], {\"artifacts\": {}}, {\"artifacts\": [1, null, [], {}]}]}",
		"{\"format\": 1, \"stages\": [{\"name\": 5, \"artifacts\": [{\"port\": [], \"path\": {}, \"state\": 1}]}]}",
	};
	struct plan_stored *list = NULL;

	for (size_t i = 0; i < sizeof(manifests) / sizeof(manifests[0]); i++) {
		ck_assert_msg(read_run(manifests[i], &list) == 0, "%s: %s", manifests[i], err.why);
		ck_assert_ptr_null(list);
	}
}
END_TEST

START_TEST(a_huge_manifest_is_refused)
{
	struct plan_stored *list = NULL;
	char *text = malloc(17u << 20);

	memset(text, ' ', 17u << 20);
	memcpy(text, "{\"format\": 1}", 13);
	text[(17u << 20) - 1] = '\0';
	ck_assert_int_eq(read_run(text, &list), PFC_ECORRUPT);
	free(text);
}
END_TEST

START_TEST(a_manifest_that_is_a_pipe_or_a_folder)
{
	struct plan_stored *list = NULL;

	mkdir(fixture_path("run"), 0700);
	ck_assert_int_eq(mkfifo(fixture_path("run/manifest.json"), 0600), 0);
	ck_assert_int_eq(stored_from_run(fixture_path("run"), "run", false, &list, &err), PFC_ECORRUPT);
	ck_assert_int_eq(unlink(fixture_path("run/manifest.json")), 0);
	ck_assert_int_eq(mkdir(fixture_path("run/manifest.json"), 0700), 0);
	ck_assert_int_lt(stored_from_run(fixture_path("run"), "run", false, &list, &err), 0);
}
END_TEST

START_TEST(files_are_opened_below_the_run_only)
{
	int fd = -1;

	mkdir(fixture_path("run"), 0700);
	mkdir(fixture_path("elsewhere"), 0700);
	mkdir(fixture_path("run/artifacts"), 0700);
	fixture_write("elsewhere/secret", "x");
	fixture_write("run/artifacts/good", "x");
	ck_assert_int_eq(symlink(fixture_path("elsewhere"), fixture_path("run/linked")), 0);
	ck_assert_int_eq(symlink("/etc/passwd", fixture_path("run/artifacts/link")), 0);
	ck_assert_int_eq(mkfifo(fixture_path("run/artifacts/pipe"), 0600), 0);
	ck_assert_int_eq(stored_open(fixture_path("run"), "artifacts/good", &fd, &err), 0);
	close(fd);
	fd = -1;
	ck_assert_int_lt(stored_open(fixture_path("run"), "linked/secret", &fd, &err), 0);
	ck_assert_int_lt(stored_open(fixture_path("run"), "artifacts/link", &fd, &err), 0);
	ck_assert_int_lt(stored_open(fixture_path("run"), "../elsewhere/secret", &fd, &err), 0);
	ck_assert_int_lt(stored_open(fixture_path("run"), "/etc/passwd", &fd, &err), 0);
	ck_assert_int_eq(stored_open(fixture_path("run"), "artifacts/pipe", &fd, &err), PFC_ECORRUPT);
	ck_assert_int_eq(stored_open(fixture_path("run"), "artifacts", &fd, &err), PFC_ECORRUPT);
	ck_assert_int_eq(stored_open(fixture_path("none"), "x", &fd, &err), PFC_ENOENT);
	ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(a_run_is_found_by_folder_or_id)
{
	char *folder = NULL;

	mkdir(fixture_path("out"), 0700);
	mkdir(fixture_path("out/20260101-000000-a"), 0700);
	fixture_write("out/20260101-000000-a/manifest.json", "{}");
	ck_assert_int_eq(stored_find_run("20260101-000000-a", fixture_path("out"), &folder, &err), 0);
	free(folder);
	ck_assert_int_eq(stored_find_run(fixture_path("out/20260101-000000-a"), "nowhere", &folder, &err), 0);
	free(folder);
	ck_assert_int_eq(stored_find_run("2027", fixture_path("out"), &folder, &err), PFC_ENOENT);
	ck_assert_ptr_nonnull(strstr(err.hint, "20260101-000000-a"));
	ck_assert_int_eq(stored_find_run("", fixture_path("out"), &folder, &err), PFC_ENOENT);
	ck_assert_int_eq(stored_find_run("../out/20260101-000000-a", fixture_path("out"), &folder, &err), PFC_ENOENT);
	ck_assert_int_eq(stored_find_run("a", fixture_path("nowhere"), &folder, &err), PFC_ENOENT);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("stored");

	tcase_add_test(tests, a_good_one);
	tcase_add_test(tests, names_and_paths_that_lead_elsewhere_are_refused);
	tcase_add_test(tests, what_is_no_manifest_is_refused);
	tcase_add_test(tests, odd_members_are_no_artifacts);
	tcase_add_test(tests, a_huge_manifest_is_refused);
	tcase_add_test(tests, a_manifest_that_is_a_pipe_or_a_folder);
	tcase_add_test(tests, files_are_opened_below_the_run_only);
	tcase_add_test(tests, a_run_is_found_by_folder_or_id);
	return fixture_main(tests, "stored");
}
