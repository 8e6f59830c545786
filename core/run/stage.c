/* SPDX-License-Identifier: MIT */
#include "run/stage.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "stage/protocol.h"

int run_stage_init(struct run_stage *stage, const struct plan_stage *plan, struct pfc_error *err)
{
	*stage = (struct run_stage){ .plan = plan, .pidfd = -1, .control = -1, .pid = -1 };
	stage->outputs = calloc(plan->output_count + 1, sizeof(*stage->outputs));
	stage->metrics = calloc(plan->manifest->metric_count + 1, sizeof(*stage->metrics));
	stage->gates = json_array();
	stage->env = json_object();
	if (stage->outputs == NULL || stage->metrics == NULL || stage->gates == NULL || stage->env == NULL) {
		return error_nomem(err);
	}
	for (size_t i = 0; i < plan->output_count; i++) {
		stage->outputs[i] = (struct run_output){ .plan = &plan->outputs[i], .fd = -1 };
	}
	for (size_t i = 0; i < plan->manifest->metric_count; i++) {
		stage->metrics[i] = NAN;
	}
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0) {
		close(*fd);
	}
	*fd = -1;
}

void run_stage_finish(struct run_stage *stage)
{
	if (stage->pid > 0 && !stage->is_reaped) {
		(void)kill(stage->pid, SIGKILL);
		(void)waitpid(stage->pid, NULL, 0);
	}
	for (size_t i = 0; stage->outputs != NULL && i < stage->plan->output_count; i++) {
		close_fd(&stage->outputs[i].fd);
		json_decref(stage->outputs[i].report);
	}
	close_fd(&stage->control);
	close_fd(&stage->pidfd);
	free(stage->outputs);
	free(stage->metrics);
	json_decref(stage->gates);
	json_decref(stage->env);
	stage->outputs = NULL;
	stage->metrics = NULL;
	stage->gates = NULL;
	stage->env = NULL;
}

bool run_stage_is_driver(const struct run_stage *stage)
{
	return stage->plan->manifest->kind == PLUGIN_DRIVER;
}

bool run_stage_is_alive(const struct run_stage *stage)
{
	return (stage->pid > 0 || stage->is_thread) && !stage->is_reaped;
}

bool run_stage_is_well(const struct run_stage *stage)
{
	return stage->state == STAGE_ALIVE && run_stage_is_alive(stage) && stage->failure.status == 0;
}

void run_stage_tell(struct run_stage *stage, json_t *message)
{
	if (stage->control < 0) {
		json_decref(message);
		return;
	}
	(void)protocol_send(stage->control, message); /* a stage that is gone is noticed by its pidfd */
}

void run_stage_ask(struct run_stage *stage, const char *phase, uint64_t deadline_ns, json_t *more)
{
	json_t *message = json_pack("{s:s}", "op", phase);

	if (message != NULL && more != NULL) {
		json_object_update(message, more);
	}
	json_decref(more);
	stage->waiting = phase;
	stage->asked_ns = clock_now();
	stage->deadline_ns = deadline_ns > 0 && !stage->is_thread ? stage->asked_ns + deadline_ns : 0;
	run_stage_tell(stage, message);
}

void run_stage_quit(struct run_stage *stage)
{
	if (stage->is_quitting) {
		return;
	}
	stage->is_quitting = true;
	run_stage_ask(stage, "quit", 2 * NS_PER_SECOND, NULL);
}

void run_stage_fail(struct run_stage *stage, const char *phase, const struct pfc_error *err)
{
	if (stage->failure.status != 0) {
		return;
	}
	stage->failure = *err;
	if (phase != stage->failed_phase) { /* snprintf must not read what it writes */
		snprintf(stage->failed_phase, sizeof(stage->failed_phase), "%s", phase);
	}
}

void run_stage_kill(struct run_stage *stage)
{
	if (!run_stage_is_alive(stage)) {
		return;
	}
	stage->is_quitting = true;
	if (stage->is_thread) {
		close_fd(&stage->control); /* its host takes that as the end */
		return;
	}
	(void)syscall(SYS_pidfd_send_signal, stage->pidfd, stage->was_termed ? SIGKILL : SIGTERM, NULL, 0);
	stage->was_termed = true;
}

static void note_end(struct run_stage *stage)
{
	const char *phase = stage->waiting != NULL ? stage->waiting :
			    stage->has_run && !stage->run_ended ? "run" : "idle";
	struct pfc_error err;
	char why[160];

	if (WIFSIGNALED(stage->wait_status)) {
		int number = WTERMSIG(stage->wait_status);

		snprintf(why, sizeof(why), "the plugin's process was ended by SIG%s%s", sigabbrev_np(number) ?: "?",
			 WCOREDUMP(stage->wait_status) ? " (core dumped)" : "");
	} else {
		snprintf(why, sizeof(why), "the plugin's process ended by itself with exit code %d",
			 WEXITSTATUS(stage->wait_status));
	}
	error_set(&err, PFC_EPROTO, why, "%s of stage '%s'", phase, stage->plan->name);
	error_hint(&err, "logs/%s.log in the run folder, or --in-process %s under gdb", stage->plan->name,
		   stage->plan->name);
	run_stage_fail(stage, phase, &err);
}

/* As waitpid: 0 while it lives. */
static pid_t reap_thread(struct run_stage *stage)
{
	struct pollfd ended = { .fd = stage->pidfd, .events = POLLIN };

	if (poll(&ended, 1, 0) <= 0) {
		return 0;
	}
	pthread_join(stage->thread, NULL);
	return getpid();
}

bool run_stage_reap(struct run_stage *stage)
{
	pid_t ended;

	if (!run_stage_is_alive(stage)) {
		return stage->is_reaped;
	}
	ended = stage->is_thread ? reap_thread(stage) : waitpid(stage->pid, &stage->wait_status, WNOHANG);
	if (ended == 0 || (ended < 0 && errno == EINTR)) {
		return false;
	}
	stage->is_reaped = true;
	if (ended > 0 && (!stage->is_quitting || (stage->wait_status != 0 && !stage->was_termed))) {
		note_end(stage);
	}
	stage->waiting = NULL;
	stage->run_ended = true;
	close_fd(&stage->control);
	stage->state = stage->failure.status != 0 ? STAGE_FAILED : STAGE_DONE;
	return true;
}

const char *run_stage_state_name(const struct run_stage *stage)
{
	static const char *const names[] = { "planned", "running", "complete", "failed", "skipped" };

	return names[stage->state];
}

const char *run_output_state_name(const struct run_output *output)
{
	static const char *const names[] = { "planned", "writing", "complete", "partial", "failed", "absent" };

	return names[output->state];
}
