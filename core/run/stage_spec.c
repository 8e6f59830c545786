/* SPDX-License-Identifier: MIT */
#include "run/stage_spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/str.h"
#include "plan/stored.h"
#include "run/cache_folder.h"
#include "run/loop.h"
#include "run/run_target.h"
#include "stage/protocol.h"

/* The number that the descriptor will have in the stage. */
static int hand_over(struct handover *handover, int fd)
{
	if (handover->count == handover->room) {
		size_t room = handover->room > 0 ? handover->room * 2 : 16;
		int *grown = realloc(handover->from, room * sizeof(*grown));

		if (grown == NULL) {
			handover->failed = true;
			return -1;
		}
		handover->from = grown;
		handover->room = room;
	}
	handover->from[handover->count++] = fd;
	return handover->is_thread ? fd : STAGE_FD_FIRST + (int)handover->count - 1;
}

static int open_stored(const struct run *run, const struct plan_stored *stored, int *ret_fd,
		       struct pfc_error *err)
{
	/* In a replay the stored files were linked into this run's folder. */
	return stored->folder == NULL ? rundir_open_file(run->dir, stored->path, ret_fd, err)
				      : stored_open(stored->folder, stored->path, ret_fd, err);
}

static struct run_output *find_output(const struct run *run, const struct plan_output *plan)
{
	struct run_stage *stage = &run->stages[plan->stage->index];

	return &stage->outputs[plan - plan->stage->outputs];
}

static json_t *input_entry(const struct plan_input *input, const char *producer, const char *port,
			   const char *type, const char *signal, bool partial, int fd)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:i}", "port", input->port->name, "producer",
			 producer, "producer_port", port, "type", type, "signal", signal, "partial", partial,
			 "fd", fd);
}

static int add_input(struct run *run, const struct plan_input *input, const struct plan_edge *edge,
		     struct handover *fds, json_t *inputs, struct pfc_error *err)
{
	int fd = -1;
	int rc;

	if (edge->stored != NULL) {
		const struct plan_stored *stored = edge->stored;

		rc = open_stored(run, stored, &fd, err);
		if (rc == 0) {
			json_array_append_new(inputs, input_entry(input, stored->producer, stored->port,
								  stored->type, stored->signal,
								  stored->partial, hand_over(fds, fd)));
		}
		return rc;
	}
	const struct run_output *output = find_output(run, edge->output);

	if (output->state != OUTPUT_COMPLETE && output->state != OUTPUT_PARTIAL) {
		return 0; /* nothing there: a port that cannot do without has kept the stage from starting */
	}
	rc = rundir_open_file(run->dir, output->plan->path, &fd, err);
	if (rc == 0) {
		json_array_append_new(inputs,
				      input_entry(input, output->plan->stage->name, output->plan->port->name,
						  output->plan->port->type, output->plan->signal,
						  output->state == OUTPUT_PARTIAL, hand_over(fds, fd)));
	}
	return rc;
}

static int add_inputs(struct run *run, const struct plan_stage *plan, struct handover *fds, json_t *spec,
		      struct pfc_error *err)
{
	json_t *inputs = json_array();
	json_t *needs = json_array();
	int rc = 0;

	for (size_t i = 0; i < plan->input_count; i++) {
		const struct plan_input *input = &plan->inputs[i];

		for (size_t e = 0; rc == 0 && e < input->edge_count; e++) {
			rc = add_input(run, input, &input->edges[e], fds, inputs, err);
		}
		for (char **need = input->port->needs; *need != NULL; need++) {
			json_array_append_new(
				needs, json_pack("{s:s, s:s}", "port", input->port->name, "column", *need));
		}
	}
	json_object_set_new(spec, "inputs", inputs);
	json_object_set_new(spec, "needs", needs);
	return rc;
}

/* The core keeps its own descriptor of each output; the stage gets another of the same open file. */
static int add_outputs(struct run *run, struct run_stage *stage, struct handover *fds, json_t *spec,
		       struct pfc_error *err)
{
	json_t *outputs = json_array();
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < stage->plan->output_count; i++) {
		struct run_output *output = &stage->outputs[i];
		int copy;

		rc = rundir_create_file(run->dir, output->plan->path, &output->fd, err);
		if (rc < 0) {
			break;
		}
		output->state = OUTPUT_WRITING;
		copy = fcntl(output->fd, F_DUPFD_CLOEXEC, 0);
		if (copy < 0) {
			rc = error_errno(err, errno, "duplicate a descriptor");
			break;
		}
		json_array_append_new(outputs,
				      json_pack("{s:s, s:s, s:s, s:i}", "port", output->plan->port->name,
						"type", output->plan->port->type, "signal",
						output->plan->signal, "fd", hand_over(fds, copy)));
	}
	json_object_set_new(spec, "outputs", outputs);
	return rc;
}

