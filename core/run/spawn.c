/* SPDX-License-Identifier: MIT */
#include "run/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "artifact/artifact.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "plan/stored.h"
#include "stage/protocol.h"
#include "stage/sandbox.h"
#include "stage/stage_main.h"

#define REPORT_SECONDS   5
#define REPORT_BYTES_MAX (1u << 20)
/* A whole artifact is mapped; nothing else there is large. */
#define REPORT_ADDRESS_SPACE (64ull << 30)

/* Descriptors to hand over: `from` in the core, its place in the stage is given by order. */
struct handover {
	int *from;
	size_t count;
	size_t room;
	bool failed;
	bool is_thread; /* the stage lives in this process: descriptors keep their numbers */
};

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

/* ---- the spec ---- */

static int open_stored(const struct run *run, const struct plan_stored *stored, int *ret_fd, struct pfc_error *err)
{
	/* In a replay the stored files were linked into this run's folder. */
	return stored->folder == NULL ? rundir_open_file(run->dir, stored->path, ret_fd, err) :
					stored_open(stored->folder, stored->path, ret_fd, err);
}

static struct run_output *find_output(const struct run *run, const struct plan_output *plan)
{
	struct run_stage *stage = &run->stages[plan->stage->index];

	return &stage->outputs[plan - plan->stage->outputs];
}

static json_t *input_entry(const struct plan_input *input, const char *producer, const char *port, const char *type,
			   const char *signal, bool partial, int fd)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:i}", "port", input->port->name, "producer", producer,
			 "producer_port", port, "type", type, "signal", signal, "partial", partial, "fd", fd);
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
			json_array_append_new(inputs, input_entry(input, stored->producer, stored->port, stored->type,
								  stored->signal, stored->partial, hand_over(fds, fd)));
		}
		return rc;
	}
	const struct run_output *output = find_output(run, edge->output);

	if (output->state != OUTPUT_COMPLETE && output->state != OUTPUT_PARTIAL) {
		return 0; /* nothing there: a port that cannot do without has kept the stage from starting */
	}
	rc = rundir_open_file(run->dir, output->plan->path, &fd, err);
	if (rc == 0) {
		json_array_append_new(inputs, input_entry(input, output->plan->stage->name, output->plan->port->name,
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
			json_array_append_new(needs, json_pack("{s:s, s:s}", "port", input->port->name, "column", *need));
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
		json_array_append_new(outputs, json_pack("{s:s, s:s, s:s, s:i}", "port", output->plan->port->name, "type",
							 output->plan->port->type, "signal", output->plan->signal, "fd",
							 hand_over(fds, copy)));
	}
	json_object_set_new(spec, "outputs", outputs);
	return rc;
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
			    json_pack("{s:s, s:o, s:s, s:b, s:b, s:i, s:i}", "kind", target_kind(run->target), "name",
				      protocol_string(target_name(run->target), 1024), "cgroup", target_cgroup(run->target), "held", status.held,
				      "launched", str_equal(target_kind(run->target), "command"), "fd", plugin_fd,
				      "stacks_fd", stacks_fd));
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
	return run->stored != NULL ? protocol_int(json_object_get(run->stored, "window"), key) : (json_int_t)own;
}

static int build_spec(struct run *run, struct run_stage *stage, struct handover *fds, json_t **ret,
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
	spec = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:i, s:o, s:o}", "stage", plan->name, "plugin_path",
			 plan->manifest->path, "plugin_dir", dir, "run_id", run->dir->id, "run_name",
			 options_text(&run->plan->run, "name"), "kind", (int)plan->manifest->kind, "privileges",
			 (json_int_t)plan->manifest->privileges, "duration_ns", (json_int_t)run->duration_ns, "t0_ns",
			 window_time(run, "t0_ns", run->t0_ns), "t1_ns", window_time(run, "t1_ns", run->t1_ns), "stop_fd",
			 hand_over(fds, stop), "options", options_to_json(&plan->options), "metrics",
			 metric_names(plan->manifest));
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

static int write_spec(const json_t *spec, int *ret_fd, struct pfc_error *err)
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

/* ---- the process ---- */

/*
 * In the child, between fork and exec: nothing that allocates. Moves the descriptors to their places; all were first
 * lifted above the last place, so that no move overwrites one that is still to come.
 */
