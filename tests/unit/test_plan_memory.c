/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of a load and a plan of the demo's config fails in turn; those of JSON texts are among them. Linked with
 * --wrap as test_config_memory.c. Nothing crashes, and a plan is whole or there is an error.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/registry.h"
#include "config_fixture.h"
#include "plan/plan.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t bytes);

static long countdown = -1; /* allocations until one fails; -1: none does */
static bool failed;

static bool fails(void)
{
	if (countdown < 0 || countdown-- > 0) {
		return false;
	}
	failed = true;
	return true;
}

void *__wrap_malloc(size_t bytes)
{
	return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	return fails() ? NULL : __real_realloc(old, bytes);
}

char *__wrap_strndup(const char *text, size_t bytes)
{
	size_t length = strnlen(text, bytes);
	char *copy = __wrap_malloc(length + 1);

	if (copy != NULL) {
		memcpy(copy, text, length);
		copy[length] = '\0';
	}
	return copy;
}

char *__wrap_strdup(const char *text)
{
	return __wrap_strndup(text, strlen(text));
}

/* No ck_assert in a scenario: Check allocates too. */
static long enumerate(int (*scenario)(void))
{
	for (long n = 0;; n++) {
		int rc;

		failed = false;
		countdown = n;
		rc = scenario();
		countdown = -1;
		if (!failed) {
			ck_assert_int_eq(rc, 0);
			return n;
		}
		ck_assert_msg(rc == PFC_ENOMEM, "allocation %ld failed, and the result is %d", n, rc);
	}
}

static char path[4096];
static struct registry *registry;

/* The registry is there already: its own allocations are test_config_memory's. */
static int load_and_plan(void)
{
	struct plan_mode mode = { 0 };
	struct diag_list diags = { 0 };
	struct config *config = NULL;
	struct plan *plan = NULL;
	struct pfc_error error;
	int rc = config_load(path, NULL, 0, &diags, &config, &error);

	if (rc == 0) {
		config_check(config, &diags);
		rc = plan_build(config, registry, &mode, &diags, &plan, &error);
	}
	if (rc == 0 && diag_errors(&diags) > 0) {
		rc = PFC_ENOMEM;
	}
	if (rc == 0) {
		json_t *json = plan_to_json(plan);

		json_decref(json);
	}
	plan_destroy(plan);
	config_destroy(config);
	diag_finish(&diags);
	return rc;
}

START_TEST(planning_the_demo)
{
	struct pfc_error error;
	char folder[4096];
	long count;

	snprintf(path, sizeof(path), "%s/configs/slow_endpoint.ini", getenv("PROFCORE_SOURCE_ROOT"));
	snprintf(folder, sizeof(folder), "%s/plugins", getenv("PROFCORE_BUILD_ROOT"));
	setenv("PROFCORE_PLUGIN_PATH", folder, 1);
	ck_assert_int_eq(registry_open(&registry, &error), 0);
	count = enumerate(load_and_plan);
	printf("# %ld allocations\n", count);
	ck_assert_int_gt(count, 200);
	registry_close(registry);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("plan_memory");

	tcase_add_test(tests, planning_the_demo);
	return fixture_main(tests, "plan_memory");
}
