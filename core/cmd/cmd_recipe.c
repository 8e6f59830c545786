/* SPDX-License-Identifier: MIT */
/*
 * Recipes: `profcore flamegraph 20 --pid 4711` runs configs/commands/flamegraph.ini. Its [recipe] section says what the
 * words of the command line stand for: `seconds = run.duration` the number, `pid = target.pid` the option --pid. The
 * core knows no recipe: it finds them by file name.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/planned.h"

#define NAME_BYTES_MAX 64

static char *recipe_path(const char *name)
{
	if (strlen(name) > NAME_BYTES_MAX || strchr(name, '/') != NULL || name[0] == '.' || name[0] == '-') {
		return NULL;
	}
	return paths_find("configs", "share/profcore/commands", name, ".ini");
}

void recipe_list(FILE *to)
{
	struct pfc_error err;
	char *folder = paths_find("configs", "share/profcore/commands", "", "");
	struct dirent **entries = NULL;
	int count = folder != NULL ? scandir(folder, &entries, NULL, alphasort) : 0;

	for (int i = 0; i < count; i++) {
		char *path = str_ends(entries[i]->d_name, ".ini") ? str_printf("%s/%s", folder, entries[i]->d_name) : NULL;
		struct diag_list diags = { 0 };
		struct config *config = NULL;

		if (path != NULL && config_load(path, NULL, 0, &diags, &config, &err) == 0) {
			const struct config_section *section = config_section(config, "recipe", NULL);
			const struct config_value *help = section != NULL ? config_value(section, "help") : NULL;

			fprintf(to, "  %-16.*s %s\n", (int)(strlen(entries[i]->d_name) - 4), entries[i]->d_name,
				help != NULL ? help->text : "");
		}
		config_destroy(config);
		diag_finish(&diags);
		free(path);
		free(entries[i]);
	}
	free(entries);
	free(folder);
}

/* "run.duration" or "perf-cpu.frequency": sets it in the config. */
static int set(struct config *config, const char *place, const char *text)
{
	const char *dot = strrchr(place, '.');
	struct pfc_error err;
	char *section = dot != NULL ? strndup(place, (size_t)(dot - place)) : NULL;
	bool fixed = section != NULL && (str_equal(section, "run") || str_equal(section, "target"));
	int rc = section == NULL ? -1 :
				   config_set(config, fixed ? section : "plugin", fixed ? NULL : section, dot + 1, text,
					      "command line", &err);

	free(section);
	return rc;
}

static const char *place_of(const struct config *config, const char *word)
{
	const struct config_section *section = config_section(config, "recipe", NULL);
	const struct config_value *value = section != NULL ? config_value(section, word) : NULL;

	return value != NULL && !str_equal(word, "help") ? value->text : NULL;
}

static bool is_number(const char *word)
{
	return word[0] >= '0' && word[0] <= '9';
}

/* The words behind -- as one command, quoted so that it splits into the same words again. */
static char *join_command(char **words, int count)
{
	struct str out = { 0 };

	for (int i = 0; i < count; i++) {
		str_add(&out, i > 0 ? " '" : "'");
		for (const char *at = words[i]; *at != '\0'; at++) {
			if (*at == '\'') {
				str_add(&out, "'\\''");
			} else {
				str_add_bytes(&out, at, 1);
			}
		}
		str_add(&out, "'");
	}
	return str_take(&out);
}

