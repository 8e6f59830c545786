/* SPDX-License-Identifier: MIT */
#include "run/series.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "run/prune.h"
#include "run/remove.h"

struct series {
	const struct plan *plan;
	const struct run_settings *settings;
	const struct series_settings *how;
	const char *output;
	const char *name;
	int signal_fd;
	int lock_fd;
	unsigned signals; /* so far */
	uint64_t first_ns;
	uint64_t number;  /* of the run under way, from 1 */
	uint64_t skipped; /* turns */
	uint64_t complete;
	uint64_t without_target;
	uint64_t failed;
	struct run_outcome *outcome; /* shared with the process of a run */
};

/* ---- one run ---- */

static int be_run(struct series *series, uint64_t due_ns, pid_t core)
{
	struct run_settings settings = *series->settings;
	struct run_series of = { series->number, series->how->every_ns, due_ns };
	struct pfc_error err;
	int code = EXIT_CODE_FAILED;
	sigset_t none;

	/* Of its own group: Ctrl-C is for the series, which passes on what is meant for the run. */
	(void)setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != core) {
		return EXIT_CODE_ABANDONED;
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	close(series->signal_fd);
	settings.series = &of;
	settings.outcome = series->outcome;
	if (run_execute(series->plan, &settings, &code, &err) < 0) {
		log_failure(&err);
	}
	return code;
}

static void on_signal(struct series *series, pid_t pid)
{
	struct signalfd_siginfo info;

	while (read(series->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		series->signals++;
		if (pid <= 0) {
			continue;
		}
		if (series->signals == 1) {
			log_warning("ending after this run (once more to end its window now)");
		} else {
			(void)kill(pid, SIGINT);
		}
	}
}

/* Until the process has ended; its exit code. */
static int wait_for(struct series *series, pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int status = 0;

	for (;;) {
		struct pollfd fds[2] = { { .fd = pidfd, .events = POLLIN },
					 { .fd = series->signal_fd, .events = POLLIN } };

		(void)poll(fds, 2, pidfd >= 0 ? -1 : 100);
		if (fds[1].revents != 0) {
			on_signal(series, pid);
		}
		if (waitpid(pid, &status, WNOHANG) == pid) {
			break;
		}
	}
	if (pidfd >= 0) {
		close(pidfd);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_CODE_FAILED;
}

static void remove_empty(struct series *series)
{
	int fd = series->outcome->id[0] != '\0' ? open(series->output, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
						: -1;

	if (fd >= 0) {
		(void)run_remove_at(fd, series->outcome->id);
		run_remove_links(fd, series->outcome->id);
		close(fd);
	}
}

static void judge(struct series *series, int code)
{
	if (code == EXIT_CODE_OK || code == EXIT_CODE_GATE) {
		series->complete++;
	} else if (code == EXIT_CODE_TARGET && !series->outcome->has_data) {
		/* Nothing was measured: its folder would only push a good one out of those that are kept. */
		series->without_target++;
		remove_empty(series);
		log_warning("run %llu: no target, going on", (unsigned long long)series->number);
	} else {
		series->failed++;
		log_warning("run %llu ended with exit code %d, going on", (unsigned long long)series->number,
			    code);
	}
}

static int run_once(struct series *series, uint64_t due_ns)
{
	pid_t core = getpid();
	pid_t pid;
	int code = EXIT_CODE_FAILED;

	series->number++;
	memset(series->outcome, 0, sizeof(*series->outcome));
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		code = be_run(series, due_ns, core);
		fflush(NULL);
		_exit(code);
	}
	if (pid < 0) {
		log_error("start run %llu: %s", (unsigned long long)series->number, strerror(errno));
	} else {
		code = wait_for(series, pid);
	}
	judge(series, code);
	return code;
}

/* ---- the schedule ---- */

/* The next turn that has not come yet; what passed meanwhile is counted and said. */
static uint64_t next_due(struct series *series, uint64_t due_ns)
{
	uint64_t now = clock_now();
	uint64_t next = due_ns + series->how->every_ns;
	uint64_t missed = now > next ? (now - next + series->how->every_ns - 1) / series->how->every_ns : 0;

	if (missed > 0) {
		series->skipped += missed;
		log_warning("run %llu took %.1f s, longer than its turn of %.1f s: %llu skipped",
			    (unsigned long long)series->number, (double)(now - due_ns) / 1e9,
			    (double)series->how->every_ns / 1e9, (unsigned long long)missed);
	}
	return next + missed * series->how->every_ns;
}

static void wait_until(struct series *series, uint64_t due_ns)
{
	uint64_t now;

	while (series->signals == 0 && (now = clock_now()) < due_ns) {
		struct pollfd fd = { .fd = series->signal_fd, .events = POLLIN };
		struct timespec left = { .tv_sec = (time_t)((due_ns - now) / NS_PER_SECOND),
					 .tv_nsec = (long)((due_ns - now) % NS_PER_SECOND) };

		if (ppoll(&fd, 1, &left, NULL) > 0) {
			on_signal(series, 0);
		}
	}
}

static void prune(struct series *series)
{
	struct pfc_error err = { 0 };
	size_t removed;

	if (series->how->keep == 0) {
		return;
	}
	removed = prune_runs(series->output, series->name, series->how->keep, &err);
	if (err.status != 0) {
		log_failure(&err);
	}
	if (removed > 0) {
		log_info("%zu old run%s of %s removed", removed, removed == 1 ? "" : "s", series->name);
	}
}

static void say_end(const struct series *series)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "%llu runs: %llu complete, %llu failed, %llu without a target; %llu turns skipped",
		 (unsigned long long)series->number, (unsigned long long)series->complete,
		 (unsigned long long)series->failed, (unsigned long long)series->without_target,
		 (unsigned long long)series->skipped);
	if (!series->settings->is_json && !series->settings->is_quiet) {
		puts(text);
		fflush(stdout);
	} else {
		log_info("%s", text);
	}
}

