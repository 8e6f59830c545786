/* SPDX-License-Identifier: MIT */
#include "stage/stage_main.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <profcore/plugin.h>

#include "base/str.h"
#include "stage/host.h"
#include "stage/load.h"
#include "stage/protocol.h"
#include "stage/sandbox.h"

#define METRICS_PERIOD_MS 200
#define COMMANDS_MAX      16

/* Commands wait here for the main thread; the control thread puts them in. */
struct command_queue {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	json_t *items[COMMANDS_MAX];
	size_t count;
	bool is_closed;
};

struct stage {
	struct spec spec;
	int control;
	struct stage_host *host;
	struct pfc_plugin plugin;
	void *self;
	bool has_failed;
	struct command_queue commands;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- control thread ---- */

static void queue_push(struct command_queue *queue, json_t *command)
{
	pthread_mutex_lock(&queue->lock);
	if (command == NULL) {
		queue->is_closed = true;
	} else if (queue->count < COMMANDS_MAX) {
		queue->items[queue->count++] = command;
	} else {
		json_decref(command); /* the core never has more than one under way */
	}
	pthread_cond_signal(&queue->filled);
	pthread_mutex_unlock(&queue->lock);
}

/* NULL when the core has gone. */
static json_t *queue_pop(struct command_queue *queue)
{
	json_t *command = NULL;

	pthread_mutex_lock(&queue->lock);
	while (queue->count == 0 && !queue->is_closed) {
		pthread_cond_wait(&queue->filled, &queue->lock);
	}
	if (queue->count > 0) {
		command = queue->items[0];
		memmove(queue->items, queue->items + 1, --queue->count * sizeof(queue->items[0]));
	}
	pthread_mutex_unlock(&queue->lock);
	return command;
}

static void take_message(struct stage *stage, json_t *message)
{
	const char *op = protocol_op(message);

	if (str_equal(op, "pids")) {
		stage_host_set_pids(stage->host, json_object_get(message, "pids"),
				    protocol_text(message, "cgroup"));
		json_decref(message);
		return;
	}
	if (str_equal(op, "window")) {
		stage_host_set_t0(stage->host, (uint64_t)protocol_int(message, "t0"));
		json_decref(message);
		return;
	}
	if (str_equal(op, "start")) {
		stage_host_set_t0(stage->host, (uint64_t)protocol_int(message, "t0"));
	}
	if (str_equal(op, "stop")) {
		stage_host_set_t1(stage->host, (uint64_t)protocol_int(message, "t1"));
	}
	queue_push(&stage->commands, message);
}

static void *control_thread(void *arg)
{
	struct stage *stage = arg;

	for (;;) {
		struct pollfd ready = { .fd = stage->control, .events = POLLIN };
		json_t *message;
		int rc;

		if (poll(&ready, 1, METRICS_PERIOD_MS) <= 0) {
			stage_host_send_metrics(stage->host);
			continue;
		}
		rc = protocol_receive(stage->control, true, &message);
		if (rc == PFC_EIO) {
			queue_push(&stage->commands, NULL);
			return NULL;
		}
		if (rc == 0) {
			bool is_last = str_equal(protocol_op(message), "quit");

			take_message(stage, message);
			if (is_last) {
				return NULL;
			}
		}
	}
}

/* ---- phases ---- */

static void send_done(struct stage *stage, const char *op, const char *phase, int status, const struct pfc_error *err)
{
	json_t *message = json_pack("{s:s, s:s, s:i, s:I}", "op", op, "phase", phase, "status", status, "at",
				    (json_int_t)now_ns());

	if (status < 0 && message != NULL) {
		json_object_set_new(message, "what", protocol_string(err->what, sizeof(err->what)));
		json_object_set_new(message, "why", protocol_string(err->why, sizeof(err->why)));
		json_object_set_new(message, "hint", protocol_string(err->hint, sizeof(err->hint)));
	}
	(void)stage_host_send(stage->host, message);
}

/* Makes a status out of what a callback returned and what it told the host. */
static int judge(struct stage *stage, const char *phase, int status, struct pfc_error *err)
{
	if (stage_host_take_failure(stage->host, err)) {
		return status < 0 ? err->status : 0;
	}
	if (status < 0) {
		bool is_known = status >= PFC_ELOST;
		char why[96];

		snprintf(why, sizeof(why), is_known ? "the plugin gave no reason (%d, %s)" : "the plugin returned %d (%s)", status,
			 is_known ? error_status_name(status) : "no known status");
		return error_set(err, is_known ? status : PFC_EPROTO, why, "%s", phase);
	}
	return 0;
}

static int call(struct stage *stage, const char *phase, int32_t (*callback)(void *self), struct pfc_error *err)
{
	return judge(stage, phase, callback != NULL ? callback(stage->self) : 0, err);
}

static void report(struct stage *stage, const char *phase, int status, const struct pfc_error *err)
{
	stage->has_failed = stage->has_failed || status < 0;
	send_done(stage, "done", phase, status, err);
}

static void run_window(struct stage *stage)
{
	struct pfc_error err = { 0 };
	int status = call(stage, "run", stage->plugin.run, &err);

	stage->has_failed = stage->has_failed || status < 0;
	stage_host_send_metrics(stage->host);
	send_done(stage, "ran", "run", status, &err);
}

/* finish and process: the outputs are closed whatever the plugin said, so that nothing that was kept is lost. */
static void close_outputs(struct stage *stage, const char *phase, int status, struct pfc_error *err)
{
	struct pfc_error why;
	int closed = stage_host_close_outputs(stage->host, status == 0 && !stage->has_failed, &why);

	if (status == 0 && closed < 0) {
		status = closed;
		*err = why;
	}
	stage_host_send_metrics(stage->host);
	report(stage, phase, status, err);
}

static void serve(struct stage *stage, const json_t *command)
{
	const char *op = protocol_op(command);
	struct pfc_error err = { 0 };

	if (str_equal(op, "probe")) {
		report(stage, op, call(stage, op, stage->plugin.probe, &err), &err);
	} else if (str_equal(op, "prepare")) {
		report(stage, op, call(stage, op, stage->plugin.prepare, &err), &err);
	} else if (str_equal(op, "start")) {
		uint64_t t0 = (uint64_t)protocol_int(command, "t0");
		int status = stage->plugin.start != NULL ? stage->plugin.start(stage->self, t0) : 0;

		status = judge(stage, op, status, &err);
		report(stage, op, status, &err);
		if (status == 0) {
			run_window(stage);
		}
	} else if (str_equal(op, "stop")) {
		uint64_t t1 = (uint64_t)protocol_int(command, "t1");
		bool has_stop = stage->plugin.stop != NULL && !stage->has_failed;
		int status = has_stop ? stage->plugin.stop(stage->self, t1) : 0;

		report(stage, op, judge(stage, op, status, &err), &err);
	} else if (str_equal(op, "finish")) {
		int status = call(stage, op, stage->has_failed ? NULL : stage->plugin.finish, &err);

		stage_host_mark_restarts(stage->host, json_object_get(command, "restarts"));
		close_outputs(stage, op, status, &err);
	} else if (str_equal(op, "process")) {
		close_outputs(stage, op, call(stage, op, stage->plugin.process, &err), &err);
	}
}

static int confine(struct stage *stage, struct pfc_error *err)
{
	const struct pfc_host *face = stage_host_face(stage->host);
	const char *missing;
	char text[160];
	int rc = sandbox_enter(stage->spec.privileges, stage->spec.plugin_dir, &missing, err);

	if (rc == 0 && missing[0] != '\0') {
		snprintf(text, sizeof(text), "the stage is less confined than it should be: no %s", missing);
		face->log(face->ctx, PFC_LOG_INFO, text);
	}
	return rc;
}

static int begin(struct stage *stage, struct pfc_error *err)
{
	int rc = load_plugin(stage->spec.plugin_path, stage_host_face(stage->host), &stage->plugin, err);

	if (rc < 0 || stage->plugin.create == NULL) {
		return rc;
	}
	return judge(stage, "create", stage->plugin.create(stage_host_face(stage->host), &stage->self), err);
}

int stage_main(int control, int spec_fd, bool is_confined)
{
	struct stage stage = { .control = control,
			       .commands = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, { NULL }, 0, false } };
	struct pfc_error err = { 0 };
	json_t *command = NULL;
	pthread_t thread;
	int rc;

