/* SPDX-License-Identifier: MIT */
#include "run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "plan/stored.h"
#include "run/effective.h"
#include "run/loop.h"
#include "run/progress.h"
#include "run/record.h"
#include "run/settle.h"
#include "run/spawn.h"
#include "run/transform.h"
#include "stage/protocol.h"

/* T0 is never nearer than this, so that the drivers hear of it in time. */
#define LEAD_LEAST_NS (3 * NS_PER_MS)
/* Kept free for the closing manifest on a full disk. */
#define RESERVE_BYTES (512 * 1024)
#define READY_POLL_NS (10 * NS_PER_MS)
#define PROGRAMS_HOLE "{programs}"

#define for_each_measuring(run, stage)                                                                    \
	for (struct run_stage *stage = (run)->stages; stage < (run)->stages + (run)->plan->stage_count;   \
	     stage++)                                                                                     \
		if (!plan_is_measuring(stage->plan)) {                                                    \
		} else

static bool is_driver(const struct run_stage *stage)
{
	return stage->plan->manifest->kind == PLUGIN_DRIVER;
}

static void enter(struct run *run, enum run_phase phase)
{
	run->phase = phase;
	record_write(run);
}

/* ---- target ---- */

static const char *text_or_null(const struct run *run, const char *key)
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
		error_set(err, PFC_ENOENT, "the demo programs are neither in the build tree nor installed", "expand %s",
			  PROGRAMS_HOLE);
		return NULL;
	}
	folder[strlen(folder) - 1] = '\0'; /* the slash */
	expanded = str_printf("%.*s%s%s", (int)(hole - command), command, folder, hole + strlen(PROGRAMS_HOLE));
	free(folder);
	return expanded;
}

static int open_target(struct run *run, struct pfc_error *err)
{
	const char *command = text_or_null(run, "command");
	struct target_config config = {
		.pid = (int32_t)options_int(&run->plan->target, "pid"),
		.process = text_or_null(run, "process"),
		.ready = text_or_null(run, "ready"),
		.ready_timeout_ns = (uint64_t)options_int(&run->plan->target, "ready_timeout"),
		.stop_timeout_ns = (uint64_t)options_int(&run->plan->target, "stop_timeout"),
		.directory = text_or_null(run, "directory"),
		.container = text_or_null(run, "container"),
		.service = text_or_null(run, "compose-service"),
		.project = text_or_null(run, "compose-project"),
		.image = text_or_null(run, "image"),
		.cgroup = text_or_null(run, "cgroup"),
		.engine = text_or_null(run, "engine"),
		.system = options_int(&run->plan->target, "system") != 0,
		.stop_on_restart = str_equal(options_text(&run->plan->target, "on_restart"), "stop"),
	};
	char *expanded = NULL;
	int rc;

	if (text_or_null(run, "pod") != NULL) {
		error_set(err, PFC_ENOTSUP, "this version does not find pods", "open the target");
		return error_hint(err, "[target] container = ID of the pod's container, or cgroup = its control group");
	}
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
	free(expanded);
	return rc;
}

static void write_target(struct run *run)
{
	json_t *json = run->target != NULL ? target_to_json(run->target) : NULL;
	struct pfc_error err;

	if (json != NULL && rundir_write_json(run->dir, "target.json", json, &err) < 0) {
		log_failure(&err);
		run->has_write_error = true;
	}
	json_decref(json);
}

static int apply_env(struct run *run, struct pfc_error *err)
{
	for_each_measuring(run, stage) {
		json_t *value;
		const char *name;

		json_object_foreach (stage->env, name, value) {
			int rc = target_set_env(run->target, name, json_string_value(value), err);

			if (rc < 0) {
				return rc;
			}
		}
	}
	return 0;
}

