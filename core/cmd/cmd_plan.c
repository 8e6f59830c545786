/* SPDX-License-Identifier: MIT */
/* `profcore plan -c FILE [--dot | --json]`: show the graph of stages that a config makes. Runs nothing. */
#include "cmd/cmd.h"
#include "cmd/planned.h"

int cmd_plan(int argc, char **argv)
{
	struct plan_mode mode = { 0 };
	struct planned planned;
	struct plan_args args;
	int code = plan_args_parse(argc, argv, &args);

	if (code == 0 && args.config == NULL) {
		code = command_misused("plan", "no config: profcore plan -c FILE");
	}
	if (code == 0) {
		code = planned_open(&args, NULL, &mode, &planned);
	}
	if (code == 0) {
		if (args.is_dot) {
			plan_print_dot(planned.plan, stdout);
		} else if (args.is_json) {
			json_t *json = plan_to_json(planned.plan);

			json_dumpf(json, stdout, JSON_INDENT(2));
			fputc('\n', stdout);
			json_decref(json);
		} else {
			plan_print(planned.plan, stdout);
		}
		planned_finish(&planned);
	}
	return code;
}