static void become_stage(const int *from, size_t count, int log_fd, pid_t core, const char *word)
{
	char *const argv[] = { (char *)"profcore", (char *)word, NULL };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != core) {
		_exit(127);
	}
	/* First: these two may stand where others belong. */
	dup2(null, STDIN_FILENO);
	dup2(log_fd, STDERR_FILENO);
	if (!str_equal(word, REPORT_COMMAND)) {
		dup2(log_fd, STDOUT_FILENO);
	}
	for (size_t i = 0; i < count; i++) {
		if (dup2(from[i], STAGE_FD_CONTROL + (int)i) < 0) {
			_exit(127);
		}
	}
	(void)syscall(SYS_close_range, STAGE_FD_CONTROL + (unsigned)count, ~0u, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int number = 1; number < NSIG; number++) {
		signal(number, SIG_DFL);
	}
	execv("/proc/self/exe", argv);
	_exit(127);
}

/* Lifts descriptors above the places of the stage. All are closed by the caller afterwards. */
static int lift(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int lifted = fcntl(fds[i], F_DUPFD_CLOEXEC, STAGE_FD_CONTROL + (int)count);

		if (lifted < 0) {
			return -errno;
		}
		close(fds[i]);
		fds[i] = lifted;
	}
	return 0;
}

static int open_log(const struct run *run, const char *stage)
{
	char *path = str_printf("logs/%s.log", stage);
	int fd = path == NULL ? -1 :
				openat(run->dir->fd, path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);

	free(path);
	return fd >= 0 ? fd : open("/dev/null", O_WRONLY | O_CLOEXEC);
}

/* fds[0] is the stage's end of the control socket, fds[1] the spec. */
static int start_process(const struct run *run, struct run_stage *stage, int *fds, size_t count, struct pfc_error *err)
{
	int log_fd = open_log(run, stage->plan->name);
	pid_t core = getpid();
	int errnum = -lift(fds, count);
	int rc = 0;

	if (errnum != 0 || log_fd < 0) {
		rc = error_errno(err, errnum != 0 ? errnum : errno, "start the process of stage '%s'", stage->plan->name);
		goto out;
	}
	stage->pid = fork();
	if (stage->pid == 0) {
		become_stage(fds, count, log_fd, core, STAGE_COMMAND);
	}
	if (stage->pid < 0) {
		rc = error_errno(err, errno, "start the process of stage '%s'", stage->plan->name);
		goto out;
	}
	stage->pidfd = (int)syscall(SYS_pidfd_open, stage->pid, 0);
	if (stage->pidfd < 0) {
		rc = error_errno(err, errno, "follow the process of stage '%s'", stage->plan->name);
		kill(stage->pid, SIGKILL);
		waitpid(stage->pid, NULL, 0);
		stage->pid = -1;
	}
out:
	if (log_fd >= 0) {
		close(log_fd);
	}
	return rc;
}

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fds[i] >= 0) {
			close(fds[i]);
		}
	}
}

/* What the thread of a stage needs; freed by it. */
struct stage_thread {
	int control;
	int spec;
	int ended;
};

static void *be_stage(void *arg)
{
	struct stage_thread *thread = arg;
	uint64_t one = 1;

	(void)stage_main(thread->control, thread->spec, false);
	close(thread->control);
	close(thread->spec);
	(void)!write(thread->ended, &one, sizeof(one));
	free(thread);
	return NULL;
}

/* The stage's descriptors are its own from here on; they stay open to the end of the run. */
static int start_thread(struct run_stage *stage, int control, int spec, struct pfc_error *err)
{
	struct stage_thread *thread = calloc(1, sizeof(*thread));

	stage->pidfd = eventfd(0, EFD_CLOEXEC);
	if (thread != NULL) {
		*thread = (struct stage_thread){ control, spec, stage->pidfd };
	}
	if (thread == NULL || stage->pidfd < 0 || pthread_create(&stage->thread, NULL, be_stage, thread) != 0) {
		free(thread);
		close_all((int[]){ control, spec }, 2);
		return error_nomem(err);
	}
	stage->is_thread = true;
	return 0;
}

/* control and spec are taken over, also on failure. */
static int start_stage(const struct run *run, struct run_stage *stage, const struct handover *fds, int control, int spec,
		       struct pfc_error *err)
{
	int *all;
	int rc;

	if (fds->is_thread) {
		return start_thread(stage, control, spec, err);
	}
	all = calloc(fds->count + 2, sizeof(*all));
	if (all == NULL) {
		close_all((int[]){ control, spec }, 2);
		close_all(fds->from, fds->count);
		return error_nomem(err);
	}
	all[0] = control;
	all[1] = spec;
	memcpy(all + 2, fds->from, fds->count * sizeof(*all));
	rc = start_process(run, stage, all, fds->count + 2, err);
	close_all(all, fds->count + 2);
	free(all);
	return rc;
}