/* Release a launched target and wait until it answers. */
static int make_ready(struct run *run, struct pfc_error *err)
{
	char *text;
	int rc = target_release(run->target, err);

	if (rc < 0) {
		return rc;
	}
	text = str_printf("waiting until %s", text_or_null(run, "ready"));
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

/* ---- phases ---- */

static void ask_measuring(struct run *run, const char *phase)
{
	for_each_measuring(run, stage) {
		if (run_stage_is_well(stage)) {
			run_stage_ask(stage, phase, run->deadline_ns, NULL);
		}
	}
	loop_wait_answers(run);
}

/* Whether the run can go on: something still measures, and no stage that must not fail has failed. */
static bool can_go_on(struct run *run)
{
	size_t planned = 0;
	size_t well = 0;

	for_each_measuring(run, stage) {
		planned++;
		well += run_stage_is_well(stage);
		if (stage->failure.status != 0 && stage->plan->abort_on_failure) {
			loop_log(run, PFC_LOG_ERROR, stage->plan->name, "on_failure = abort: the run ends here");
			return false;
		}
	}
	if (planned > 0 && well == 0) {
		loop_log(run, PFC_LOG_ERROR, "core", "no driver or collector is left that can measure");
		return false;
	}
	return !run->is_abandoned;
}

static void start_processes(struct run *run)
{
	for_each_measuring(run, stage) {
		struct pfc_error err;

		if (spawn_stage(run, stage, &err) < 0) {
			stage->failure.status = 0;
			settle_failure(run, stage, "create", &err);
			settle_end(run, stage); /* its outputs may have been made: no transform waits for them */
		}
	}
	loop_wait_answers(run);
}

/* Collectors first, with T0 as planned; T0 moves when they were late, so that they always contain the window. */
static void start_window(struct run *run)
{
	uint64_t lead = (uint64_t)options_int(&run->plan->run, "lead");
	uint64_t planned = clock_now() + (lead > LEAD_LEAST_NS ? lead : LEAD_LEAST_NS);
	uint64_t now;

	run->phase = PHASE_WINDOW;
	for_each_measuring(run, stage) {
		if (run_stage_is_well(stage) && !is_driver(stage)) {
			run_stage_ask(stage, "start", run->deadline_ns, json_pack("{s:I}", "t0", (json_int_t)planned));
		}
	}
	loop_wait_answers(run);
	now = clock_now();
	run->t0_ns = planned > now + LEAD_LEAST_NS ? planned : now + LEAD_LEAST_NS;
	run->realtime_t0_ns = clock_read(CLOCK_REALTIME) + (run->t0_ns - clock_now());
	for_each_measuring(run, stage) {
		if (run_stage_is_well(stage) && is_driver(stage)) {
			run_stage_ask(stage, "start", run->deadline_ns, json_pack("{s:I}", "t0", (json_int_t)run->t0_ns));
		} else {
			run_stage_tell(stage, json_pack("{s:s, s:I}", "op", "window", "t0", (json_int_t)run->t0_ns));
		}
	}
	while (!run->is_abandoned && clock_now() < run->t0_ns) {
		loop_step(run, run->t0_ns);
	}
}

static bool any_alive(struct run *run)
{
	for_each_measuring(run, stage) {
		if (run_stage_is_alive(stage)) {
			return true;
		}
	}
	return false;
}

static bool must_abort(struct run *run)
{
	for_each_measuring(run, stage) {
		if (stage->failure.status != 0 && stage->plan->abort_on_failure) {
			loop_log(run, PFC_LOG_ERROR, stage->plan->name, "on_failure = abort: the window ends here");
			return true;
		}
	}
	return false;
}

static void hold_window(struct run *run)
{
	uint64_t t1 = run->t0_ns + run->duration_ns;

	record_write(run);
	while (run->end_reason == NULL && run->interrupts == 0) {
		if (clock_now() >= t1) {
			run->end_reason = "duration";
		} else if (!any_alive(run)) {
			run->end_reason = "no stage left";
		} else if (must_abort(run)) {
			run->end_reason = "on_failure = abort";
		} else {
			loop_step(run, t1);
		}
	}
	if (run->end_reason == NULL) {
		run->end_reason = "interrupted";
	}
	run->t1_ns = clock_now();
}

static void signal_stop(int fd)
{
	uint64_t one = 1;

	(void)!write(fd, &one, sizeof(one));
}

/* A stage that failed in its run is not asked to stop, but still to close its outputs. */
static void ask_stop(struct run *run, bool drivers)
{
	signal_stop(drivers ? run->driver_stop_fd : run->stop_fd);
	for_each_measuring(run, stage) {
		if (run_stage_is_alive(stage) && stage->has_run && is_driver(stage) == drivers && !stage->is_quitting) {
			run_stage_ask(stage, "stop", run->deadline_ns, json_pack("{s:I}", "t1", (json_int_t)run->t1_ns));
		}
	}
	loop_wait_answers(run);
}

static void stop_window(struct run *run)
{
	ask_stop(run, true);
	ask_stop(run, false);
	progress_finish(run->progress);
}

static void ask_finish(struct run *run)
{
	for_each_measuring(run, stage) {
		if (run_stage_is_alive(stage) && !stage->is_quitting) {
			run_stage_ask(stage, "finish", run->deadline_ns, NULL);
		}
	}
}

/* Probe to drain, with whatever stages are left. */
static int measure(struct run *run, struct pfc_error *err)
{
	bool has_ready = text_or_null(run, "ready") != NULL && text_or_null(run, "command") != NULL;
	struct target_status status = { 0 };
	int rc = 0;

	if (run->plan->has_target) {
		rc = open_target(run, err);
		if (rc < 0) {
			return rc;
		}
	}
	enter(run, PHASE_PROBE);
	start_processes(run);
	ask_measuring(run, "probe");
	if (!can_go_on(run) || run->settings->probe_only != NULL) {
		return 0;
	}
	enter(run, PHASE_PREPARE);
	ask_measuring(run, "prepare");
	if (!can_go_on(run)) {
		return 0;
	}
	if (run->target != NULL) {
		rc = apply_env(run, err);
		if (rc == 0 && has_ready) {
			rc = make_ready(run, err);
		}
		if (rc < 0 || run->is_abandoned) {
			return rc;
		}
	}
	start_window(run);
	if (run->target != NULL && !has_ready) {
		target_status(run->target, &status);
		if (status.held && !run->is_abandoned) {
			rc = target_release(run->target, err);
		}
	}
	write_target(run);
	if (rc == 0 && can_go_on(run)) {
		hold_window(run);
	}
	run->t1_ns = run->t1_ns > 0 ? run->t1_ns : clock_now();
	if (!run->is_abandoned) {
		stop_window(run);
	}
	if (run->target != NULL && target_generation(run->target) > 1) {
		write_target(run); /* with all its generations */
	}
	return rc;
}

static void note_restarts(struct run *run)
{
	uint32_t generation = run->target != NULL ? target_generation(run->target) : 1;
	char text[200];

	if (generation < 2) {
		return;
	}
	snprintf(text, sizeof(text), "the target began anew %u time%s during the run%s", generation - 1,
		 generation > 2 ? "s" : "",
		 target_has_moved(run->target) ?
			 ", as another container of that name: what is measured by control group stops with the first" :
			 "");
	json_array_append_new(run->warnings, json_string(text));
	loop_log(run, PFC_LOG_WARNING, "core", text);
}

static void note_target_end(struct run *run)
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

		snprintf(text + bytes, sizeof(text) - bytes, ", killed by signal %d", WTERMSIG(status.wait_status));
	} else if (status.wait_status != 0) {
		size_t bytes = strlen(text);

		snprintf(text + bytes, sizeof(text) - bytes, ", exit code %d", WEXITSTATUS(status.wait_status));
	}
	json_array_append_new(run->warnings, json_string(text));
	loop_log(run, status.wait_status != 0 ? PFC_LOG_WARNING : PFC_LOG_INFO, "core", text);
}

