/* SPDX-License-Identifier: MIT */
/* `profcore doctor [-c FILE] [--json]`: what works here, what is degraded, what fails, and the command that mends it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/planned.h"
#include "doctor/check.h"
#include "doctor/machine.h"
#include "doctor/target.h"
#include "run/run.h"

/** What has been found out. */
struct diagnosis {
	struct facts facts;
	json_t *config;  /* checks of the config: its target, its stages, its folder; NULL without one */
	json_t *machine; /* checks of the machine */
	char *engine;    /* the socket that the config names; NULL: the usual places */
	int exit_code;
};

static void look(void *ctx, const struct run_probed *probed)
{
	struct diagnosis *diagnosis = ctx;

	target_examine(probed->run, diagnosis->config);
	stages_examine(probed, diagnosis->config);
	diagnosis->exit_code = probed->exit_code;
}

static bool folder_fails(const json_t *checks)
{
	return check_worst(checks) == VERDICT_FAILS;
}

/* Returns 0, or the exit code of a config that cannot be planned. */
static int examine_config(const struct plan_args *args, struct diagnosis *diagnosis)
{
	struct plan_mode mode = { 0 };
	struct planned planned;
	struct pfc_error err;
	json_t *folder = json_array();
	const char *engine;
	int code = planned_open(args, NULL, &mode, &planned);

	if (code != 0) {
		json_decref(folder);
		return code;
	}
	machine_examine_output(options_text(&planned.plan->run, "output"), folder);
	engine = options_text(&planned.plan->target, "engine");
	diagnosis->engine = engine != NULL && engine[0] != '\0' ? strdup(engine) : NULL;
	diagnosis->config = json_array();
	if (run_probe(planned.plan, planned.config, look, diagnosis, &err) < 0) {
		log_failure(&err);
		code = EXIT_CODE_FAILED;
	}
	if (diagnosis->exit_code == 0 && folder_fails(folder)) {
		diagnosis->exit_code = EXIT_CODE_FAILED;
	}
	json_array_extend(diagnosis->config, folder);
	json_decref(folder);
	planned_finish(&planned);
	return code;
}

static json_t *to_json(const struct diagnosis *diagnosis)
{
	json_t *checks = json_array();

	json_array_extend(checks, diagnosis->config);
	json_array_extend(checks, diagnosis->machine);
	return json_pack("{s:i, s:b, s:o, s:i, s:i, s:i, s:o}", "exit_code", diagnosis->exit_code, "can_run",
			 diagnosis->exit_code == 0, "machine", facts_to_json(&diagnosis->facts), "works",
			 (int)check_count(checks, VERDICT_WORKS), "degraded",
			 (int)check_count(checks, VERDICT_DEGRADED), "fails",
			 (int)check_count(checks, VERDICT_FAILS), "checks", checks);
}

static void print(const struct diagnosis *diagnosis, const char *config)
{
	check_print(diagnosis->config, stdout, log_has_color_on(STDOUT_FILENO));
	if (diagnosis->config != NULL) {
		putchar('\n');
	}
	check_print(diagnosis->machine, stdout, log_has_color_on(STDOUT_FILENO));
	putchar('\n');
	if (config != NULL) {
		printf("%s %s here%s\n", config, diagnosis->exit_code == 0 ? "can run" : "cannot run",
		       diagnosis->exit_code == 0 && check_worst(diagnosis->config) != VERDICT_WORKS
			       ? ", with less than there could be"
			       : "");
	} else {
		printf("%zu work, %zu degraded, %zu fail%s\n", check_count(diagnosis->machine, VERDICT_WORKS),
		       check_count(diagnosis->machine, VERDICT_DEGRADED),
		       check_count(diagnosis->machine, VERDICT_FAILS),
		       diagnosis->exit_code == 0
			       ? ""
			       : "; profcore doctor -c FILE says whether a config can run all the same");
	}
}

int cmd_doctor(int argc, char **argv)
{
	struct diagnosis diagnosis = { .config = NULL };
	struct plan_args args;
	int code = plan_args_parse(argc, argv, &args);

	if (code == 0 && args.word_count > 0) {
		code = command_misused("doctor", "unexpected word '%s'", args.words[0]);
	}
	if (code != 0) {
		return code;
	}
	facts_read(&diagnosis.facts);
	diagnosis.machine = json_array();
	if (args.config != NULL) {
		code = examine_config(&args, &diagnosis);
	}
	if (code == 0) {
		machine_examine(&diagnosis.facts, diagnosis.engine, diagnosis.machine);
		if (args.config == NULL && check_worst(diagnosis.machine) == VERDICT_FAILS) {
			diagnosis.exit_code = EXIT_CODE_ENVIRONMENT;
		}
		code = diagnosis.exit_code;
		if (args.is_json) {
			json_t *json = to_json(&diagnosis);

			json_dumpf(json, stdout, JSON_INDENT(2));
			putchar('\n');
			json_decref(json);
		} else {
			print(&diagnosis, args.config);
		}
		if (fflush(stdout) != 0 || ferror(stdout)) {
			log_error("write to standard output: %s", strerror(errno));
			code = EXIT_CODE_FAILED;
		}
	}
	json_decref(diagnosis.config);
	json_decref(diagnosis.machine);
	free(diagnosis.engine);
	return code;
}
