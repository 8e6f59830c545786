/* SPDX-License-Identifier: MIT */
#include "doctor/machine.h"

#include <errno.h>
#include <limits.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "doctor/check.h"
#include "doctor/trial.h"
#include "target/cgroup.h"
#include "target/engine.h"

/* A stage has a few, the files of a large target a thousand, events one for each CPU and counter. */
#define FILES_USUAL 4096u
#define ROOM_USUAL  (256ull << 20)
#define ROOM_LEAST  (1ull << 20)

static void examine_ourselves(const struct facts *facts, json_t *checks)
{
	char held[160];
	char missing[160];

	facts_capability_names(facts, true, held, sizeof(held));
	facts_capability_names(facts, false, missing, sizeof(missing));
	check_add(checks, "machine", "kernel", VERDICT_WORKS, "", "Linux %s%s%s", facts->kernel,
		  facts->lockdown[0] != '\0' ? ", lockdown " : "", facts->lockdown);
	check_add(checks, "machine", "capabilities", VERDICT_WORKS, "", "%s%s%s",
		  held[0] != '\0' ? held : "none", missing[0] != '\0' ? "; not: " : "", missing);
	if (facts->container[0] != '\0' || facts->seccomp == 2) {
		check_add(checks, "machine", "we run in", VERDICT_WORKS, "", "%s%s%s",
			  facts->container[0] != '\0' ? facts->container : "no container",
			  facts->seccomp == 2 ? ", under a seccomp filter" : "",
			  facts->has_user_namespace ? ", in a user namespace" : "");
	} else if (facts->has_user_namespace) {
		check_add(checks, "machine", "we run in", VERDICT_WORKS, "", "a user namespace");
	}
}

static void examine_files(const struct facts *facts, json_t *checks)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0) {
		return;
	}
	/* A run raises its own to the hard limit. */
	if (files.rlim_max < FILES_USUAL) {
		check_add(checks, "machine", "open files", VERDICT_DEGRADED,
			  facts->container[0] != '\0' ? "docker run --ulimit nofile=65536 ..."
						      : "ulimit -Hn 65536",
			  "at most %llu (RLIMIT_NOFILE): large targets are not followed whole",
			  (unsigned long long)files.rlim_max);
	} else {
		check_add(checks, "machine", "open files", VERDICT_WORKS, "", "up to %llu",
			  (unsigned long long)files.rlim_max);
	}
}

/* The list of mounts still tells of one that another mount hides. */
static bool has_groups(const struct cgroup_mount *mount)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/cgroup.procs", mount->folder);
	return access(path, F_OK) == 0;
}

static void examine_cgroups(const struct facts *facts, json_t *checks)
{
	struct cgroup_mount mount;

	if (cgroup_find_mount(&mount) < 0 || !has_groups(&mount)) {
		check_add(checks, "containers", "control groups", VERDICT_DEGRADED,
			  facts->container[0] != '\0' ? "docker run -v /sys/fs/cgroup:/sys/fs/cgroup:ro ..."
						      : "sudo mount -t cgroup2 none /sys/fs/cgroup",
			  "none can be seen: containers cannot be told apart, processes can");
	} else {
		check_add(checks, "containers", "control groups",
			  mount.is_unified ? VERDICT_WORKS : VERDICT_DEGRADED,
			  mount.is_unified ? ""
					   : "sudo mkdir -p /sys/fs/cgroup/unified && sudo mount -t cgroup2 "
					     "none /sys/fs/cgroup/unified",
			  "%s at %s%s%s", mount.is_unified ? "unified" : "v1 only, ", mount.folder,
			  mount.is_unified && access("/sys/fs/cgroup/cgroup.controllers", F_OK) < 0
				  ? " (hybrid: v1 beside it)"
				  : "",
			  mount.is_unified ? "" : ": sampled process by process");
	}
}

