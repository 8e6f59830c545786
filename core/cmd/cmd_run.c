/* SPDX-License-Identifier: MIT */
/* `profcore -c FILE`: plan a config and carry it out. */
#include "cmd/cmd.h"
#include "cmd/planned.h"

int cmd_run(int argc, char **argv)
{
	struct plan_mode mode = { 0 };
	struct planned planned;
	struct plan_args args;
	int code = plan_args_parse(argc, argv, &args);

	if (code == 0 && args.config == NULL) {
		code = command_misused("run", "no config: profcore -c FILE");
	}
	if (code == 0 && args.word_count > 0) {
		code = command_misused("run", "unexpected word '%s'", args.words[0]);
	}
	if (code == 0) {
		code = planned_open(&args, NULL, &mode, &planned);
	}
	if (code == 0) {
		code = planned_run(&planned, &args, NULL);
		planned_finish(&planned);
	}
	return code;
}
