/* SPDX-License-Identifier: MIT */
/* What the commands that take a config have in common: their options, and loading and planning it. */
#ifndef CORE_CMD_PLANNED_H
#define CORE_CMD_PLANNED_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd/args.h"
#include "config/config.h"
#include "config/registry.h"
#include "plan/plan.h"

/** -c FILE, --set, --json, --dot, --only, --in-process, --every, --keep, -v, --debug, -q, and the words that are left. */
struct plan_args {
	const char *config;
	const char *in_process;
	const char *only;
	const char *every; /* a series: this often; NULL */
	const char *keep;
	struct args_list sets;
	bool is_json;
	bool is_dot;
	bool is_quiet;
	bool is_verbose;
	bool is_debug;
	char **words;
	int word_count;
};

/** Parse and set the log level; says what is wrong. Returns 0, or the exit code 2. */
int plan_args_parse(int argc, char **argv, struct plan_args *ret);

/** A config with its plan. */
struct planned {
	struct config *config;
	struct registry *registry;
	struct diag_list diags;
	struct plan *plan;
};

/**
 * Load the config that args name (or take `config`, [moved], when it is given), and plan it. Faults are printed.
 * Returns 0, or an exit code.
 */
int planned_open(const struct plan_args *args, struct config *config, const struct plan_mode *mode,
		 struct planned *ret);
void planned_finish(struct planned *planned);

/** Carry a plan out as the args ask. Returns the exit code. replay_of: a stored run's folder, or NULL. */
int planned_run(const struct planned *planned, const struct plan_args *args, const char *replay_of);

struct beside;

/** Likewise a replay, with other runs joined to it. */
int planned_replay(const struct planned *planned, const struct plan_args *args, const char *replay_of,
		   const struct beside *beside);

#endif