static void examine_engine(const char *socket, json_t *checks)
{
	struct engine_query query = { .socket = socket };
	struct engine_answer answer = { .count = 0 };
	struct pfc_error err = { 0 };
	size_t running = 0;

	if (engine_ask(&query, &answer, &err) == PFC_OK) {
		for (size_t i = 0; i < answer.count; i++) {
			running += str_equal(answer.containers[i].state, "running");
		}
		check_add(checks, "containers", "engine", VERDICT_WORKS, "",
			  "%.200s answers: %zu containers, %zu running", answer.socket, answer.count,
			  running);
		engine_answer_finish(&answer);
	} else {
		check_add(checks, "containers", "engine", VERDICT_DEGRADED, err.hint,
			  "%s%scontainers are found by id only, through control groups",
			  err.status == PFC_ENOENT ? "none is there: " : err.why,
			  err.status == PFC_ENOENT ? "" : "; ");
	}
}

/* In a child: what it does to itself is gone with it. */
static int in_child(int (*act)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		_exit(act());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
		return ECHILD;
	}
	return WEXITSTATUS(status);
}

static int unshare_user(void)
{
	return unshare(CLONE_NEWUSER) == 0 ? 0 : errno;
}

static int set_filter_mode(void)
{
	/* An empty pointer is looked at only after the kernel knows the mode and allows it: EFAULT is a yes. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		return errno;
	}
	return syscall(SYS_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 0, NULL) < 0 && errno == EFAULT ? 0
												     : errno;
}

static void examine_sandbox(json_t *checks)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int filter = in_child(set_filter_mode);
	int user = in_child(unshare_user);

	if (filter != 0) {
		check_add(checks, "sandbox of stages", "seccomp", VERDICT_FAILS, "",
			  "filters cannot be set (%s): stages without privileges will not start",
			  strerror(filter));
	} else {
		check_add(checks, "sandbox of stages", "seccomp", VERDICT_WORKS, "", "filters can be set");
	}
	if (abi < 0) {
		check_add(
			checks, "sandbox of stages", "Landlock", VERDICT_DEGRADED,
			"boot with lsm=landlock,... (Linux 5.13 or later)",
			"not on this kernel: stages are kept from files by seccomp and missing rights alone");
	} else {
		check_add(checks, "sandbox of stages", "Landlock", VERDICT_WORKS, "", "ABI %ld", abi);
	}
	check_add(checks, "sandbox of stages", "user namespaces", VERDICT_WORKS, "", "%s",
		  user == 0 ? "can be made" : "cannot be made; nothing here needs them");
}

void machine_examine(const struct facts *facts, const char *engine, json_t *checks)
{
	examine_ourselves(facts, checks);
	examine_files(facts, checks);
	trial_run(&trial_perf, facts, checks);
	trial_run(&trial_bpf, facts, checks);
	trial_run(&trial_access, facts, checks);
	examine_cgroups(facts, checks);
	examine_engine(engine, checks);
	examine_sandbox(checks);
}

/* The part of the path that is there already; the caller frees. */
static char *existing_part(const char *path)
{
	char *part = strdup(path);

	while (part != NULL && access(part, F_OK) < 0) {
		char *slash = strrchr(part, '/');

		if (slash == NULL || slash == part) {
			free(part);
			return strdup(slash == NULL ? "." : "/");
		}
		*slash = '\0';
	}
	return part;
}

void machine_examine_output(const char *output, json_t *checks)
{
	char *part = existing_part(output[0] != '\0' ? output : ".");
	struct statvfs disk;
	unsigned long long room;

	if (part == NULL) {
		return;
	}
	if (access(part, W_OK | X_OK) < 0) {
		check_add(checks, "this config", "results", VERDICT_FAILS,
			  "another folder: --set run.output=FOLDER", "%s: %s", part, strerror(errno));
	} else if (statvfs(part, &disk) < 0) {
		check_add(checks, "this config", "results", VERDICT_DEGRADED, "", "%s: %s", part,
			  strerror(errno));
	} else {
		room = (unsigned long long)disk.f_bavail * disk.f_frsize;
		check_add(checks, "this config", "results",
			  room < ROOM_LEAST   ? VERDICT_FAILS
			  : room < ROOM_USUAL ? VERDICT_DEGRADED
					      : VERDICT_WORKS,
			  room < ROOM_USUAL ? "free some space, or another folder: --set run.output=FOLDER"
					    : "",
			  "%s can be written, %.1f GB free", part, (double)room / 1e9);
	}
	free(part);
}
