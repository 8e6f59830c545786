/* SPDX-License-Identifier: MIT */
/* Control group paths of the engines, and what only looks like one. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target/cgroup.h"
#include "target/container.h"

#define ID "4f1c9a0b2d3e4f5061728394a5b6c7d8e9f00112233445566778899aabbccdde"

START_TEST(ids_are_found)
{
	static const char *const paths[] = {
		"/docker/" ID,
		"/system.slice/docker-" ID ".scope",
		"/machine.slice/libpod-" ID ".scope",
		"/machine.slice/libpod-" ID ".scope/container",
		"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope/ns",
		"/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID ".scope",
		"/kubepods/burstable/pod1/" ID,
		"/kubepods.slice/crio-" ID ".scope",
	};
	char id[CGROUP_ID_BYTES];
	size_t end;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		ck_assert_msg(cgroup_container_id(paths[i], id, &end), "%s", paths[i]);
		ck_assert_str_eq(id, ID);
		ck_assert(paths[i][end] == '\0' || paths[i][end] == '/');
	}
}
END_TEST

START_TEST(others_are_not)
{
	static const char *const paths[] = {
		"/",
		"",
		"/system.slice/docker.service",
		"/docker/4f1c9a0b2d3e",
		"/docker/" ID "a",
		"/docker/x" ID,
		"/docker/4F1C9a0b2d3e4f5061728394a5b6c7d8e9f00112233445566778899aabbccdde",
		"/other-" ID ".scope",
	};
	char id[CGROUP_ID_BYTES];
	size_t end;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		ck_assert_msg(!cgroup_container_id(paths[i], id, &end), "%s", paths[i]);
	}
}
END_TEST

/* Of nested containers the outer one is meant: it is the engine's of this machine. */
START_TEST(outer_comes_first)
{
	char id[CGROUP_ID_BYTES];
	size_t end;

	ck_assert(cgroup_container_id("/docker/" ID "/docker/00" ID, id, &end));
	ck_assert_uint_eq(end, strlen("/docker/" ID));
}
END_TEST

START_TEST(we_are_in_ours)
{
	struct cgroup_mount mount;
	struct container container;
	struct pfc_error err;
	char path[PATH_MAX];

	if (cgroup_find_mount(&mount) < 0 || cgroup_of(&mount, getpid(), path, sizeof(path)) < 0) {
		return; /* a machine that shows no control groups */
	}
	ck_assert_int_eq(container_of_cgroup(path, &container, &err), 0);
	ck_assert(container_holds(&container, getpid()));
	ck_assert_int_eq(container_of_cgroup("/no/such/group", &container, &err), PFC_ETARGET);
	ck_assert_int_eq(container_of_cgroup("/../../etc", &container, &err), PFC_ETARGET);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cgroup");
	TCase *tcase = tcase_create("paths");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, ids_are_found);
	tcase_add_test(tcase, others_are_not);
	tcase_add_test(tcase, outer_comes_first);
	tcase_add_test(tcase, we_are_in_ours);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
