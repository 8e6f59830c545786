/* SPDX-License-Identifier: MIT */
/* `profcore replay RUN [--only STAGE] [--set ...]`: transforms and reporters again, on what a stored run measured. */
#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/planned.h"
#include "plan/stored.h"
#include "run/run.h"

#define OUTPUT_DEFAULT "profiling"

static int replay(struct plan_args *args, const char *run)
{
	struct plan_mode mode = { .is_replay = true, .only = args->only };
	struct planned planned;
	struct pfc_error err;
	char *folder = NULL;
	char *config = NULL;
	int code = EXIT_CODE_USAGE;

	if (stored_find_run(run, OUTPUT_DEFAULT, &folder, &err) < 0 ||
	    stored_from_run(folder, run, true, &mode.stored, &err) < 0) {
		log_failure(&err);
		goto out;
	}
	config = str_printf("%s/config.effective.ini", folder);
	args->config = args->config != NULL ? args->config : config;
	code = planned_open(args, NULL, &mode, &planned);
	if (code == 0) {
		code = planned_run(&planned, args, folder);
		planned_finish(&planned);
	}
out:
	free(config);
	free(folder);
	return code;
}

/* `profcore analyze [RUN]`: the same, of the reporter `analyze` alone, on the latest run unless another is named. */
int cmd_analyze(int argc, char **argv)
{
	struct plan_args args;
	int code = plan_args_parse(argc, argv, &args);

	if (code == 0 && args.word_count > 1) {
		code = command_misused("analyze", "name one run at the most: profcore analyze [RUN]");
	}
	if (code == 0) {
		args.only = args.only != NULL ? args.only : "analyze";
		code = replay(&args, args.word_count == 1 ? args.words[0] : "latest");
	}
	return code;
}

int cmd_replay(int argc, char **argv)
{
	struct plan_args args;
	int code = plan_args_parse(argc, argv, &args);

	if (code == 0 && args.word_count != 1) {
		code = command_misused("replay", "name one run: profcore replay RUN");
	}
	if (code == 0) {
		code = replay(&args, args.words[0]);
	}
	return code;
}
