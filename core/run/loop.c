/* SPDX-License-Identifier: MIT */
#include "run/loop.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "run/progress.h"
#include "run/run_target.h"
#include "run/settle.h"
#include "stage/protocol.h"

/* From SIGTERM to SIGKILL for a stage that does not keep its deadline. */
#define KILL_AFTER_NS   NS_PER_SECOND
/* Packets of one stage taken in a row, so that one that floods us does not starve the others. */
#define PACKETS_IN_TURN 64
/* Packets that an ended stage's socket can still hold; a child of the plugin may go on filling it. */
#define PACKETS_AT_END  4096
#define GATES_MAX       1000
#define GATE_BYTES_MAX  4000
#define ENV_MAX         256
/* Past what the stage's host lets through (stage/host.c): only a plugin that bypasses it gets here. */
#define LOG_LINES_MAX   4000
#define WAIT_MAX_NS     (100 * NS_PER_MS)

void loop_log(struct run *run, int level, const char *origin, const char *text)
{
	static const char *const words[] = { "", "error", "warning", "info", "debug", "notice" };
	char safe[4200];

	if (run->notes != NULL) {
		json_array_append_new(run->notes, json_pack("{s:s, s:i, s:o}", "stage", origin, "level", level, "text",
							    protocol_string(text, sizeof(safe))));
		return;
	}
	log_line(level, origin, text);
	if (run->log != NULL) {
		fprintf(run->log, "%10.3f %-7s %s: %s\n", (double)(clock_now() - run->began_ns) / 1e9,
			words[level >= 0 && level <= PFC_LOG_NOTICE ? level : 0], origin, log_escape(safe, sizeof(safe), text));
		fflush(run->log);
	}
}

/* ---- what a stage says ---- */

/* The failure that a message tells of; a status that no plugin can have is one of the protocol. */
static void take_failure(struct run *run, struct run_stage *stage, const char *phase, const json_t *message)
{
	int64_t status = protocol_int(message, "status");
	struct pfc_error err;

	error_set(&err, status >= PFC_ELOST ? (int)status : PFC_EPROTO, protocol_text(message, "why"), "%s",
		  protocol_text(message, "what"));
	error_hint(&err, "%s", protocol_text(message, "hint"));
	settle_failure(run, stage, phase, &err);
}

static void on_done(struct run *run, struct run_stage *stage, const json_t *message)
{
	const char *phase = protocol_text(message, "phase");
	bool has_failed = protocol_int(message, "status") < 0;
	uint64_t now = clock_now();
	uint64_t at = (uint64_t)protocol_int(message, "at");

	/* Nobody asked, or it comes too late: who was told to quit, or sent a signal, has only its end left, with a deadline. */
	if (stage->waiting == NULL || stage->is_quitting || !str_equal(stage->waiting, phase)) {
		return;
	}
	stage->waiting = NULL;
	stage->deadline_ns = 0;
	at = at >= stage->asked_ns && at <= now ? at : now;
	if (has_failed) {
		take_failure(run, stage, phase, message);
	}
	if (str_equal(phase, "start") && !has_failed) {
		stage->started_ns = at;
		stage->has_run = true;
	} else if (str_equal(phase, "stop")) {
		stage->stopped_ns = at;
	}
}

static void on_ran(struct run *run, struct run_stage *stage, const json_t *message)
{
	stage->run_ended = true;
	if (protocol_int(message, "status") < 0) {
		take_failure(run, stage, "run", message);
	}
}

static void on_metrics(struct run_stage *stage, const json_t *message)
{
	const struct manifest *manifest = stage->plan->manifest;

	for (size_t i = 0; i < manifest->metric_count; i++) {
		const json_t *value = json_object_get(json_object_get(message, "values"), manifest->metrics[i].name);

		if (json_is_number(value)) {
			stage->metrics[i] = json_number_value(value);
		}
	}
}

static void on_output(struct run_stage *stage, const json_t *message)
{
	for (size_t i = 0; i < stage->plan->output_count; i++) {
		struct run_output *output = &stage->outputs[i];

		if (str_equal(output->plan->port->name, protocol_text(message, "port")) &&
		    json_is_object(json_object_get(message, "report"))) {
			json_decref(output->report);
			output->report = json_incref(json_object_get(message, "report"));
			output->is_sealed = json_is_true(json_object_get(message, "sealed"));
		}
	}
}

static void on_gate(struct run *run, struct run_stage *stage, const json_t *message)
{
	int64_t verdict = protocol_int(message, "verdict");
	struct pfc_error err;

	if (json_array_size(stage->gates) >= GATES_MAX) { /* the one that is dropped could be the one that fails */
		error_set(&err, PFC_EPROTO, "more gates than a run can hold", "gate of stage '%s'", stage->plan->name);
		settle_failure(run, stage, "run", &err);
		return;
	}
	if (verdict < PFC_GATE_PASS || verdict > PFC_GATE_INCONCLUSIVE) {
		verdict = PFC_GATE_INCONCLUSIVE;
	}
	json_array_append_new(stage->gates,
			      json_pack("{s:s, s:o, s:i, s:o}", "stage", stage->plan->name, "expression",
					protocol_string(protocol_text(message, "expression"), GATE_BYTES_MAX), "verdict",
					(int)verdict, "detail",
					protocol_string(protocol_text(message, "detail"), GATE_BYTES_MAX)));
}

