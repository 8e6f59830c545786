/* SPDX-License-Identifier: MIT */
/* profcore: argv to command. The only file that may end the process. */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "run/report.h"
#include "stage/protocol.h"
#include "stage/stage_main.h"
#include "target/engine.h"

static int misspelt(const char *word)
{
	/* Words of the design whose capability comes with a later version. */
	static const char *const later[] = { "view", "diff", "export" };
	const char *names[64];
	const char *nearest;
	size_t count = 0;

	for (const struct command *c = command_table(); c->name != NULL && count < 64; c++) {
		names[count++] = c->name;
	}
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		if (str_equal(word, later[i])) {
			log_error("%s is not in this version of profcore yet", word);
			return 2;
		}
	}
	nearest = str_nearest(word, names, count);
	if (nearest != NULL) {
		return command_misused(word, "there is no such command; did you mean %s?", nearest);
	}
	return command_misused(word, "there is no such command, and no recipe of that name");
}

static int dispatch(int argc, char **argv)
{
	const struct command *command;
	int code;

	if (argc < 2 || str_equal(argv[1], "--help") || str_equal(argv[1], "-h")) {
		cmd_help(1, argv);
		return argc < 2 ? 2 : 0;
	}
	if (str_equal(argv[1], "--version")) {
		return cmd_version(1, argv);
	}
	if (argv[1][0] == '-') {
		return cmd_run(argc, argv);
	}
	command = command_find(argv[1]);
	if (command != NULL) {
		return argc > 2 && str_equal(argv[2], "--help") ? cmd_help(2, argv) : command->run(argc - 1, argv + 1);
	}
	code = cmd_recipe(argc - 1, argv + 1);
	return code >= 0 ? code : misspelt(argv[1]);
}

int main(int argc, char **argv)
{
	/* A stage's process ends without the exit handlers of whatever libraries the plugin brought. */
	if (argc == 2 && str_equal(argv[1], STAGE_COMMAND)) {
		_exit(stage_main(STAGE_FD_CONTROL, STAGE_FD_SPEC, true));
	}
	if (argc == 2 && str_equal(argv[1], REPORT_COMMAND)) {
		_exit(report_main());
	}
	if (argc == 2 && str_equal(argv[1], ENGINE_COMMAND)) {
		_exit(engine_main());
	}
	return dispatch(argc, argv);
}