int spawn_stage(struct run *run, struct run_stage *stage, struct pfc_error *err)
{
	const char *in_process = run->settings->in_process;
	struct handover fds = { .is_thread = in_process != NULL && str_equal(in_process, stage->plan->name) };
	int sockets[2] = { -1, -1 };
	json_t *spec = NULL;
	int spec_fd = -1;
	int rc = build_spec(run, stage, &fds, &spec, err);

	if (rc == 0 && fds.failed) {
		rc = error_nomem(err);
	}
	if (rc == 0) {
		rc = write_spec(spec, &spec_fd, err);
	}
	if (rc == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
		rc = error_errno(err, errno, "make a control socket");
	}
	if (rc == 0) {
		/* A stage that does not read must not be able to keep the core waiting in send(). */
		(void)fcntl(sockets[0], F_SETFL, O_NONBLOCK);
		stage->control = sockets[0];
		rc = start_stage(run, stage, &fds, sockets[1], spec_fd, err);
	} else {
		close_all(fds.from, fds.count);
		close_all(&spec_fd, 1);
	}
	if (rc == 0) {
		stage->state = STAGE_ALIVE;
		stage->waiting = "create";
		stage->asked_ns = clock_now();
		stage->deadline_ns = stage->is_thread ? 0 : stage->asked_ns + run->deadline_ns;
	} else {
		run_stage_fail(stage, "create", err);
		stage->state = STAGE_FAILED;
	}
	json_decref(spec);
	free(fds.from);
	return rc;
}

/* ---- reading back what a killed stage left ---- */

static size_t read_answer(int fd, pid_t pid, char *text, size_t room)
{
	uint64_t until = clock_now() + REPORT_SECONDS * NS_PER_SECOND;
	size_t bytes = 0;

	while (bytes < room) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_now();
		ssize_t got;

		if (now >= until || poll(&ready, 1, (int)((until - now) / NS_PER_MS) + 1) <= 0) {
			kill(pid, SIGKILL);
			return 0;
		}
		got = read(fd, text + bytes, room - bytes);
		if (got <= 0) {
			return bytes;
		}
		bytes += (size_t)got;
	}
	kill(pid, SIGKILL);
	return 0;
}

json_t *spawn_report(struct run *run, const struct run_output *output)
{
	int fds[2] = { -1, -1 };
	int answer[2] = { -1, -1 };
	char *text = malloc(REPORT_BYTES_MAX);
	json_t *report = NULL;
	pid_t core = getpid();
	size_t bytes = 0;
	int status = 0;
	pid_t pid;

	if (text == NULL || output->fd < 0 || pipe2(answer, O_CLOEXEC) < 0) {
		free(text);
		return NULL;
	}
	fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (rundir_open_file(run->dir, output->plan->path, &fds[1], NULL) == 0 && lift(fds, 2) == 0) {
		pid = fork();
		if (pid == 0) {
			dup2(answer[1], STDOUT_FILENO);
			become_stage(fds, 2, open("/dev/null", O_WRONLY | O_CLOEXEC), core, REPORT_COMMAND);
		}
		close(answer[1]);
		answer[1] = -1;
		if (pid > 0) {
			bytes = read_answer(answer[0], pid, text, REPORT_BYTES_MAX);
			waitpid(pid, &status, 0);
			report = status == 0 && bytes > 0 ? json_loadb(text, bytes, 0, NULL) : NULL;
		}
	}
	for (size_t i = 0; i < 2; i++) {
		close(fds[i]);
		if (answer[i] >= 0) {
			close(answer[i]);
		}
	}
	free(text);
	return report;
}

int spawn_report_main(void)
{
	struct artifact_about about = { "", "", "", "", true };
	struct artifact_reader *reader = NULL;
	struct pfc_error err;
	const char *missing;
	json_t *report;
	int rc;

#if !defined(__SANITIZE_ADDRESS__) /* its shadow alone is larger */
	struct rlimit memory = { REPORT_ADDRESS_SPACE, REPORT_ADDRESS_SPACE };

	(void)setrlimit(RLIMIT_AS, &memory);
#endif
	if (sandbox_enter(0, "/usr/lib", &missing, &err) < 0 ||
	    artifact_reader_open(STAGE_FD_SPEC, &about, &reader, &err) < 0) {
		return 1;
	}
	report = artifact_reader_report(reader);
	rc = report != NULL && json_dumpfd(report, STDOUT_FILENO, JSON_COMPACT) == 0 ? 0 : 1;
	json_decref(report);
	artifact_reader_close(reader);
	return rc;
}