	if (spec_read(spec_fd, &stage.spec, &err) < 0) {
		return 1; /* the core sees the process end before it said anything */
	}
	if (stage_host_create(&stage.spec, control, &stage.host, &err) < 0) {
		(void)protocol_send(control, json_pack("{s:s, s:s, s:i, s:s, s:s}", "op", "done", "phase", "create", "status",
						       err.status, "what", err.what, "why", err.why));
		spec_finish(&stage.spec);
		return 1;
	}
	/* Before any thread: the sandbox holds for the one that puts it on, and for those that it makes. */
	rc = is_confined ? confine(&stage, &err) : 0;
	if (pthread_create(&thread, NULL, control_thread, &stage) != 0) {
		stage_host_destroy(stage.host);
		spec_finish(&stage.spec);
		return 1;
	}
	rc = rc == 0 ? begin(&stage, &err) : rc;
	report(&stage, "create", rc, &err);
	while ((command = queue_pop(&stage.commands)) != NULL && !str_equal(protocol_op(command), "quit")) {
		serve(&stage, command);
		json_decref(command);
	}
	json_decref(command);
	if (stage.plugin.destroy != NULL) {
		stage.plugin.destroy(stage.self);
	}
	pthread_join(thread, NULL);
	stage_host_destroy(stage.host);
	spec_finish(&stage.spec);
	return 0;
}