/* Set in the target before its exec, so the name must be one, and both texts. */
static void on_env(struct run *run, struct run_stage *stage, const json_t *message)
{
	const char *name = protocol_text(message, "name");
	json_t *value = json_object_get(message, "value");
	struct pfc_error err;

	if (stage->waiting == NULL || name[0] == '\0' || strchr(name, '=') != NULL || !json_is_string(value)) {
		return;
	}
	if (json_object_size(stage->env) >= ENV_MAX) {
		error_set(&err, PFC_EPROTO, "more environment variables than a target is given", "target_env of stage '%s'",
			  stage->plan->name);
		settle_failure(run, stage, stage->waiting, &err);
		return;
	}
	json_object_set(stage->env, name, value);
}

static void on_log(struct run *run, struct run_stage *stage, const json_t *message)
{
	int64_t level = protocol_int(message, "level");

	if (stage->log_lines++ < LOG_LINES_MAX) {
		loop_log(run, level >= PFC_LOG_ERROR && level <= PFC_LOG_NOTICE ? (int)level : PFC_LOG_INFO, stage->plan->name,
			 protocol_text(message, "text"));
	}
}

static void on_pids(struct run *run, struct run_stage *stage)
{
	json_t *list = json_array();
	struct pfc_error err;
	int32_t *pids = NULL;
	uint32_t count = 0;

	if (run->target != NULL && target_pids(run->target, &pids, &count, &err) == 0) {
		for (uint32_t i = 0; i < count; i++) {
			json_array_append_new(list, json_integer(pids[i]));
		}
	}
	free(pids);
	run_stage_tell(stage, json_pack("{s:s, s:o, s:o}", "op", "pids", "pids", list, "cgroup",
					run_target_cgroup(run)));
}

static void on_message(struct run *run, struct run_stage *stage, const json_t *message)
{
	const char *op = protocol_op(message);

	if (str_equal(op, "done")) {
		on_done(run, stage, message);
	} else if (str_equal(op, "ran")) {
		on_ran(run, stage, message);
	} else if (str_equal(op, "metrics")) {
		on_metrics(stage, message);
	} else if (str_equal(op, "output")) {
		on_output(stage, message);
	} else if (str_equal(op, "log")) {
		on_log(run, stage, message);
	} else if (str_equal(op, "gate")) {
		on_gate(run, stage, message);
	} else if (str_equal(op, "pids")) {
		on_pids(run, stage);
	} else if (str_equal(op, "env")) {
		on_env(run, stage, message);
	}
}

/* The socket has ended, or holds what no stage host writes: the plugin has meddled with it, or the process is ending. */
static void on_broken_socket(struct run *run, struct run_stage *stage, int status)
{
	struct pfc_error err;

	close(stage->control);
	stage->control = -1;
	if (run_stage_reap(stage)) {
		settle_end(run, stage);
		return;
	}
	if (stage->is_quitting) {
		return;
	}
	/* A process that ends closes its socket just before it can be reaped: give it that moment. */
	if (status == PFC_EIO) {
		struct pollfd ended = { .fd = stage->pidfd, .events = POLLIN };

		if (poll(&ended, 1, 200) > 0) {
			return;
		}
	}
	error_set(&err, PFC_EPROTO,
		  status == PFC_EIO ? "the plugin closed the host's control socket" :
				      "the plugin wrote into the host's control socket",
		  "%s of stage '%s'", stage->waiting != NULL ? stage->waiting : "run", stage->plan->name);
	settle_failure(run, stage, stage->waiting != NULL ? stage->waiting : "run", &err);
	run_stage_kill(stage);
	run_stage_kill(stage);
}

static void read_stage(struct run *run, struct run_stage *stage, int packets)
{
	for (int i = 0; i < packets && stage->control >= 0; i++) {
		json_t *message = NULL;
		int rc = protocol_receive(stage->control, false, &message);

		if (rc == PFC_EAGAIN || rc == PFC_ENOMEM) {
			return;
		}
		if (rc < 0) {
			on_broken_socket(run, stage, rc);
			return;
		}
		on_message(run, stage, message);
		json_decref(message);
	}
}

/* ---- deadlines, signals ---- */

