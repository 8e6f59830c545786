/* SPDX-License-Identifier: MIT */
/*
 * Subcommands: one a file. argv[0] is the command's word; the return value is the exit code of the program (design:
 * 0 complete, 1 failed, 2 usage or config, 3 no target, 4 environment, 5 no data, 99 gate). The table is in table.c.
 */
#ifndef CORE_CMD_CMD_H
#define CORE_CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct command {
	const char *name;
	const char *summary; /* one line */
	const char *usage;   /* all lines, the first is the synopsis */
	int (*run)(int argc, char **argv);
};

/** The command of that name; NULL when there is none. */
const struct command *command_find(const char *name);

/** All commands, ended by one without name. */
const struct command *command_table(void);

/** Say what is wrong with a call, and where its help is; returns the exit code 2. */
int command_misused(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

int cmd_analyze(int argc, char **argv);
int cmd_artifact(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_clean(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_plugin(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_runs(int argc, char **argv);
int cmd_setup(int argc, char **argv);
int cmd_targets(int argc, char **argv);
int cmd_version(int argc, char **argv);

/** A recipe: configs/commands/NAME.ini. Returns the exit code, or -1 when there is no such recipe. */
int cmd_recipe(int argc, char **argv);

/** Print the man page of all commands (man.c). */
void man_print(void);

/** Print the recipes that are installed, one a line, for help. */
void recipe_list(FILE *to);

#endif