static void carry_out(struct series *series, int *ret_exit)
{
	uint64_t due_ns = clock_now();

	series->first_ns = due_ns;
	while (series->signals == 0) {
		int code = run_once(series, due_ns);

		if (series->number == 1 && (code == EXIT_CODE_ENVIRONMENT || code == EXIT_CODE_USAGE)) {
			*ret_exit = code; /* so it would be every time */
			return;
		}
		prune(series);
		if (series->signals > 0) {
			break;
		}
		due_ns = next_due(series, due_ns);
		wait_until(series, due_ns);
	}
	*ret_exit = series->failed > 0 ? EXIT_CODE_FAILED : EXIT_CODE_OK;
	say_end(series);
}

/* ---- begin and end ---- */

static int block_signals(struct series *series, sigset_t *before, struct pfc_error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, before);
	series->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return series->signal_fd >= 0 ? 0 : error_errno(err, errno, "set up signals");
}

/* Two series of one name would remove each other's runs. The lock ends with the process, however that ends. */
static int lock(struct series *series, struct pfc_error *err)
{
	char *path = str_printf("%s/.series-%s.lock", series->output, series->name);
	int rc = 0;

	if (path == NULL) {
		return error_nomem(err);
	}
	for (char *at = path + strlen(series->output) + 1; *at != '\0'; at++) {
		*at = *at == '/' ? '_' : *at;
	}
	rc = rundir_make_folders(series->output, err);
	series->lock_fd = rc == 0 ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644) : -1;
	if (rc == 0 && series->lock_fd < 0) {
		rc = error_errno(err, errno, "open %s", path);
		error_hint(err, "another folder: --set run.output=FOLDER");
	} else if (rc == 0 && flock(series->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		rc = error_set(err, PFC_EAGAIN, "a series of that name is at work in this folder", "lock %s",
			       path);
		error_hint(err,
			   "another name: --set run.name=NAME, or another folder: --set run.output=FOLDER");
	}
	free(path);
	return rc;
}

static int check(const struct series *series, struct pfc_error *err)
{
	uint64_t duration = (uint64_t)options_int(&series->plan->run, "duration");

	if (series->how->every_ns < duration) {
		error_set(err, PFC_EINVAL, "a window is longer than its turn: each run would overrun",
			  "--every %.3gs, run.duration %.3gs", (double)series->how->every_ns / 1e9,
			  (double)duration / 1e9);
		return error_hint(err, "--every %.3gs or more, or a shorter --set run.duration",
				  (double)duration / 1e9);
	}
	return 0;
}

int series_execute(const struct plan *plan, const struct run_settings *settings,
		   const struct series_settings *how, int *ret_exit, struct pfc_error *err)
{
	struct series series = { .plan = plan,
				 .settings = settings,
				 .how = how,
				 .output = options_text(&plan->run, "output"),
				 .name = options_text(&plan->run, "name"),
				 .signal_fd = -1,
				 .lock_fd = -1 };
	sigset_t before;
	int rc = check(&series, err);

	if (rc < 0) {
		return rc;
	}
	series.outcome = mmap(NULL, sizeof(*series.outcome), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (series.outcome == MAP_FAILED) {
		return error_nomem(err);
	}
	rc = block_signals(&series, &before, err);
	if (rc == 0) {
		rc = lock(&series, err);
	}
	if (rc == 0) {
		carry_out(&series, ret_exit);
	}
	if (series.lock_fd >= 0) {
		close(series.lock_fd);
	}
	if (series.signal_fd >= 0) {
		close(series.signal_fd);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	munmap(series.outcome, sizeof(*series.outcome));
	return rc;
}
