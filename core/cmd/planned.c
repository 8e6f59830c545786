/* SPDX-License-Identifier: MIT */
#include "cmd/planned.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "run/run.h"
#include "run/series.h"

int plan_args_parse(int argc, char **argv, struct plan_args *ret)
{
	const struct args_option options[] = {
		{ .name = "config", .letter = 'c', .text = &ret->config },
		{ .name = "set", .list = &ret->sets },
		{ .name = "json", .flag = &ret->is_json },
		{ .name = "dot", .flag = &ret->is_dot },
		{ .name = "only", .text = &ret->only },
		{ .name = "every", .text = &ret->every },
		{ .name = "keep", .text = &ret->keep },
		{ .name = "in-process", .text = &ret->in_process },
		{ .name = "verbose", .letter = 'v', .flag = &ret->is_verbose },
		{ .name = "debug", .flag = &ret->is_debug },
		{ .name = "quiet", .letter = 'q', .flag = &ret->is_quiet },
		{ .name = NULL },
	};
	int left;

	memset(ret, 0, sizeof(*ret));
	left = args_parse(argc, argv, options);
	if (left < 0) {
		return EXIT_CODE_USAGE;
	}
	if (ret->is_quiet) {
		log_set_level(PFC_LOG_ERROR);
	} else if (ret->is_verbose || ret->is_debug) {
		log_set_level(ret->is_debug ? PFC_LOG_DEBUG : PFC_LOG_INFO);
	}
	ret->words = argv + 1;
	ret->word_count = left - 1;
	return 0;
}

void planned_finish(struct planned *planned)
{
	plan_destroy(planned->plan);
	registry_close(planned->registry);
	config_destroy(planned->config);
	diag_finish(&planned->diags);
	memset(planned, 0, sizeof(*planned));
}

static int load(const struct plan_args *args, const struct plan_mode *mode, struct planned *planned,
		struct pfc_error *err)
{
	int rc = 0;

	if (planned->config == NULL) {
		rc = config_load(args->config, args->sets.items, args->sets.count, &planned->diags,
				 &planned->config, err);
	}
	if (rc == 0) {
		config_check(planned->config, &planned->diags);
		rc = registry_open(&planned->registry, err);
	}
	if (rc == 0) {
		rc = plan_build(planned->config, planned->registry, mode, &planned->diags, &planned->plan,
				err);
	}
	return rc;
}

int planned_open(const struct plan_args *args, struct config *config, const struct plan_mode *mode,
		 struct planned *ret)
{
	struct planned planned = { .config = config };
	struct pfc_error err;

	if (load(args, mode, &planned, &err) < 0) {
		log_failure(&err);
		planned_finish(&planned);
		return EXIT_CODE_FAILED;
	}
	diag_print(&planned.diags, stderr, log_has_color());
	if (diag_errors(&planned.diags) > 0) {
		planned_finish(&planned);
		return EXIT_CODE_USAGE;
	}
	*ret = planned;
	return 0;
}

/* --in-process names a stage of the plan, or nothing. */
static int check_in_process(const struct plan *plan, const char *name)
{
	const char *names[64];
	const char *nearest;
	size_t count = 0;

	for (size_t i = 0; i < plan->stage_count; i++) {
		if (name == NULL || strcmp(plan->stages[i]->name, name) == 0) {
			return 0;
		}
		if (count < sizeof(names) / sizeof(names[0])) {
			names[count++] = plan->stages[i]->name;
		}
	}
	nearest = str_nearest(name, names, count);
	return command_misused("run", "--in-process %s: there is no such stage%s%s", name,
			       nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "");
}

/* --every and --keep as numbers; what is wrong is told. Returns 0, or the exit code. */
static int parse_series(const struct plan_args *args, struct series_settings *ret)
{
	int64_t every_ns = args->every != NULL ? option_parse_duration(args->every) : -1;
	char *end = NULL;

	if (args->every == NULL) {
		return command_misused("run", "--keep bounds the runs of a series: it goes with --every");
	}
	if (every_ns <= 0) {
		return command_misused("run", "--every %s is no duration, such as 30s, 5m or 1h",
				       args->every);
	}
	*ret = (struct series_settings){ .every_ns = (uint64_t)every_ns };
	if (args->keep != NULL) {
		errno = 0;
		ret->keep = strtoull(args->keep, &end, 10);
		if (args->keep[0] < '0' || args->keep[0] > '9' || *end != '\0' || errno != 0 ||
		    ret->keep == 0) {
			return command_misused("run", "--keep %s is no number of runs", args->keep);
		}
	}
	return 0;
}

static int run_series(const struct plan *plan, const struct run_settings *settings,
		      const struct plan_args *args)
{
	struct series_settings series;
	struct pfc_error err;
	int code = parse_series(args, &series);

	if (code == 0 && (settings->replay_of != NULL || settings->in_process != NULL)) {
		code = command_misused("run", "--every goes neither with a replay nor with --in-process");
	}
	if (code != 0) {
		return code;
	}
	if (series_execute(plan, settings, &series, &code, &err) < 0) {
		log_failure(&err);
		return err.status == PFC_EINVAL ? EXIT_CODE_USAGE : EXIT_CODE_FAILED;
	}
	return code;
}

int planned_run(const struct planned *planned, const struct plan_args *args, const char *replay_of)
{
	return planned_replay(planned, args, replay_of, NULL);
}

int planned_replay(const struct planned *planned, const struct plan_args *args, const char *replay_of,
		   const struct beside *beside)
{
	struct run_settings settings = {
		.config = planned->config,
		.in_process = args->in_process,
		.is_json = args->is_json,
		.is_quiet = args->is_quiet,
		.replay_of = replay_of,
		.beside = beside,
	};
	struct pfc_error err;
	int code = check_in_process(planned->plan, args->in_process);

	if (code != 0) {
		return code;
	}
	if (args->every != NULL || args->keep != NULL) {
		return run_series(planned->plan, &settings, args);
	}
	if (run_execute(planned->plan, &settings, &code, &err) < 0) {
		log_failure(&err);
		return EXIT_CODE_FAILED;
	}
	return code;
}
