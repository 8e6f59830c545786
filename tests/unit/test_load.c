/* SPDX-License-Identifier: MIT */
/* core/stage/load.c: files that are plugins, and files that are not; structs of callbacks of every size. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_fixture.h"
#include "load_fixture.h"
#include "stage/load.h"

#define FOUNDING (offsetof(struct pfc_plugin, create) + sizeof(void *))

static struct pfc_plugin plugin;
static struct pfc_error error;

static const char *built(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/tests/unit/%s.so", getenv("PROFCORE_BUILD_ROOT"), name);
	return path;
}

static int load_sized(size_t bytes)
{
	struct pfc_host host = { .struct_size = sizeof(host), .abi_minor = (uint32_t)bytes };

	memset(&plugin, 0x77, sizeof(plugin));
	return load_plugin(built("load_fixture"), &host, &plugin, &error);
}

static void check_untouched(void)
{
	const unsigned char *bytes = (const void *)&plugin;

	for (size_t i = 0; i < sizeof(plugin); i++) {
		ck_assert_uint_eq(bytes[i], 0x77);
	}
}

static void check_refused(size_t bytes)
{
	char said[32];

	ck_assert_int_eq(load_sized(bytes), PFC_EPROTO);
	snprintf(said, sizeof(said), "%zu bytes", bytes);
	ck_assert_msg(strstr(error.why, said) != NULL, "%s", error.why);
	ck_assert_ptr_nonnull(strstr(error.what, "load_fixture.so"));
	ck_assert(error.hint[0] != '\0');
	check_untouched();
}

static void check_create(void)
{
	void *self;

	ck_assert_uint_eq(plugin.struct_size, sizeof(plugin));
	ck_assert_ptr_nonnull(plugin.create);
	ck_assert_int_eq(plugin.create(NULL, &self), LOAD_CREATE_SAYS);
}

START_TEST(our_own_size)
{
	ck_assert_int_eq(load_sized(sizeof(plugin)), 0);
	check_create();
	ck_assert_ptr_nonnull(plugin.destroy);
}
END_TEST

START_TEST(an_older_plugin_lacks_what_came_later)
{
	ck_assert_int_eq(load_sized(FOUNDING), 0);
	check_create();
	ck_assert_ptr_null(plugin.probe);
	ck_assert_ptr_null(plugin.destroy);
	ck_assert_int_eq(load_sized(offsetof(struct pfc_plugin, process)), 0);
	check_create();
	ck_assert_ptr_nonnull(plugin.finish);
	ck_assert_ptr_null(plugin.process);
	ck_assert_ptr_null(plugin.destroy);
}
END_TEST

START_TEST(a_newer_plugin_has_more_than_we_know)
{
	ck_assert_int_eq(load_sized(sizeof(plugin) + 64), 0);
	check_create();
	ck_assert_int_eq(load_sized(4096), 0);
	check_create();
}
END_TEST

START_TEST(sizes_that_make_no_sense)
{
	check_refused(0);
	check_refused(4);
	check_refused(FOUNDING - 1);
	check_refused(4097);
	check_refused(LOAD_RETURNS_NULL - 1);
}
END_TEST

/* Half a pointer is no pointer: nothing that a compiler lays out ends there. */
START_TEST(sizes_that_cut_a_callback)
{
	for (size_t cut = 1; cut < sizeof(void *); cut++) {
		check_refused(FOUNDING + cut);
	}
}
END_TEST

START_TEST(returns_null)
{
	ck_assert_int_eq(load_sized(LOAD_RETURNS_NULL), PFC_EPROTO);
	ck_assert_ptr_nonnull(strstr(error.why, "returned NULL"));
	check_untouched();
}
END_TEST

static void check_file(const char *path, const char *why)
{
	struct pfc_host host = { .struct_size = sizeof(host), .abi_minor = sizeof(plugin) };

	memset(&plugin, 0x77, sizeof(plugin));
	error = (struct pfc_error){ 0 };
	ck_assert_int_eq(load_plugin(path, &host, &plugin, &error), PFC_EPROTO);
	ck_assert_msg(strstr(error.why, why) != NULL, "%s: %s", path, error.why);
	ck_assert_ptr_nonnull(strstr(error.what, path));
	check_untouched();
}

START_TEST(an_entry_of_another_file)
{
	check_file(built("load_elsewhere"), "comes from another file");
}
END_TEST

START_TEST(no_entry)
{
	check_file(built("load_bare"), "does not export " PFC_PLUGIN_ENTRY);
}
END_TEST

START_TEST(no_library)
{
	size_t bytes;
	unsigned char *data = fixture_read(built("load_fixture"), &bytes);

	check_file(fixture_path("nothing.so"), "No such file");
	check_file(fixture_write("empty.so", ""), "");
	check_file(fixture_write("text.so", "[plugin]\nid = text\n"), "");
	check_file(fixture_write_bytes("half.so", data, 100), "");
	free(data);
	check_file(fixture_folder(), "");
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("load");

	tcase_add_test(tests, our_own_size);
	tcase_add_test(tests, an_older_plugin_lacks_what_came_later);
	tcase_add_test(tests, a_newer_plugin_has_more_than_we_know);
	tcase_add_test(tests, sizes_that_make_no_sense);
	tcase_add_test(tests, sizes_that_cut_a_callback);
	tcase_add_test(tests, returns_null);
	tcase_add_test(tests, an_entry_of_another_file);
	tcase_add_test(tests, no_entry);
	tcase_add_test(tests, no_library);
	return fixture_main(tests, "load");
}
