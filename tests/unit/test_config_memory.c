/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of config, options, manifest and registry fails in turn. Linked with --wrap for malloc, calloc, realloc,
 * strdup and strndup. Nothing crashes, and a result is whole or PFC_ENOMEM; leaks are the sanitizer's to find.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config/config.h"
#include "config/options.h"
#include "config/registry.h"
#include "config_fixture.h"

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

/* No ck_assert in a scenario: Check allocates too. Run with the n-th allocation failing, for every n until none does. Returns how many there were. */
static long enumerate(int (*scenario)(void))
{
	/* The folder beside the program adds plugins by the dozen, each of which fails like the others: a sample is enough. */
	for (long n = 0;; n += n < 300 ? 1 : 23) {
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

static const char *path;

/* Good files only: no remark may come but that of a lack of memory. */
static int load_and_resolve(void)
{
	static const char *const sets[] = { "run.lead=1ms", "perf.frequency=5" };
	struct diag_list diags = { 0 };
	struct option_set set = { 0 };
	struct config *config = NULL;
	struct pfc_error error;
	size_t count;
	const struct manifest_option *run = options_of_run(&count);
	int rc = config_load(path, sets, 2, &diags, &config, &error);

	if (rc == 0) {
		config_check(config, &diags);
		rc = options_resolve(run, count, config_section(config, "run", NULL), NULL, &diags, &set,
				     &error);
	}
	if (rc == 0 && diag_errors(&diags) > 0) {
		rc = PFC_ENOMEM;
	}
	options_finish(&set);
	config_destroy(config);
	diag_finish(&diags);
	return rc;
}

START_TEST(loading_a_config)
{
	long count;

	setenv("PROFCORE__PERF__EVENT", "cycles", 1);
	fixture_write("base.ini", "[run]\nduration = 1s\n[plugin:perf]\nfrequency = 2\n");
	path = fixture_write("x.ini",
			     "[run]\ninclude = base.ini\noutput = out\n  more\n[target]\npid = 1\n[recipe]\n"
			     "seconds = run.duration\n");
	count = enumerate(load_and_resolve);
	printf("# %ld allocations\n", count);
	ck_assert_int_gt(count, 40);
}
END_TEST

/* Remarks may be lost for lack of memory, but not the fact that there are some. */
static int load_a_bad_one(void)
{
	struct diag_list diags = { 0 };
	struct config *config = NULL;
	struct pfc_error error;
	int rc = config_load(path, NULL, 0, &diags, &config, &error);

	if (rc == 0) {
		rc = diag_errors(&diags) == 0 ? PFC_EIO : failed ? PFC_ENOMEM : 0;
	}
	config_destroy(config);
	diag_finish(&diags);
	return rc;
}

START_TEST(loading_a_bad_config)
{
	path = fixture_write("x.ini", "[runn]\n[plugins:x]\n[x y]\nnonsense\n[run]\n[run]\n");
	ck_assert_int_gt(enumerate(load_a_bad_one), 20);
}
END_TEST

static int read_plugin(void)
{
	struct manifest *manifest = NULL;
	struct pfc_error error;
	int rc = manifest_read(path, &manifest, &error);

	manifest_destroy(rc == 0 ? manifest : NULL);
	return rc;
}

START_TEST(reading_a_plugin)
{
	path = fixture_plugin("null");
	ck_assert_int_gt(enumerate(read_plugin), 20);
}
END_TEST

static int scan(void)
{
	struct registry *registry = NULL;
	const struct manifest *manifest;
	struct pfc_error error;
	int rc = registry_open(&registry, &error);

	if (rc < 0) {
		return rc;
	}
	rc = registry_use(registry, path, &manifest, &error);
	registry_close(registry);
	return rc;
}

START_TEST(scanning_folders)
{
	size_t bytes;
	unsigned char *data = fixture_read(fixture_plugin("null"), &bytes);

	fixture_write_bytes("x.so", data, bytes);
	fixture_write("bad.so", "no plugin");
	setenv("PROFCORE_PLUGIN_PATH", fixture_folder(), 1);
	path = fixture_path("x.so");
	free(data);
	ck_assert_int_gt(enumerate(scan), 40);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("config_memory");

	tcase_add_test(tests, loading_a_config);
	tcase_add_test(tests, loading_a_bad_config);
	tcase_add_test(tests, reading_a_plugin);
	tcase_add_test(tests, scanning_folders);
	return fixture_main(tests, "config_memory");
}
