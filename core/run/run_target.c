/* SPDX-License-Identifier: MIT */
#include "run/run_target.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "run/loop.h"
#include "run/progress.h"
#include "stage/protocol.h"

#define READY_POLL_NS (10 * NS_PER_MS)
#define PROGRAMS_HOLE "{programs}"
#define RESTARTS_MAX  16 /* whose moments every artifact names */

static const char *option_text(const struct run *run, const char *key)
{
	const char *text = options_text(&run->plan->target, key);

	return text != NULL && text[0] != '\0' ? text : NULL;
}

/* {programs} in a command is the folder of the programs that come with profcore: the demo backend. */
static char *expand_command(const char *command, struct pfc_error *err)
{
	const char *hole = strstr(command, PROGRAMS_HOLE);
	char *folder;
	char *expanded;

	if (hole == NULL) {
		expanded = strdup(command);
		return expanded;
	}
	folder = paths_find("docker", "libexec/profcore", "", "");
	if (folder == NULL) {
		error_set(err, PFC_ENOENT, "the demo programs are neither in the build tree nor installed",
			  "expand %s", PROGRAMS_HOLE);
		return NULL;
	}
	folder[strlen(folder) - 1] = '\0'; /* the slash */
	expanded =
		str_printf("%.*s%s%s", (int)(hole - command), command, folder, hole + strlen(PROGRAMS_HOLE));
	free(folder);
	return expanded;
}

int run_target_open(struct run *run, struct pfc_error *err)
{
	const char *command = option_text(run, "command");
	struct target_config config = {
		.pid = (int32_t)options_int(&run->plan->target, "pid"),
		.process = option_text(run, "process"),
		.ready = option_text(run, "ready"),
		.ready_timeout_ns = (uint64_t)options_int(&run->plan->target, "ready_timeout"),
		.stop_timeout_ns = (uint64_t)options_int(&run->plan->target, "stop_timeout"),
		.directory = option_text(run, "directory"),
		.container = option_text(run, "container"),
		.service = option_text(run, "compose-service"),
		.project = option_text(run, "compose-project"),
		.image = option_text(run, "image"),
		.cgroup = option_text(run, "cgroup"),
		.pod = option_text(run, "pod"),
		.engine = option_text(run, "engine"),
		.system = options_int(&run->plan->target, "system") != 0,
		.stop_on_restart = str_equal(options_text(&run->plan->target, "on_restart"), "stop"),
	};
	char *expanded = NULL;
	int rc;

	if (command != NULL) {
		error_nomem(err);
		expanded = expand_command(command, err);
		if (expanded == NULL) {
			return err->status;
		}
	}
	rc = rundir_create_file(run->dir, "logs/target.log", &run->target_log_fd, err);
	if (rc == 0) {
		config.command = expanded;
		config.output_fd = run->target_log_fd;
		rc = target_open(&config, &run->target, err);
	}
	if (rc == 0) {
		run->target_facts = json_pack("{s:s, s:o}", "kind", target_kind(run->target), "name",
					      protocol_string(target_name(run->target), 1024));
	}
	free(expanded);
	return rc;
}

void run_target_write(struct run *run)
{
	json_t *json = run->target != NULL ? target_to_json(run->target) : NULL;
	struct pfc_error err;

	if (json != NULL && rundir_write_json(run->dir, "target.json", json, &err) < 0) {
		log_failure(&err);
		run->has_write_error = true;
	}
	json_decref(json);
}

int run_target_apply_env(struct run *run, struct pfc_error *err)
{
	for_each_measuring(run, stage)
	{
		json_t *value;
		const char *name;

		json_object_foreach(stage->env, name, value)
		{
			int rc = target_set_env(run->target, name, json_string_value(value), err);

			if (rc < 0) {
				return rc;
			}
		}
	}
	return 0;
}

bool run_target_has_ready(const struct run *run)
{
	return option_text(run, "ready") != NULL && option_text(run, "command") != NULL;
}

/* Release a launched target and wait until it answers. */
int run_target_make_ready(struct run *run, struct pfc_error *err)
{
	char *text;
	int rc = target_release(run->target, err);

	if (rc < 0) {
		return rc;
	}
	text = str_printf("waiting until %s", option_text(run, "ready"));
	progress_step(run->progress, text != NULL ? text : "waiting for the target");
	free(text);
	while (!run->is_abandoned) {
		rc = target_is_ready(run->target, err);
		if (rc != 0) {
			return rc < 0 ? rc : 0;
		}
		loop_step(run, clock_now() + READY_POLL_NS);
	}
	return 0;
}

json_t *run_target_cgroup(struct run *run)
{
	char *folder = run->target != NULL ? target_cgroup(run->target) : NULL;
	json_t *json = protocol_string(folder != NULL ? folder : "", 2 * PATH_MAX);

	free(folder);
	return json;
}

/* ---- what became of it ---- */

json_t *run_target_restarts(struct run *run)
{
	uint64_t begun_ns[RESTARTS_MAX];
	uint32_t count = run->target != NULL ? target_restarts(run->target, begun_ns, RESTARTS_MAX) : 0;
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++) {
		json_array_append_new(list, json_integer((json_int_t)begun_ns[i]));
	}
	return list;
}

void run_target_note_restarts(struct run *run)
{
	uint32_t generation = run->target != NULL ? target_generation(run->target) : 1;
	char text[200];

	if (generation < 2) {
		return;
	}
	snprintf(text, sizeof(text), "the target began anew %u time%s during the run%s", generation - 1,
		 generation > 2 ? "s" : "",
		 target_has_moved(run->target) ? ", as another container of that name" : "");
	json_array_append_new(run->warnings, json_string(text));
	loop_log(run, PFC_LOG_WARNING, "core", text);
}

void run_target_note_end(struct run *run)
{
	struct target_status status;
	char text[160];

	if (run->target == NULL || run->end_reason == NULL || !str_equal(run->end_reason, "target exited")) {
		return;
	}
	target_status(run->target, &status);
	snprintf(text, sizeof(text), "the target ended %.2f s into the window of %.2f s",
		 (double)(run->t1_ns - run->t0_ns) / 1e9, (double)run->duration_ns / 1e9);
	if (target_was_oom(run->target)) {
		size_t bytes = strlen(text);

		snprintf(text + bytes, sizeof(text) - bytes, ", the kernel killed for lack of memory");
	} else if (WIFSIGNALED(status.wait_status)) {
		size_t bytes = strlen(text);

		snprintf(text + bytes, sizeof(text) - bytes, ", killed by signal %d",
			 WTERMSIG(status.wait_status));
	} else if (status.wait_status != 0) {
		size_t bytes = strlen(text);

		snprintf(text + bytes, sizeof(text) - bytes, ", exit code %d",
			 WEXITSTATUS(status.wait_status));
	}
	json_array_append_new(run->warnings, json_string(text));
	loop_log(run, status.wait_status != 0 ? PFC_LOG_WARNING : PFC_LOG_INFO, "core", text);
}