/* ---- the whole ---- */

static void kill_all(struct run *run)
{
	uint64_t until = clock_now() + NS_PER_SECOND;

	for (size_t i = 0; i < run->plan->stage_count; i++) {
		run_stage_kill(&run->stages[i]);
		run_stage_kill(&run->stages[i]);
	}
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		while (!run_stage_reap(&run->stages[i]) && run_stage_is_alive(&run->stages[i]) && clock_now() < until) {
			usleep(1000);
		}
	}
}

static int block_signals(struct run *run, sigset_t *before, struct pfc_error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, before);
	signal(SIGPIPE, SIG_IGN);
	run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	run->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	run->driver_stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (run->signal_fd < 0 || run->stop_fd < 0 || run->driver_stop_fd < 0) {
		return error_errno(err, errno, "set up signals");
	}
	return 0;
}

/* A disk without room for the closing manifest is refused before anything is measured. */
static int reserve_space(struct run *run, struct pfc_error *err)
{
	int fd = -1;
	int rc = rundir_create_file(run->dir, RUNDIR_RESERVE, &fd, err);
	int errnum;

	if (rc < 0) {
		return rc;
	}
	errnum = posix_fallocate(fd, 0, RESERVE_BYTES);
	close(fd);
	if (errnum == ENOSPC || errnum == EDQUOT) {
		error_errno(err, errnum, "reserve %d KiB in %s", RESERVE_BYTES / 1024, run->dir->path);
		error_hint(err, "free some space, or another folder: --set run.output=FOLDER");
		rundir_discard(run->dir);
		return err->status;
	}
	return 0;
}

static int open_folder(struct run *run, struct pfc_error *err)
{
	int fd = -1;
	int rc = rundir_create(options_text(&run->plan->run, "output"), options_text(&run->plan->run, "name"), &run->dir, err);

	if (rc < 0) {
		return rc;
	}
	rc = reserve_space(run, err);
	if (rc < 0) {
		return rc;
	}
	if (rundir_create_file(run->dir, "logs/run.log", &fd, NULL) == 0) {
		run->log = fdopen(fd, "w");
	}
	rc = effective_write(run->dir, run->settings->config, run->plan, err);
	if (rc == 0 && run->settings->replay_of != NULL) {
		rc = stored_manifest(run->settings->replay_of, &run->stored, err);
		if (rc == 0) {
			rc = transform_link_stored(run, err);
		}
		if (rc == 0) {
			record_merge_stored(run);
		}
	}
	return rc;
}