/* For names of functions; -1: none. Who may not open files cannot use it. */
static int open_cache(struct run *run, bool may_open, struct handover *fds)
{
	const char *why = NULL;
	int fd = may_open && options_int(&run->plan->run, "cache") != 0 ? cache_folder_open(&why) : -1;

	if (why != NULL) {
		loop_log(run, PFC_LOG_WARNING, "core", why);
	}
	return fd >= 0 ? hand_over(fds, fd) : -1;
}

static int add_target(struct run *run, const struct plan_stage *plan, struct handover *fds, json_t *spec,
		      struct pfc_error *err)
{
	bool may_open = (plan->manifest->privileges & PRIVILEGE_TARGET_FILES) != 0;
	struct target_status status;
	int plugin_fd = -1;
	int stacks_fd = -1;
	int rc;

	if (run->target == NULL || !plan_is_measuring(plan)) {
		return 0;
	}
	rc = target_serve(run->target, may_open, &plugin_fd, err);
	if (rc < 0) {
		return rc;
	}
	plugin_fd = hand_over(fds, plugin_fd);
	rc = target_serve(run->target, may_open, &stacks_fd, err);
	if (rc < 0) {
		return rc;
	}
	stacks_fd = hand_over(fds, stacks_fd);
	target_status(run->target, &status);
	json_object_set_new(spec, "target",
			    json_pack("{s:s, s:o, s:o, s:b, s:b, s:i, s:i, s:i}", "kind", target_kind(run->target),
				      "name", protocol_string(target_name(run->target), 1024), "cgroup",
				      run_target_cgroup(run), "held", status.held, "launched",
				      str_equal(target_kind(run->target), "command"), "fd", plugin_fd,
				      "stacks_fd", stacks_fd, "cache_fd", open_cache(run, may_open, fds)));
	return 0;
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? strndup(path, slash > path ? (size_t)(slash - path) : 1) : strdup(".");
}

static json_t *metric_names(const struct manifest *manifest)
{
	json_t *names = json_array();

	for (size_t i = 0; i < manifest->metric_count; i++) {
		json_array_append_new(names, json_string(manifest->metrics[i].name));
	}
	return names;
}

/* The window that transforms look back on: this run's, or in a replay that of the stored one. */
static json_int_t window_time(const struct run *run, const char *key, uint64_t own)
{
	return run->stored != NULL ? protocol_int(json_object_get(run->stored, "window"), key)
				   : (json_int_t)own;
}

int stage_spec_build(struct run *run, struct run_stage *stage, struct handover *fds, json_t **ret,
		     struct pfc_error *err)
{
	const struct plan_stage *plan = stage->plan;
	bool is_driver = plan->manifest->kind == PLUGIN_DRIVER;
	int stop = fcntl(is_driver ? run->driver_stop_fd : run->stop_fd, F_DUPFD_CLOEXEC, 0);
	char *dir = folder_of(plan->manifest->path);
	json_t *spec = NULL;
	int rc = 0;

	if (stop < 0 || dir == NULL) {
		rc = error_errno(err, errno, "duplicate a descriptor");
		goto out;
	}
	spec = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:i, s:o, s:o}", "stage",
			 plan->name, "plugin_path", plan->manifest->path, "plugin_dir", dir, "run_id",
			 run->dir->id, "run_name", options_text(&run->plan->run, "name"), "kind",
			 (int)plan->manifest->kind, "privileges", (json_int_t)plan->manifest->privileges,
			 "duration_ns", (json_int_t)run->duration_ns, "t0_ns",
			 window_time(run, "t0_ns", run->t0_ns), "t1_ns",
			 window_time(run, "t1_ns", run->t1_ns), "stop_fd", hand_over(fds, stop), "options",
			 options_to_json(&plan->options), "metrics", metric_names(plan->manifest));
	if (spec == NULL) {
		rc = error_nomem(err);
		goto out;
	}
	rc = add_outputs(run, stage, fds, spec, err);
	if (rc == 0) {
		rc = add_inputs(run, plan, fds, spec, err);
	}
	if (rc == 0) {
		rc = add_target(run, plan, fds, spec, err);
	}
	if (rc == 0) {
		*ret = spec;
		spec = NULL;
	}
out:
	json_decref(spec);
	free(dir);
	return rc;
}

int stage_spec_write(const json_t *spec, int *ret_fd, struct pfc_error *err)
{
	char *text = json_dumps(spec, JSON_COMPACT);
	int fd = memfd_create("profcore-spec", MFD_CLOEXEC);
	size_t bytes = text != NULL ? strlen(text) : 0;
	int rc = 0;

	if (text == NULL) {
		rc = error_nomem(err);
	} else if (fd < 0 || write(fd, text, bytes) != (ssize_t)bytes) {
		rc = error_errno(err, errno, "write the stage's spec");
	}
	free(text);
	if (rc < 0) {
		if (fd >= 0) {
			close(fd);
		}
		return rc;
	}
	*ret_fd = fd;
	return 0;
}
