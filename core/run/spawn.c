/* SPDX-License-Identifier: MIT */
#include "run/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "run/report.h"
#include "run/stage_spec.h"
#include "stage/protocol.h"
#include "stage/stage_main.h"

/*
 * In the child, between fork and exec: nothing that allocates. Moves the descriptors to their places; all were first
 * lifted above the last place, so that no move overwrites one that is still to come.
 */
void spawn_become(const int *from, size_t count, int log_fd, pid_t core, const char *word)
{
	char *const argv[] = { (char *)"profcore", (char *)word, NULL };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != core) {
		_exit(127);
	}
	/* Ctrl-C on a terminal is for the core, which ends the window; it must not kill what measures. */
	(void)setpgid(0, 0);
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
int spawn_lift(int *fds, size_t count)
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
	int fd = path == NULL ? -1
			      : openat(run->dir->fd, path,
				       O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);

	free(path);
	return fd >= 0 ? fd : open("/dev/null", O_WRONLY | O_CLOEXEC);
}

/* fds[0] is the stage's end of the control socket, fds[1] the spec. */
static int start_process(const struct run *run, struct run_stage *stage, int *fds, size_t count,
			 struct pfc_error *err)
{
	int log_fd = open_log(run, stage->plan->name);
	pid_t core = getpid();
	int errnum = -spawn_lift(fds, count);
	int rc = 0;

	if (errnum != 0 || log_fd < 0) {
		rc = error_errno(err, errnum != 0 ? errnum : errno, "start the process of stage '%s'",
				 stage->plan->name);
		goto out;
	}
	stage->pid = fork();
	if (stage->pid == 0) {
		spawn_become(fds, count, log_fd, core, STAGE_COMMAND);
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
	if (thread == NULL || stage->pidfd < 0 ||
	    pthread_create(&stage->thread, NULL, be_stage, thread) != 0) {
		free(thread);
		close_all((int[]){ control, spec }, 2);
		return error_nomem(err);
	}
	stage->is_thread = true;
	return 0;
}

/* control and spec are taken over, also on failure. */
static int start_stage(const struct run *run, struct run_stage *stage, const struct handover *fds,
		       int control, int spec, struct pfc_error *err)
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
	int rc = stage_spec_build(run, stage, &fds, &spec, err);

	if (rc == 0 && fds.failed) {
		rc = error_nomem(err);
	}
	if (rc == 0) {
		rc = stage_spec_write(spec, &spec_fd, err);
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
