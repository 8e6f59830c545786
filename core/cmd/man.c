/* SPDX-License-Identifier: MIT */
/* `profcore help --man`: the man page, made of the same table as the help, so that the two cannot disagree. */
#include <string.h>

#include "cmd/cmd.h"

/* A line of text for troff: a leading dot or quote is no request, a backslash and a dash are themselves. */
static void print_text(const char *text, size_t bytes)
{
	if (bytes > 0 && (text[0] == '.' || text[0] == '\'')) {
		fputs("\\&", stdout);
	}
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] == '\\') {
			fputs("\\e", stdout);
		} else if (text[i] == '-') {
			fputs("\\-", stdout);
		} else {
			fputc(text[i], stdout);
		}
	}
	fputc('\n', stdout);
}

static void print_lines(const char *text)
{
	while (*text != '\0') {
		size_t bytes = strcspn(text, "\n");

		print_text(text, bytes);
		text += bytes + (text[bytes] == '\n');
	}
}

static void print_section(const char *title, const char *text)
{
	printf(".SH %s\n", title);
	print_lines(text);
}

void man_print(void)
{
	printf(".TH PROFCORE 1 \"\" \"profcore %s\" \"User Commands\"\n", PROFCORE_VERSION);
	print_section("NAME", "profcore - profile a target in one time window and say what makes it slow");
	print_section("SYNOPSIS", "profcore -c FILE\n\nprofcore COMMAND ...");
	print_section("DESCRIPTION",
		      "profcore points plugins at one target (a process, a command that it launches), puts load on it, collects CPU "
		      "stacks and request latencies on one clock in one window, and writes a run folder with a flame graph, text "
		      "reports and a manifest. A config in INI says which plugins, with which options.");
	printf(".SH COMMANDS\n");
	for (const struct command *c = command_table(); c->name != NULL; c++) {
		printf(".TP\n.B %s\n", c->name);
		print_text(c->summary, strlen(c->summary));
		printf(".RS\n.nf\n");
		print_lines(c->usage);
		printf(".fi\n.RE\n");
	}
	print_section("RECIPES",
		      "A word that is no command is a recipe: a config behind a short call, with a number of seconds, options of its "
		      "own, and behind -- a command to launch. profcore help lists them, profcore help RECIPE explains one.");
	print_section("ENVIRONMENT",
		      "PROFCORE__SECTION__KEY overrides a value of the config; PROFCORE_PLUGIN_PATH is a colon list of folders with "
		      "plugins, searched first; NO_COLOR switches colour off. None counts in a program with file capabilities.");
	print_section("FILES", "profiling/RUN/manifest.json tells all about a run; profiling/latest is the newest.");
	print_section("EXIT STATUS", "0 complete; 1 a stage failed or a result is partial; 2 usage or config; 3 no such target; 4 the "
				     "environment refuses; 5 no data; 99 a gate failed; 130 given up.");
}