/* Takes the recipe's own words out of argv into the config; what stays is for plan_args_parse. */
static int take_words(struct config *config, int *argc, char **argv)
{
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		const char *word = argv[i];
		const char *place = str_starts(word, "--") ? place_of(config, word + 2) : NULL;

		if (str_equal(word, "--")) {
			char *command = join_command(argv + i + 1, *argc - i - 1);
			int rc = command != NULL ? set(config, "target.command", command) : -1;

			free(command);
			*argc = kept;
			return rc < 0 ? command_misused(argv[0], "no command behind --") : 0;
		}
		if (place == NULL && is_number(word) && place_of(config, "seconds") != NULL && kept == 1) {
			place = place_of(config, "seconds");
			if (set(config, place, word) < 0) {
				return command_misused(argv[0], "recipe: seconds = %s is no SECTION.key", place);
			}
			continue;
		}
		if (place != NULL) {
			if (i + 1 == *argc) {
				return command_misused(argv[0], "%s needs a value", word);
			}
			if (set(config, place, argv[++i]) < 0) {
				return command_misused(argv[0], "recipe: %s = %s is no SECTION.key", word + 2, place);
			}
			continue;
		}
		argv[kept++] = argv[i];
		if ((str_equal(word, "--set") || str_equal(word, "--in-process") || str_equal(word, "-c")) && i + 1 < *argc) {
			argv[kept++] = argv[++i];
		}
	}
	*argc = kept;
	return 0;
}

static void print_help(const struct config *config, const char *name)
{
	const struct config_section *section = config_section(config, "recipe", NULL);

	printf("usage: profcore %s [seconds] [options] [-- COMMAND...]\n", name);
	for (const struct config_value *v = section != NULL ? section->values : NULL; v != NULL; v = v->next) {
		if (str_equal(v->key, "help")) {
			printf("%s\n", v->text);
		} else if (str_equal(v->key, "seconds")) {
			printf("  seconds            sets %s\n", v->text);
		} else {
			printf("  --%-16s sets %s\n", v->key, v->text);
		}
	}
	printf("  --set STAGE.key=value, --json, -v, -q as for profcore -c\n");
}

/* --set after the recipe's words: it wins over them. */
static int apply_sets(struct config *config, const struct plan_args *args, const char *command)
{
	int code = 0;

	for (size_t i = 0; code == 0 && i < args->sets.count; i++) {
		char *place = strdup(args->sets.items[i]);
		char *equal = place != NULL ? strchr(place, '=') : NULL;

		if (equal != NULL) {
			*equal = '\0';
		}
		if (equal == NULL || set(config, place, equal + 1) < 0) {
			code = command_misused(command, "--set %s: expected STAGE.key=value", args->sets.items[i]);
		}
		free(place);
	}
	return code;
}

/* Returns the exit code; the config goes into the plan. */
static int execute(const struct plan_args *args, struct config **config, const struct diag_list *diags)
{
	struct plan_mode mode = { 0 };
	struct planned planned;
	int code;

	diag_print(diags, stderr, log_has_color());
	if (diag_errors(diags) > 0) {
		return 2;
	}
	code = planned_open(args, *config, &mode, &planned);
	*config = NULL;
	if (code == 0) {
		code = planned_run(&planned, args, NULL);
		planned_finish(&planned);
	}
	return code;
}

static int cook(struct config **config, const struct diag_list *diags, int argc, char **argv)
{
	struct plan_args args;
	int code = take_words(*config, &argc, argv);

	if (code == 0) {
		code = plan_args_parse(argc, argv, &args);
	}
	if (code == 0 && args.word_count > 0) {
		code = command_misused(argv[0], "unexpected word '%s'", args.words[0]);
	}
	if (code == 0) {
		code = apply_sets(*config, &args, argv[0]);
	}
	return code == 0 ? execute(&args, config, diags) : code;
}

int cmd_recipe(int argc, char **argv)
{
	char *path = recipe_path(argv[0]);
	struct diag_list diags = { 0 };
	struct config *config = NULL;
	struct pfc_error err;
	char **words;
	int code;

	if (path == NULL) {
		return -1;
	}
	words = calloc((size_t)argc + 1, sizeof(*words));
	if (words == NULL || config_load(path, NULL, 0, &diags, &config, &err) < 0) {
		log_error("out of memory");
		code = 1;
	} else if (argc > 1 && (str_equal(argv[1], "--help") || str_equal(argv[1], "-h"))) {
		print_help(config, argv[0]);
		code = 0;
	} else {
		memcpy(words, argv, (size_t)argc * sizeof(*words));
		code = cook(&config, &diags, argc, words);
	}
	config_destroy(config);
	diag_finish(&diags);
	free(words);
	free(path);
	return code;
}
