/* SPDX-License-Identifier: MIT */
/* What config.effective.ini holds is what a run with it uses. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config_fixture.h"
#include "plan/plan.h"
#include "run/effective.h"

struct loaded {
	struct config *config;
	struct registry *registry;
	struct plan *plan;
};

static struct loaded load(const char *path, const char *set)
{
	struct plan_mode mode = { 0 };
	struct diag_list diags = { 0 };
	struct loaded loaded = { 0 };
	struct pfc_error err;

	ck_assert_int_eq(config_load(path, &set, set != NULL, &diags, &loaded.config, &err), 0);
	ck_assert_int_eq(registry_open(&loaded.registry, &err), 0);
	ck_assert_int_eq(plan_build(loaded.config, loaded.registry, &mode, &diags, &loaded.plan, &err), 0);
	ck_assert_msg(diag_errors(&diags) == 0, "%s", fixture_remarks(&diags));
	diag_finish(&diags);
	return loaded;
}

static void unload(struct loaded *loaded)
{
	plan_destroy(loaded->plan);
	registry_close(loaded->registry);
	config_destroy(loaded->config);
}

/* Loads with target.command = value, writes, loads what was written; the command found there. The caller frees. */
static char *command_again(const char *value)
{
	const char *config = fixture_write("c.ini", "[run]\nname = x\n[target]\npid = 1\n[plugin:null]\n");
	char *set = str_printf("target.directory=%s", value);
	struct loaded first = load(config, set);
	struct rundir *dir = NULL;
	struct loaded second;
	struct pfc_error err;
	char *path, *found;

	ck_assert_str_eq(options_text(&first.plan->target, "directory"), value);
	ck_assert_int_eq(rundir_create(fixture_path("out"), "x", &dir, &err), 0);
	ck_assert_int_eq(effective_write(dir, first.config, first.plan, &err), 0);
	path = str_printf("%s/config.effective.ini", dir->path);
	second = load(path, NULL);
	found = strdup(options_text(&second.plan->target, "directory"));
	ck_assert_int_eq(options_int(&second.plan->target, "pid"), 1);
	ck_assert_uint_eq(second.plan->stage_count, first.plan->stage_count);
	unload(&first);
	unload(&second);
	rundir_close(dir);
	free(path);
	free(set);
	return found;
}

static void use_plugins(void)
{
	char folder[4096];

	snprintf(folder, sizeof(folder), "%s/plugins", getenv("PROFCORE_BUILD_ROOT"));
	setenv("PROFCORE_PLUGIN_PATH", folder, 1);
}

START_TEST(what_an_ini_file_can_hold_comes_back)
{
	char words[1500] = "first";
	static const char *const values[] = { "/tmp", "a b  c", "\"quoted word\" 'and' \\more\\", "a;b#c=d:e", "\xc3\xa4 \xe2\x82\xac" };

	use_plugins();
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char *found = command_again(values[i]);

		ck_assert_str_eq(found, values[i]);
		free(found);
	}
	while (strlen(words) < 1000) {
		char *found;

		strcat(words, strlen(words) % 2 != 0 ? " word" : " a-much-longer-word");
		if (strlen(words) > 150 && strlen(words) % 7 == 0) {
			found = command_again(words);
			ck_assert_str_eq(found, words);
			free(found);
		}
	}
}
END_TEST

/* Nothing else is put in its place, and nothing of it is read as a line of its own. */
START_TEST(what_it_cannot_hold_is_left_out)
{
	char word[400];
	static const char *const values[] = { "a ; b", "; a" };

	use_plugins();
	memset(word, 'w', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	for (size_t i = 0; i < 3; i++) {
		const char *value = i < 2 ? values[i] : word;
		char *found = command_again(value);

		ck_assert_msg(found[0] == '\0' || strcmp(found, value) == 0, "%s became %s", value, found);
		free(found);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("effective");

	tcase_add_test(tests, what_an_ini_file_can_hold_comes_back);
	tcase_add_test(tests, what_it_cannot_hold_is_left_out);
	return fixture_main(tests, "effective");
}
