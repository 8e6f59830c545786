/* SPDX-License-Identifier: MIT */
#include "run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "plan/beside.h"
#include "plan/stored.h"
#include "run/effective.h"
#include "run/keep.h"
#include "run/loop.h"
#include "run/measure.h"
#include "run/progress.h"
#include "run/closing.h"
#include "run/record.h"
#include "run/summary.h"
#include "run/remove.h"
#include "run/run_target.h"
#include "run/settle.h"
#include "run/spawn.h"
#include "run/transform.h"
#include "stage/protocol.h"

/* Kept free for the closing manifest on a full disk. */
#define RESERVE_BYTES (512 * 1024)

bool run_has_window(const struct run *run)
{
	return run->t0_ns > 0 || run->settings->replay_of != NULL;
}

bool run_any_alive(const struct run *run)
{
	for_each_measuring(run, stage)
	{
		if (run_stage_is_alive(stage)) {
			return true;
		}
	}
	return false;
}

static void kill_all(struct run *run)
{
	uint64_t until = clock_now() + NS_PER_SECOND;

	for (size_t i = 0; i < run->plan->stage_count; i++) {
		run_stage_kill(&run->stages[i]);
		run_stage_kill(&run->stages[i]);
	}
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		while (!run_stage_reap(&run->stages[i]) && run_stage_is_alive(&run->stages[i]) &&
		       clock_now() < until) {
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

/* The runs that are joined to a replayed one: what all of them saw is the window. */
static void note_beside(struct run *run)
{
	beside_narrow(run->settings->beside, run->stored);
	for (const struct beside *one = run->settings->beside; one != NULL; one = one->next) {
		char text[300];

		snprintf(text, sizeof(text), "joined with %s, which measured at the same time%s", one->id,
			 one->has_target ? "" : " (it names no target)");
		json_array_append_new(run->warnings, json_string(text));
		loop_log(run, PFC_LOG_INFO, "core", text);
	}
}

static int open_folder(struct run *run, struct pfc_error *err)
{
	int fd = -1;
	const char *output = run->output != NULL ? run->output : options_text(&run->plan->run, "output");
	int rc = rundir_create(output, options_text(&run->plan->run, "name"), &run->dir, err);

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
			note_beside(run);
			rc = keep_stored(run, err);
		}
		if (rc == 0) {
			rc = keep_joined(run, err);
		}
		if (rc == 0) {
			summary_merge_stored(run);
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
	json_decref(run->notes);
	json_decref(run->target_facts);
	free(run->stages);
	rundir_close(run->dir);
	sigprocmask(SIG_SETMASK, before, NULL);
}

static void carry_out(struct run *run)
{
	struct pfc_error err;

	run->progress = progress_create(run);
	if (run->settings->replay_of == NULL) {
		if (measure_run(run, &err) < 0) {
			run->target_failure = err;
			log_failure(&err);
		}
		run_target_note_end(run);
		run_target_note_restarts(run);
		run->phase = PHASE_DRAIN;
		if (!run->is_abandoned && run_has_window(run)) {
			measure_finish(run);
		}
	}
	if (!run->is_abandoned) {
		transform_run(run);
	}
	while (!run->is_abandoned && run_any_alive(run)) {
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

static void fill_outcome(const struct run *run, struct run_outcome *ret)
{
	snprintf(ret->id, sizeof(ret->id), "%s", run->dir->id);
	for_each_measuring(run, stage)
	{
		for (size_t o = 0; o < stage->plan->output_count; o++) {
			ret->has_data = ret->has_data || stage->outputs[o].state == OUTPUT_COMPLETE ||
					stage->outputs[o].state == OUTPUT_PARTIAL;
		}
	}
}

/* Whether it could be told: an object that never arrived is data missing. */
static bool tell(const struct run *run)
{
	bool is_told = true;

	if (run->settings->is_json) {
		json_t *object = record_to_json(run);

		/* Of a series each is a line. */
		is_told = json_dumpf(object, stdout,
				     (run->settings->series != NULL ? JSON_COMPACT : JSON_INDENT(2)) |
					     JSON_REAL_PRECISION(10)) == 0;
		fputc('\n', stdout);
		json_decref(object);
	} else if (!run->settings->is_quiet) {
		closing_print(run, stdout);
	}
	is_told = fflush(stdout) == 0 && !ferror(stdout) && is_told;
	if (!is_told) {
		log_error("write the result to standard output: %s", strerror(errno));
	}
	return is_told;
}

int run_execute(const struct plan *plan, const struct run_settings *settings, int *ret_exit,
		struct pfc_error *err)
{
	struct run run = { .plan = plan,
			   .settings = settings,
			   .signal_fd = -1,
			   .stop_fd = -1,
			   .driver_stop_fd = -1,
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
		if (settings->outcome != NULL) {
			fill_outcome(&run, settings->outcome);
		}
	}
	end(&run, &before);
	return rc;
}

/* ---- only asking ---- */

static void quit_all(struct run *run)
{
	uint64_t until = clock_now() + run->deadline_ns;
	bool any = true;

	while (any && !run->is_abandoned && clock_now() < until) {
		any = false;
		for (size_t i = 0; i < run->plan->stage_count; i++) {
			if (run_stage_is_alive(&run->stages[i])) {
				run_stage_quit(&run->stages[i]);
				any = true;
			}
		}
		if (any) {
			loop_step(run, 0);
		}
	}
	kill_all(run);
}

static void show(struct run *run, void (*look)(void *ctx, const struct run_probed *probed), void *ctx)
{
	struct run_probed probed = { .run = run, .notes = run->notes };

	/* One that refused has not failed its run yet, but would. */
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		if (run->stages[i].failure.status != 0) {
			run->stages[i].state = STAGE_FAILED;
		}
	}
	probed.exit_code = record_exit_code(run);
	look(ctx, &probed);
}

int run_probe(const struct plan *plan, const struct config *config,
	      void (*look)(void *ctx, const struct run_probed *probed), void *ctx, struct pfc_error *err)
{
	struct run_settings settings = { .config = config, .is_quiet = true };
	struct run run = { .plan = plan,
			   .settings = &settings,
			   .signal_fd = -1,
			   .stop_fd = -1,
			   .driver_stop_fd = -1,
			   .target_log_fd = -1,
			   .notes = json_array() };
	const char *temporary = secure_getenv("TMPDIR");
	char folder[PATH_MAX];
	sigset_t before;
	int rc;

	snprintf(folder, sizeof(folder), "%s/profcore-doctor-XXXXXX", temporary != NULL ? temporary : "/tmp");
	if (mkdtemp(folder) == NULL) {
		return error_errno(err, errno, "make a folder for the time of asking");
	}
	run.output = folder;
	rc = block_signals(&run, &before, err);
	if (rc == 0) {
		rc = begin(&run, err);
	}
	if (rc == 0) {
		if (measure_probe(&run, &run.target_failure) == 0) {
			run.target_failure.status = 0;
		}
		show(&run, look, ctx);
		quit_all(&run);
	}
	end(&run, &before);
	run_remove(folder);
	return rc;
}
