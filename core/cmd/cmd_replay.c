/* SPDX-License-Identifier: MIT */
/* `profcore replay RUN [--only STAGE] [--set ...]`: transforms and reporters again, on what a stored run measured. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/planned.h"
#include "plan/beside.h"
#include "plan/stored.h"
#include "run/run.h"

#define OUTPUT_DEFAULT "profiling"

/* Replay a folder with the runs beside it joined. [moved] stored. */
static int replay_folder(struct plan_args *args, const char *folder, const struct beside *beside,
			 struct plan_stored *stored)
{
	struct plan_mode mode = { .is_replay = true, .only = args->only, .stored = stored };
	char *config = str_printf("%s/config.effective.ini", folder);
	struct planned planned;
	int code;

	args->config = args->config != NULL ? args->config : config;
	code = planned_open(args, NULL, &mode, &planned);
	if (code == 0) {
		code = planned_replay(&planned, args, folder, beside);
		planned_finish(&planned);
	}
	free(config);
	return code;
}

static int replay(struct plan_args *args, const char *run)
{
	struct plan_stored *stored = NULL;
	struct pfc_error err;
	char *folder = NULL;
	int code = EXIT_CODE_USAGE;

	if (stored_find_run(run, OUTPUT_DEFAULT, &folder, &err) < 0 ||
	    stored_from_run(folder, run, true, &stored, &err) < 0) {
		log_failure(&err);
	} else {
		code = replay_folder(args, folder, NULL, stored);
	}
	free(folder);
	return code;
}

/* Whether the config of a stored run has that stage. */
static bool has_stage(const char *folder, const char *name)
{
	char *path = str_printf("%s/config.effective.ini", folder);
	struct diag_list diags = { 0 };
	struct config *config = NULL;
	struct pfc_error err;
	bool has = path != NULL && config_load(path, NULL, 0, &diags, &config, &err) == 0 &&
		   config_section(config, "plugin", name) != NULL;

	config_destroy(config);
	diag_finish(&diags);
	free(path);
	return has;
}

/* Of the latest run and those beside it, the newest that can be analyzed; the caller frees. NULL: none can. */
static char *choose(const char *latest, const struct beside *beside, const char *only)
{
	if (has_stage(latest, only)) {
		return strdup(latest);
	}
	for (; beside != NULL; beside = beside->next) {
		if (has_stage(beside->folder, only)) {
			return strdup(beside->folder);
		}
	}
	return NULL;
}

/* Without a run: the latest one, and those that were made at its side. */
static int analyze_latest(struct plan_args *args)
{
	struct plan_stored *stored = NULL;
	struct beside *beside = NULL;
	struct pfc_error err;
	char *latest = NULL;
	char *folder = NULL;
	int code = EXIT_CODE_USAGE;
	int rc = stored_find_run("latest", OUTPUT_DEFAULT, &latest, &err);

	if (rc == 0) {
		rc = beside_find(OUTPUT_DEFAULT, latest, &beside, &err);
	}
	if (rc == 0) {
		folder = args->config != NULL ? strdup(latest) : choose(latest, beside, args->only);
		beside_destroy(beside);
		beside = NULL;
		/* Where none can, the plan of the latest says why. */
		rc = beside_find(OUTPUT_DEFAULT, folder != NULL ? folder : latest, &beside, &err);
	}
	if (rc == 0) {
		rc = stored_from_run(folder != NULL ? folder : latest, "latest", true, &stored, &err);
	}
	if (rc == 0) {
		rc = beside_add(beside, &stored, &err);
	}
	if (rc < 0) {
		log_failure(&err);
		plan_stored_destroy(stored);
	} else {
		code = replay_folder(args, folder != NULL ? folder : latest, beside, stored);
	}
	beside_destroy(beside);
	free(folder);
	free(latest);
	return code;
}

/* `profcore analyze [RUN]`: the same, of the reporter `analyze` alone. */
int cmd_analyze(int argc, char **argv)
{
	struct plan_args args;
	int code = plan_args_parse(argc, argv, &args);

	if (code == 0 && args.word_count > 1) {
		code = command_misused("analyze", "name one run at the most: profcore analyze [RUN]");
	}
	if (code == 0) {
		args.only = args.only != NULL ? args.only : "analyze";
		code = args.word_count == 1 ? replay(&args, args.words[0]) : analyze_latest(&args);
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
