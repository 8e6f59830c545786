/* SPDX-License-Identifier: MIT */
/* The table of commands: help, man page and dispatch are made of it. */
#include <stdarg.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/cmd.h"

static const struct command commands[] = {
	{ "run", "run a config (the same as profcore -c FILE)",
	  "profcore [run] -c FILE [--set STAGE.key=value]... [--every D [--keep N]] [--json] [-v] [-q]\n"
	  "Plans the config, launches or attaches to the target, measures one window, writes a run folder below run.output.\n"
	  "  -c FILE                 the config\n"
	  "  --set STAGE.key=value   override one value, also run.key and target.key\n"
	  "  --every DURATION        again and again on a steady schedule, until SIGTERM or Ctrl-C; --keep N: remove all but the\n"
	  "                          last N runs of the series (docs/continuous.md)\n"
	  "  --json                  one object on standard output at the end (docs/json.md)\n"
	  "  -v, --debug             more talk on stderr; -q less\n"
	  "  --in-process STAGE      run this stage as a thread, without its sandbox: for gdb and sanitizers\n"
	  "Exit codes: 0 complete, 1 a stage failed, 2 usage or config, 3 no target, 4 the environment refuses, 5 no data,\n"
	  "99 a gate failed, 130 given up.\n",
	  cmd_run },
	{ "check", "check a config; --explain shows where each value comes from",
	  "profcore check -c FILE [--set STAGE.key=value]... [--explain] [--json]\n", cmd_check },
	{ "plan", "show the graph of stages that a config makes",
	  "profcore plan -c FILE [--set STAGE.key=value]... [--dot | --json]\n", cmd_plan },
	{ "plugin", "list plugins, or inspect one", "profcore plugin list [--json]\nprofcore plugin inspect ID|PATH [--json]\n",
	  cmd_plugin },
	{ "runs", "list stored runs", "profcore runs [FOLDER] [--json]\n", cmd_runs },
	{ "replay", "make the reports of a stored run again",
	  "profcore replay RUN [--only STAGE] [--set STAGE.key=value]... [--json]\n"
	  "RUN is a run folder, an id below profiling/, or latest. The result is a new run folder; the old one is not touched.\n",
	  cmd_replay },
	{ "artifact", "look into an artifact",
	  "profcore artifact list RUN [--json]\n"
	  "profcore artifact show RUN STAGE.PORT [--table T] [--limit N] [--json | --csv]\n",
	  cmd_artifact },
	{ "analyze", "say again what a stored run shows", "profcore analyze [RUN] [--set STAGE.key=value]... [--json]\n",
	  cmd_analyze },
	{ "targets", "list containers and processes that could be profiled",
	  "profcore targets [--all] [--sort cpu|rss|name|pid] [--engine SOCKET] [--json]\n"
	  "CPU use is measured over half a second, in percent of one CPU. SYMBOLS: debug (lines too), names, none. FRAMES: whether\n"
	  "the program keeps frame pointers; without them stacks are walked by its call frame information.\n",
	  cmd_targets },
	{ "doctor", "try out what works on this machine, or whether a config can run",
	  "profcore doctor [-c FILE] [--set STAGE.key=value]... [--json]\n"
	  "Opens events, loads a BPF program, reads processes and so on, each in a process with just a stage's rights; with -c it\n"
	  "also finds the target and asks every stage. A table: works, degraded, fails, each with the one command that mends it.\n"
	  "Exit codes: 0 the config can run (without one: nothing fails), 2 config, 3 no target, 4 the environment refuses,\n"
	  "1 something else fails.\n",
	  cmd_doctor },
	{ "setup", "build and start the demo stack, and check that it can be profiled",
	  "profcore setup [-c FILE] [--file COMPOSE] [--project NAME] [--output FOLDER] [--timeout 120s] [--no-build]\n"
	  "               [--no-doctor] [-v] [SERVICE]...\n"
	  "Builds the images of a Compose file (docker/docker-compose.profiling.yml), starts its services (or those named),\n"
	  "waits until all are healthy, and calls profcore doctor with the config (configs/slow_endpoint_docker.ini). A note in\n"
	  "the folder of runs (profiling) remembers what was started, for profcore clean; a stack that runs already is used and\n"
	  "left alone. -v shows what Compose says, which else goes to setup.log there.\n"
	  "Exit codes: 0 it can be profiled, 1 it does not start or get healthy, 4 there is no engine or it refuses; else those of\n"
	  "profcore doctor.\n",
	  cmd_setup },
	{ "clean", "stop the demo stack and remove finished runs",
	  "profcore clean [FOLDER] [--keep N] [--older DURATION] [--runs | --stack] [--yes]\n"
	  "Shows what would go and asks; --yes does not ask. Goes: the stack that profcore setup started (--runs leaves it), and the\n"
	  "run folders in FOLDER (profiling) with the links into them (--stack leaves them). Stays: the newest N, what is not older\n"
	  "than DURATION (7d, 12h), runs under way, and whatever profcore did not make. Images stay: docker image rm.\n",
	  cmd_clean },
	{ "version", "print the version", "profcore version [--json]\n", cmd_version },
	{ "help", "explain a command", "profcore help [COMMAND]\n", cmd_help },
	{ NULL, NULL, NULL, NULL },
};

const struct command *command_table(void)
{
	return commands;
}

const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name != NULL; c++) {
		if (str_equal(c->name, name)) {
			return c;
		}
	}
	return NULL;
}

int command_misused(const char *command, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("%s: %s; try: profcore help %s", command, text, command);
	return 2;
}
