/* SPDX-License-Identifier: MIT */
#include "run/measure.h"

#include "base/clock.h"
#include "run/loop.h"
#include "run/record.h"
#include "run/run_target.h"
#include "run/settle.h"
#include "run/spawn.h"
#include "run/window.h"

static void enter(struct run *run, enum run_phase phase)
{
	run->phase = phase;
	record_write(run);
}

static void ask_measuring(struct run *run, const char *phase)
{
	for_each_measuring(run, stage)
	{
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

	for_each_measuring(run, stage)
	{
		planned++;
		well += run_stage_is_well(stage);
		if (stage->failure.status != 0 && stage->plan->abort_on_failure) {
			loop_log(run, PFC_LOG_ERROR, stage->plan->name,
				 "on_failure = abort: the run ends here");
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
	for_each_measuring(run, stage)
	{
		struct pfc_error err;

		if (spawn_stage(run, stage, &err) < 0) {
			stage->failure.status = 0;
			settle_failure(run, stage, "create", &err);
			settle_end(run,
				   stage); /* its outputs may have been made: no transform waits for them */
		}
	}
	loop_wait_answers(run);
}

void measure_finish(struct run *run)
{
	for_each_measuring(run, stage)
	{
		if (run_stage_is_alive(stage) && !stage->is_quitting) {
			run_stage_ask(stage, "finish", run->deadline_ns,
				      json_pack("{s:o}", "restarts", run_target_restarts(run)));
		}
	}
}

/* Probe to drain, with whatever stages are left. */
int measure_run(struct run *run, struct pfc_error *err)
{
	bool has_ready = run_target_has_ready(run);
	struct target_status status = { 0 };
	int rc = 0;

	if (run->plan->has_target) {
		rc = run_target_open(run, err);
		if (rc < 0) {
			return rc;
		}
	}
	enter(run, PHASE_PROBE);
	start_processes(run);
	ask_measuring(run, "probe");
	if (!can_go_on(run)) {
		return 0;
	}
	enter(run, PHASE_PREPARE);
	ask_measuring(run, "prepare");
	if (!can_go_on(run)) {
		return 0;
	}
	if (run->target != NULL) {
		rc = run_target_apply_env(run, err);
		if (rc == 0 && has_ready) {
			rc = run_target_make_ready(run, err);
		}
		if (rc < 0 || run->is_abandoned) {
			return rc;
		}
	}
	window_open(run);
	if (run->target != NULL && !has_ready) {
		target_status(run->target, &status);
		if (status.held && !run->is_abandoned) {
			rc = target_release(run->target, err);
		}
	}
	run_target_write(run);
	if (rc == 0 && can_go_on(run)) {
		window_hold(run);
	}
	run->t1_ns = run->t1_ns > 0 ? run->t1_ns : clock_now();
	if (!run->is_abandoned) {
		window_close(run);
	}
	if (run->target != NULL && (target_generation(run->target) > 1 || target_was_oom(run->target))) {
		run_target_write(run); /* with all its generations, and how it ended */
	}
	return rc;
}

int measure_probe(struct run *run, struct pfc_error *err)
{
	int rc = run->plan->has_target ? run_target_open(run, err) : 0;

	if (rc < 0) {
		return rc;
	}
	run->phase = PHASE_PROBE;
	start_processes(run);
	ask_measuring(run, "probe");
	/* The others are asked nothing before they work, but that they load, and take their options. */
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		struct run_stage *stage = &run->stages[i];
		struct pfc_error why;

		if (!plan_is_measuring(stage->plan) && spawn_stage(run, stage, &why) < 0) {
			stage->failure.status = 0;
			settle_failure(run, stage, "create", &why);
		}
	}
	loop_wait_answers(run);
	return 0;
}
