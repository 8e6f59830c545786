/* SPDX-License-Identifier: MIT */
/* Options of a subcommand's command line, from a table. */
#ifndef CORE_CMD_ARGS_H
#define CORE_CMD_ARGS_H

#include <stdbool.h>
#include <stddef.h>

/** Where a repeated option collects its texts; they point into argv. */
struct args_list {
	const char *items[256];
	size_t count;
};

/** One option; exactly one of flag, text, list is set. Ends the table: name NULL. */
struct args_option {
	const char *name; /* "--json" is "json" */
	char letter;      /* 'c' for -c; 0 for none */
	bool *flag;
	const char **text;
	struct args_list *list;
};

/**
 * Read options anywhere among the words: --name VALUE, --name=VALUE, -c VALUE, -cVALUE; "--" ends them. The words that
 * are left are moved to the front of argv, argv[0] stays.
 *
 * Returns: how many words are left, argv[0] among them; -1 after it printed what is wrong (exit code 2).
 */
int args_parse(int argc, char **argv, const struct args_option *options);

#endif