static int begin(struct run *run, struct pfc_error *err)
{
	struct rlimit files;
	int rc;

	run->began_ns = clock_now();
	run->duration_ns = (uint64_t)options_int(&run->plan->run, "duration");
	run->deadline_ns = (uint64_t)options_int(&run->plan->run, "deadline");
	run->warnings = json_array();
	run->summary = json_object();
	run->stages = calloc(run->plan->stage_count + 1, sizeof(*run->stages));
	if (run->warnings == NULL || run->summary == NULL || run->stages == NULL) {
		return error_nomem(err);
	}
	/* Each stage takes a few descriptors, the target's files some more. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		rc = run_stage_init(&run->stages[i], run->plan->stages[i], err);
		if (rc < 0) {
			return rc;
		}
	}
	return open_folder(run, err);
}

static void seal(struct run *run)
{
	struct pfc_error err;

	rundir_remove_file(run->dir, RUNDIR_RESERVE);
	run->phase = PHASE_SEALED;
	record_write(run);
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		transform_link_documents(run, &run->stages[i]);
	}
	if (rundir_link_latest(run->dir, &err) < 0) {
		log_failure(&err);
	}
}

static void end(struct run *run, sigset_t *before)
{
	for (size_t i = 0; run->stages != NULL && i < run->plan->stage_count; i++) {
		if (run->stages[i].plan != NULL) {
			run_stage_finish(&run->stages[i]);
		}
	}
	target_close(run->target);
	progress_destroy(run->progress);
	if (run->log != NULL) {
		fclose(run->log);
	}
	for (size_t i = 0; i < 4; i++) {
		int fd = (int[]){ run->signal_fd, run->stop_fd, run->driver_stop_fd, run->target_log_fd }[i];

		if (fd >= 0) {
			close(fd);
		}
	}
	json_decref(run->warnings);
	json_decref(run->summary);
	json_decref(run->stored);
	free(run->stages);
	rundir_close(run->dir);
	sigprocmask(SIG_SETMASK, before, NULL);
}

static void carry_out(struct run *run)
{
	struct pfc_error err;

	run->progress = progress_create(run);
	if (run->settings->replay_of == NULL) {
		if (measure(run, &err) < 0) {
			run->target_failure = err;
			log_failure(&err);
		}
		note_target_end(run);
		note_restarts(run);
		run->phase = PHASE_DRAIN;
		if (!run->is_abandoned) {
			ask_finish(run);
		}
	}
	if (!run->is_abandoned && run->settings->probe_only == NULL) {
		transform_run(run);
	}
	while (!run->is_abandoned && any_alive(run)) {
		transform_quit_finished(run);
		loop_step(run, 0);
	}
	if (run->is_abandoned) {
		kill_all(run);
		for (size_t i = 0; i < run->plan->stage_count; i++) {
			if (run->stages[i].is_reaped) {
				settle_end(run, &run->stages[i]);
			}
		}
	}
	target_close(run->target);
	run->target = NULL;
	seal(run);
}

/* Whether it could be told: an object that never arrived is data missing. */
static bool tell(const struct run *run)
{
	bool is_told = true;

	if (run->settings->is_json) {
		json_t *object = record_to_json(run);

		is_told = json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) == 0;
		fputc('\n', stdout);
		json_decref(object);
	} else if (!run->settings->is_quiet) {
		record_print(run, stdout);
	}
	is_told = fflush(stdout) == 0 && !ferror(stdout) && is_told;
	if (!is_told) {
		log_error("write the result to standard output: %s", strerror(errno));
	}
	return is_told;
}

int run_execute(const struct plan *plan, const struct run_settings *settings, int *ret_exit, struct pfc_error *err)
{
	struct run run = { .plan = plan, .settings = settings, .signal_fd = -1, .stop_fd = -1, .driver_stop_fd = -1,
			   .target_log_fd = -1 };
	sigset_t before;
	int rc = block_signals(&run, &before, err);

	if (rc == 0) {
		rc = begin(&run, err);
	}
	if (rc == 0) {
		carry_out(&run);
		run.has_write_error = !tell(&run) || run.has_write_error;
		*ret_exit = record_exit_code(&run);
	}
	end(&run, &before);
	return rc;
}
