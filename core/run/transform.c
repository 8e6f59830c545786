/* SPDX-License-Identifier: MIT */
#include "run/transform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "plan/stored.h"
#include "run/loop.h"
#include "run/settle.h"
#include "run/spawn.h"

static bool is_settled(const struct run_stage *stage)
{
	return stage->state == STAGE_DONE || stage->state == STAGE_FAILED || stage->state == STAGE_SKIPPED;
}

static const struct run_output *output_of(const struct run *run, const struct plan_output *plan)
{
	return &run->stages[plan->stage->index].outputs[plan - plan->stage->outputs];
}

static bool is_usable(const struct run *run, const struct plan_edge *edge)
{
	enum output_state state;

	if (edge->stored != NULL) {
		return true;
	}
	state = output_of(run, edge->output)->state;
	return state == OUTPUT_COMPLETE || state == OUTPUT_PARTIAL;
}

/* Whether every producer has come to its end. */
static bool inputs_are_settled(const struct run *run, const struct plan_stage *plan)
{
	for (size_t i = 0; i < plan->input_count; i++) {
		for (size_t e = 0; e < plan->inputs[i].edge_count; e++) {
			const struct plan_output *output = plan->inputs[i].edges[e].output;

			if (output != NULL && (!is_settled(&run->stages[output->stage->index]) ||
					       output_of(run, output)->state == OUTPUT_WRITING)) {
				return false;
			}
		}
	}
	return true;
}

/* The input that the stage cannot do without and that came to nothing; NULL when all is well. */
static const struct plan_input *find_lack(const struct run *run, const struct plan_stage *plan)
{
	for (size_t i = 0; i < plan->input_count; i++) {
		const struct plan_input *input = &plan->inputs[i];
		/* Of several `each` inputs a stage has an artifact by one: the plan leaves the others empty. */
		bool is_other = input->port->multiplicity == PORT_EACH && input->edge_count == 0;
		bool may_lack =
			input->port->optional || input->port->multiplicity == PORT_OPTIONAL || is_other;
		bool any = false;

		for (size_t e = 0; e < input->edge_count; e++) {
			any = any || is_usable(run, &input->edges[e]);
		}
		if (!any && !may_lack) {
			return input;
		}
	}
	return NULL;
}

/* Whether all that was joined to the input is absent for a stated reason: then there is nothing to do, and no fault. */
static bool is_absent(const struct run *run, const struct plan_input *input)
{
	for (size_t e = 0; e < input->edge_count; e++) {
		const struct plan_output *output = input->edges[e].output;

		if (output == NULL || output_of(run, output)->state != OUTPUT_ABSENT) {
			return false;
		}
	}
	return input->edge_count > 0;
}

/* "its input stacks came to nothing (perf-cpu failed)"; the caller frees. */
static char *explain_lack(const struct run *run, const struct plan_input *lack)
{
	const struct plan_output *output = lack->edge_count > 0 ? lack->edges[0].output : NULL;
	const struct run_stage *producer = output != NULL ? &run->stages[output->stage->index] : NULL;
	const char *fate = producer == NULL                   ? ""
			   : producer->state == STAGE_SKIPPED ? " was not started"
			   : producer->failure.status != 0    ? " failed"
							      : " wrote nothing";

	return producer == NULL ? str_printf("its input %s came to nothing", lack->port->name)
				: str_printf("its input %s came to nothing (%s%s)", lack->port->name,
					     producer->plan->name, fate);
}

static void start(struct run *run, struct run_stage *stage)
{
	const struct plan_input *lack = find_lack(run, stage->plan);
	struct pfc_error err;

	if (lack != NULL && is_absent(run, lack)) {
		settle_spare(stage);
		return;
	}
	if (lack != NULL) {
		char *why = explain_lack(run, lack);

		settle_skip(run, stage, why != NULL ? why : "an input came to nothing");
		free(why);
		return;
	}
	if (spawn_stage(run, stage, &err) < 0) {
		stage->failure.status = 0;
		settle_failure(run, stage, "create", &err);
		settle_end(run, stage);
	}
}

void transform_quit_finished(struct run *run)
{
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		struct run_stage *stage = &run->stages[i];

		if (run_stage_is_alive(stage) && stage->waiting == NULL && !stage->is_quitting) {
			run_stage_quit(stage);
		}
	}
}

/* A transform that was created is asked to process; one that has answered, or failed, to quit. */
static void move_on(struct run *run, struct run_stage *stage)
{
	if (stage->state == STAGE_PLANNED && !run_has_window(run)) {
		settle_skip(run, stage, NULL); /* why nothing was measured has been said */
		return;
	}
	if (stage->state == STAGE_PLANNED && inputs_are_settled(run, stage->plan)) {
		start(run, stage);
		return;
	}
	if (!run_stage_is_alive(stage) || stage->waiting != NULL || stage->is_quitting) {
		return;
	}
	if (!stage->has_run && stage->failure.status == 0) {
		stage->has_run = true;
		run_stage_ask(stage, "process", run->deadline_ns, NULL);
	} else {
		run_stage_quit(stage);
	}
}

static bool is_over(const struct run *run)
{
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		const struct run_stage *stage = &run->stages[i];

		if (!plan_is_measuring(stage->plan) && !is_settled(stage)) {
			return false;
		}
	}
	return true;
}

void transform_run(struct run *run)
{
	bool is_target_closed = false;

	while (!run->is_abandoned && !is_over(run)) {
		bool is_measured = true;

		for (size_t i = 0; i < run->plan->stage_count; i++) {
			struct run_stage *stage = &run->stages[i];

			if (!plan_is_measuring(stage->plan)) {
				move_on(run, stage);
			} else if (run_stage_is_alive(stage)) {
				is_measured = false;
				if (stage->waiting == NULL && !stage->is_quitting) {
					run_stage_quit(stage);
				}
			} else if (stage->state == STAGE_PLANNED) {
				settle_skip(run, stage, NULL);
			}
		}
		if (is_measured && !is_target_closed) {
			/* While the transforms work: nothing reads the target any more. */
			run->phase = PHASE_TRANSFORM;
			target_close(run->target);
			run->target = NULL;
			is_target_closed = true;
			continue;
		}
		if (!is_over(run)) {
			loop_step(run, 0);
		}
	}
}

void transform_link_documents(struct run *run, const struct run_stage *stage)
{
	for (size_t i = 0; i < stage->plan->output_count; i++) {
		const struct run_output *output = &stage->outputs[i];
		const char *hole = strstr(output->plan->link, "{run}");
		struct pfc_error err;
		char *name;

		if (output->plan->link[0] == '\0' ||
		    (output->state != OUTPUT_COMPLETE && output->state != OUTPUT_PARTIAL)) {
			continue;
		}
		name = hole == NULL ? strdup(output->plan->link)
				    : str_printf("%.*s%s%s", (int)(hole - output->plan->link),
						 output->plan->link, run->dir->id, hole + strlen("{run}"));
		if (name == NULL || strchr(name, '/') != NULL || name[0] == '.') {
			log_warning("%s: its link '%s' is no plain file name, ignoring it", stage->plan->name,
				    output->plan->link);
		} else if (rundir_link(run->dir, name, output->plan->path, &err) < 0) {
			log_failure(&err);
		}
		free(name);
	}
}
