/* SPDX-License-Identifier: MIT */
/* Looking at other processes, as the tracker and a stage with the privilege `ptrace` do. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "config/manifest.h"
#include "doctor/check.h"
#include "doctor/trial.h"
#include "target/procfs.h"

#define AREA "processes"
/* Processes of others that are looked at. */
#define TRIED_MAX 64u

/* Whether the mappings and the root of a process can be read. Returns 0 or an errno. */
static int look_at(int32_t pid)
{
	char path[64];
	char text[64];
	ssize_t maps = procfs_read(text, sizeof(text), "/proc/%d/maps", (int)pid);
	int root;

	if (maps < 0) {
		return (int)-maps;
	}
	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) {
		return errno;
	}
	close(root);
	return 0;
}

/* Of another user; as root, of anybody: a stage with few capabilities is refused even those of its own user that have more. */
static bool is_others(const struct facts *facts, int32_t pid)
{
	struct stat stat_buf;
	struct proc_stat stat;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return pid != 1 && procfs_stat(pid, &stat) == 0 && !stat.kernel_thread && stat.state != 'Z' &&
	       stat.ppid != getppid() && lstat(path, &stat_buf) == 0 &&
	       (facts->is_root || stat_buf.st_uid != geteuid());
}

static void try_others(const struct facts *facts, json_t *checks)
{
	char remedy[256];
	char why[256];
	int32_t *pids = NULL;
	size_t count = 0;
	size_t tried = 0;
	size_t seen = 0;
	int errnum = 0;

	if (procfs_numbers("/proc", &pids, &count) < 0) {
		return;
	}
	for (size_t i = 0; i < count && tried < TRIED_MAX; i++) {
		if (pids[i] != getpid() && pids[i] != getppid() && is_others(facts, pids[i])) {
			int one = look_at(pids[i]);

			tried += one != ENOENT && one != ESRCH; /* it may end meanwhile */
			seen += one == 0;
			errnum = one != 0 && one != ENOENT && one != ESRCH ? one : errnum;
		}
	}
	free(pids);
	if (2 * seen > tried || tried == 0) { /* a few may be equals that another test or user runs */
		check_add(checks, AREA, "of others", VERDICT_WORKS, "",
			  "mappings and files of %zu of %zu can be read", seen, tried);
	} else {
		facts_explain(facts, errnum, CAP_SYS_PTRACE, "SYS_PTRACE", NULL, why, sizeof(why), remedy,
			      sizeof(remedy));
		check_add(checks, AREA, "of others", VERDICT_DEGRADED, remedy,
			  "only our own user's processes can be profiled with names: %s", why);
	}
}

static void try_namespace(const struct facts *facts, json_t *checks)
{
	if (facts->has_pid_namespace) {
		check_add(checks, AREA, "of the machine", VERDICT_DEGRADED,
			  "docker run --pid host ... (Compose: pid: host)",
			  "not seen from here, this is a pid namespace of its own: only what runs in it can "
			  "be profiled");
	}
}

static void be_traced(void)
{
	for (;;) {
		pause();
	}
}

static void try_ptrace(const struct facts *facts, json_t *checks)
{
	pid_t pid = fork();
	char remedy[256];
	char why[256];
	int status;
	long rc;

	if (pid == 0) {
		be_traced();
	}
	if (pid < 0) {
		check_add(checks, AREA, "tracing (ptrace)", VERDICT_DEGRADED, "",
			  "no process could be started: %s", strerror(errno));
		return;
	}
	rc = ptrace(PTRACE_SEIZE, pid, NULL, NULL);
	if (rc == 0) {
		rc = ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	}
	if (rc == 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		bool any = facts_has(facts, CAP_SYS_PTRACE) || facts->ptrace_scope == 0 ||
			   facts->ptrace_scope == FACTS_UNKNOWN;

		check_add(checks, AREA, "tracing (ptrace)", any ? VERDICT_WORKS : VERDICT_DEGRADED,
			  any ? "" : "sudo sysctl kernel.yama.ptrace_scope=0", "%s",
			  any ? "attached to a process and let go of it"
			      : "only what profcore launches itself: kernel.yama.ptrace_scope is on");
	} else {
		facts_explain(facts, errno, CAP_SYS_PTRACE, "SYS_PTRACE", NULL, why, sizeof(why), remedy,
			      sizeof(remedy));
		check_add(checks, AREA, "tracing (ptrace)", VERDICT_DEGRADED, remedy,
			  "not even a child of ours: %s", why);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* hidepid on /proc: processes of others are not even listed. */
static void try_listing(const struct facts *facts, json_t *checks)
{
	char text[16384];
	const char *line;
	const char *hide = NULL;

	if (procfs_read(text, sizeof(text), "/proc/self/mountinfo") > 0) {
		line = strstr(text, " - proc ");
		hide = line != NULL ? strstr(line, "hidepid=") : NULL;
		if (hide != NULL && (strchr(line, '\n') == NULL || hide < strchr(line, '\n')) &&
		    hide[8] != '0' && !str_starts(hide, "hidepid=off") && !facts_has(facts, CAP_SYS_PTRACE)) {
			check_add(checks, AREA, "list of processes", VERDICT_DEGRADED,
				  "sudo mount -o remount,hidepid=0 /proc",
				  "those of other users are hidden (/proc is mounted with %.10s)", hide);
			return;
		}
	}
	check_add(checks, AREA, "list of processes", VERDICT_WORKS, "", "/proc shows all");
}

static void try_calls(json_t *checks)
{
	struct {
		uint64_t flags;
		uint64_t mode;
		uint64_t resolve;
	} how = { O_PATH | O_CLOEXEC, 0, 0 };
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int errnum = errno;
	int opened = (int)syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof(how));

	if (pidfd < 0 || opened < 0) {
		check_add(checks, AREA, "identity", VERDICT_FAILS,
			  "docker run --security-opt seccomp=unconfined ..., or Linux 5.6", "%s: %s",
			  pidfd < 0 ? "pidfd_open" : "openat2", strerror(pidfd < 0 ? errnum : errno));
	} else {
		check_add(checks, AREA, "identity", VERDICT_WORKS, "",
			  "pidfd_open and openat2 are there: no id is taken for another's");
	}
}

static void try_access(const struct facts *facts, json_t *checks)
{
	try_listing(facts, checks);
	try_namespace(facts, checks);
	try_others(facts, checks);
	try_ptrace(facts, checks);
	try_calls(checks);
}

const struct trial trial_access = { AREA, "looking at processes", PRIVILEGE_PTRACE, try_access };
