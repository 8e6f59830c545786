/* SPDX-License-Identifier: MIT */
#include "run/window.h"

#include <unistd.h>

#include "base/clock.h"
#include "run/loop.h"
#include "run/progress.h"
#include "run/record.h"

/* T0 is never nearer than this, so that the drivers hear of it in time. */
#define LEAD_LEAST_NS (3 * NS_PER_MS)

/* Collectors first, with T0 as planned; T0 moves when they were late, so that they always contain the window. */
void window_open(struct run *run)
{
	uint64_t lead = (uint64_t)options_int(&run->plan->run, "lead");
	uint64_t planned = clock_now() + (lead > LEAD_LEAST_NS ? lead : LEAD_LEAST_NS);
	uint64_t now;

	run->phase = PHASE_WINDOW;
	for_each_measuring(run, stage)
	{
		if (run_stage_is_well(stage) && !run_stage_is_driver(stage)) {
			run_stage_ask(stage, "start", run->deadline_ns,
				      json_pack("{s:I}", "t0", (json_int_t)planned));
		}
	}
	loop_wait_answers(run);
	now = clock_now();
	run->t0_ns = planned > now + LEAD_LEAST_NS ? planned : now + LEAD_LEAST_NS;
	run->realtime_t0_ns = clock_read(CLOCK_REALTIME) + (run->t0_ns - clock_now());
	for_each_measuring(run, stage)
	{
		if (run_stage_is_well(stage) && run_stage_is_driver(stage)) {
			run_stage_ask(stage, "start", run->deadline_ns,
				      json_pack("{s:I}", "t0", (json_int_t)run->t0_ns));
		} else {
			run_stage_tell(stage,
				       json_pack("{s:s, s:I}", "op", "window", "t0", (json_int_t)run->t0_ns));
		}
	}
	while (!run->is_abandoned && clock_now() < run->t0_ns) {
		loop_step(run, run->t0_ns);
	}
}

static bool must_abort(struct run *run)
{
	for_each_measuring(run, stage)
	{
		if (stage->failure.status != 0 && stage->plan->abort_on_failure) {
			loop_log(run, PFC_LOG_ERROR, stage->plan->name,
				 "on_failure = abort: the window ends here");
			return true;
		}
	}
	return false;
}

void window_hold(struct run *run)
{
	uint64_t t1 = run->t0_ns + run->duration_ns;

	record_write(run);
	while (run->end_reason == NULL && run->interrupts == 0) {
		if (clock_now() >= t1) {
			run->end_reason = "duration";
		} else if (!run_any_alive(run)) {
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
	for_each_measuring(run, stage)
	{
		if (run_stage_is_alive(stage) && stage->has_run && run_stage_is_driver(stage) == drivers &&
		    !stage->is_quitting) {
			run_stage_ask(stage, "stop", run->deadline_ns,
				      json_pack("{s:I}", "t1", (json_int_t)run->t1_ns));
		}
	}
	loop_wait_answers(run);
}

void window_close(struct run *run)
{
	ask_stop(run, true);
	ask_stop(run, false);
	progress_finish(run->progress);
}
