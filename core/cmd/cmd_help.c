/* SPDX-License-Identifier: MIT */
/* `profcore help [COMMAND]` and `profcore version`. */
#include <sys/utsname.h>

#include <jansson.h>
#include <profcore/version.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/cmd.h"

static int help_overview(void)
{
	printf("usage: profcore -c FILE        run a config\n"
	       "       profcore COMMAND ...    see profcore help COMMAND\n\ncommands:\n");
	for (const struct command *c = command_table(); c->name != NULL; c++) {
		printf("  %-16s %s\n", c->name, c->summary);
	}
	printf("\nrecipes (configs that a word stands for):\n");
	recipe_list(stdout);
	return 0;
}

int cmd_help(int argc, char **argv)
{
	const struct command *command = argc > 1 ? command_find(argv[1]) : NULL;
	char *recipe[] = { argc > 1 ? argv[1] : NULL, (char *)"--help", NULL };
	int code;

	if (argc > 1 && str_equal(argv[1], "--man")) {
		man_print();
		return 0;
	}
	if (argc < 2 || argv[1][0] == '-') {
		return help_overview();
	}
	if (command != NULL) {
		printf("usage: %s", command->usage);
		return 0;
	}
	code = cmd_recipe(2, recipe);
	return code >= 0 ? code : command_misused("help", "there is no command '%s'", argv[1]);
}

int cmd_version(int argc, char **argv)
{
	struct utsname machine;

	uname(&machine);
	if (argc > 1 && str_equal(argv[1], "--json")) {
		printf("{\"version\": \"%s\", \"abi\": \"%d.%d-draft\", \"kernel\": \"%s\"}\n", PROFCORE_VERSION, PFC_ABI_MAJOR,
		       PFC_ABI_MINOR, machine.release);
	} else {
		printf("profcore %s (plugin ABI %d.%d-draft)\n", PROFCORE_VERSION, PFC_ABI_MAJOR, PFC_ABI_MINOR);
	}
	return 0;
}
