/* SPDX-License-Identifier: MIT */
/* core/target/pod.c: nodes that are made up, as kubelets of different kinds leave them. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "config_fixture.h"
#include "target/pod.h"

#define UID     "0f3c9a52-7d11-4a8e-9b60-1d2c3e4f5a6b"
#define UID_BAR "0f3c9a52_7d11_4a8e_9b60_1d2c3e4f5a6b"
#define OTHER   "11111111-2222-3333-4444-555555555555"

static struct pod pod;
static struct pfc_error err;

/* All folders of a path below the test's own. */
static void make(const char *path)
{
	char *full = strdup(fixture_path(path));

	for (char *at = strchr(full + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
		*at = '\0';
		(void)mkdir(full, 0755);
		*at = '/';
	}
	(void)mkdir(full, 0755);
	free(full);
}

static int find(const char *wanted)
{
	char *logs = strdup(fixture_path("logs"));
	char *groups = strdup(fixture_path("cgroup"));
	int status;

	memset(&pod, 0, sizeof(pod));
	memset(&err, 0, sizeof(err));
	status = pod_find(logs, groups, wanted, &pod, &err);
	free(logs);
	free(groups);
	return status;
}

static void expect_at(const char *group)
{
	make(group);
	ck_assert_int_eq(find("shop/web-0"), 0);
	ck_assert_str_eq(pod.path, group + strlen("cgroup"));
	ck_assert_str_eq(pod.uid, UID);
	ck_assert_str_eq(pod.name, "shop/web-0");
}

static const char *const groups[] = {
	"cgroup/kubepods/pod" UID,
	"cgroup/kubepods/burstable/pod" UID,
	"cgroup/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_BAR ".slice",
	"cgroup/kubepods.slice/kubepods-pod" UID_BAR ".slice",
	"cgroup/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" UID_BAR ".slice",
};

START_TEST(found_in_the_groups_of_every_kind_of_kubelet)
{
	make("logs/shop_web-0_" UID "/app");
	make("logs/kube-system_dns_" OTHER);
	make("cgroup/kubepods/pod" OTHER);
	make("cgroup/system.slice/docker.service");
	expect_at(groups[_i]);
	ck_assert_str_eq(pod.containers, "app");
	ck_assert_int_eq(find("web-0"), 0);
	ck_assert_str_eq(pod.name, "shop/web-0");
}
END_TEST

START_TEST(the_generation_that_runs_is_meant)
{
	make("logs/shop_web-0_" OTHER);
	make("logs/shop_web-0_" UID);
	expect_at(groups[1]);
}
END_TEST

START_TEST(groups_of_others_are_not_entered)
{
	make("logs/shop_web-0_" UID);
	make("cgroup/user.slice/pod" UID);
	ck_assert_int_eq(find("shop/web-0"), PFC_ETARGET);
	ck_assert_ptr_nonnull(strstr(err.why, "not running"));
}
END_TEST

START_TEST(none_and_several_are_explained)
{
	make("logs/shop_web-0_" UID);
	make("logs/stage_web-0_" OTHER);
	make("logs/not-a-pod");
	make("logs/__");
	make("logs/a_b_no hex");
	make(groups[0]);
	ck_assert_int_eq(find("web-0"), PFC_ETARGET);
	ck_assert_ptr_nonnull(strstr(err.why, "several namespaces"));
	ck_assert_ptr_nonnull(strstr(err.hint, "shop/web-0"));
	ck_assert_ptr_nonnull(strstr(err.hint, "stage/web-0"));
	ck_assert_int_eq(find("shop/wbe-0"), PFC_ETARGET);
	ck_assert_str_eq(err.hint, "did you mean shop/web-0?");
	ck_assert_int_eq(find("something-else-altogether"), PFC_ETARGET);
	ck_assert_ptr_nonnull(strstr(err.hint, "shop/web-0"));
}
END_TEST

START_TEST(no_kubelet_is_said)
{
	ck_assert_int_eq(find("shop/web-0"), PFC_ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.why, "no node of Kubernetes"));
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("pod");

	tcase_add_loop_test(tests, found_in_the_groups_of_every_kind_of_kubelet, 0, sizeof(groups) / sizeof(groups[0]));
	tcase_add_test(tests, the_generation_that_runs_is_meant);
	tcase_add_test(tests, groups_of_others_are_not_entered);
	tcase_add_test(tests, none_and_several_are_explained);
	tcase_add_test(tests, no_kubelet_is_said);
	return fixture_main(tests, "pod");
}