static void check_deadline(struct run *run, struct run_stage *stage, uint64_t now)
{
	struct pfc_error err;
	char why[160];

	if (!run_stage_is_alive(stage) || stage->deadline_ns == 0 || now < stage->deadline_ns) {
		return;
	}
	if (!stage->was_termed && !(stage->is_quitting && stage->failure.status != 0)) {
		/* Who is asked to stop and does not come back from run hangs in run. */
		bool in_run = stage->waiting == NULL || (stage->has_run && !stage->run_ended && str_equal(stage->waiting, "stop"));
		const char *phase = in_run ? "run" : stage->waiting;

		snprintf(why, sizeof(why), "no answer within %.1f s: it hangs, or needs more time",
			 (double)(now - stage->asked_ns) / 1e9);
		error_set(&err, PFC_ETIMEDOUT, why, "%s of stage '%s'", phase, stage->plan->name);
		error_hint(&err, "--set run.deadline=60s if it only needs more time");
		settle_failure(run, stage, phase, &err);
	}
	run_stage_kill(stage);
	stage->deadline_ns = now + KILL_AFTER_NS;
}

static void on_signal(struct run *run)
{
	struct signalfd_siginfo info;

	while (read(run->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			continue;
		}
		run->interrupts++;
		if (run->interrupts > 1 || run->phase < PHASE_WINDOW) {
			run->is_abandoned = true;
			loop_log(run, PFC_LOG_WARNING, "core", "interrupted, giving the run up");
		} else {
			loop_log(run, PFC_LOG_WARNING, "core",
				 "interrupted: ending the window now, the report still comes (once more to give up)");
		}
	}
}

/* ---- the loop ---- */

static struct timespec time_left(const struct run *run, uint64_t until_ns)
{
	uint64_t now = clock_now();
	uint64_t next = now + WAIT_MAX_NS;

	if (until_ns != 0 && until_ns < next) {
		next = until_ns;
	}
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		const struct run_stage *stage = &run->stages[i];

		if (run_stage_is_alive(stage) && stage->deadline_ns != 0 && stage->deadline_ns < next) {
			next = stage->deadline_ns;
		}
	}
	next = next > now ? next - now : 0;
	return (struct timespec){ .tv_sec = (time_t)(next / NS_PER_SECOND), .tv_nsec = (long)(next % NS_PER_SECOND) };
}

static void handle_stage(struct run *run, struct run_stage *stage, const struct pollfd *control, const struct pollfd *pid)
{
	if (control->revents != 0 && pid->revents == 0) {
		read_stage(run, stage, PACKETS_IN_TURN);
	}
	if (pid->revents != 0 && run_stage_is_alive(stage)) {
		/* What it said before it ended comes first. */
		read_stage(run, stage, PACKETS_AT_END);
		if (run_stage_is_alive(stage) && run_stage_reap(stage)) {
			settle_end(run, stage);
		}
	}
}

void loop_step(struct run *run, uint64_t until_ns)
{
	size_t stage_count = run->plan->stage_count;
	struct pollfd *fds = calloc(2 * stage_count + 2, sizeof(*fds));
	struct timespec left = time_left(run, until_ns);
	int ready;

	if (fds == NULL) {
		run->is_abandoned = true;
		return;
	}
	for (size_t i = 0; i < stage_count; i++) {
		bool alive = run_stage_is_alive(&run->stages[i]);

		fds[2 * i] = (struct pollfd){ .fd = alive ? run->stages[i].control : -1, .events = POLLIN };
		fds[2 * i + 1] = (struct pollfd){ .fd = alive ? run->stages[i].pidfd : -1, .events = POLLIN };
	}
	fds[2 * stage_count] = (struct pollfd){ .fd = run->signal_fd, .events = POLLIN };
	/* Only the window waits for the target's end; elsewhere it would keep the loop from sleeping. */
	fds[2 * stage_count + 1] = (struct pollfd){
		.fd = run->target != NULL && run->phase == PHASE_WINDOW && run->end_reason == NULL ?
			      target_exit_fd(run->target) :
			      -1,
		.events = POLLIN,
	};
	ready = ppoll(fds, 2 * stage_count + 2, &left, NULL);
	for (size_t i = 0; ready > 0 && i < stage_count; i++) {
		handle_stage(run, &run->stages[i], &fds[2 * i], &fds[2 * i + 1]);
	}
	if (ready > 0 && fds[2 * stage_count].revents != 0) {
		on_signal(run);
	}
	if (ready > 0 && fds[2 * stage_count + 1].revents != 0) {
		run->end_reason = "target exited";
	}
	for (size_t i = 0; i < stage_count; i++) {
		check_deadline(run, &run->stages[i], clock_now());
	}
	if (run->phase == PHASE_WINDOW && run->t0_ns > 0) {
		progress_update(run->progress);
	}
	free(fds);
}

static bool is_answer_owed(const struct run *run)
{
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		if (run_stage_is_alive(&run->stages[i]) && run->stages[i].waiting != NULL) {
			return true;
		}
	}
	return false;
}

void loop_wait_answers(struct run *run)
{
	while (!run->is_abandoned && is_answer_owed(run)) {
		loop_step(run, 0);
	}
}
