/* SPDX-License-Identifier: MIT */
#include "target/resolve.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "target/procfs.h"

#define MATCHES_MAX 64
#define LISTED_MAX  8
#define NEAREST_MAX 3

struct match {
	int32_t pid;
	int32_t ppid;
	uint64_t start_ticks;
};

/* ---- pid ---- */

/* The process that `tid` is a thread of; 0 when unknown. */
static int32_t thread_group(int32_t tid)
{
	char text[4096];
	char *line;

	if (procfs_read(text, sizeof(text), "/proc/%d/status", (int)tid) < 0) {
		return 0;
	}
	line = strstr(text, "\nTgid:");
	return line != NULL ? (int32_t)strtol(line + 6, NULL, 10) : 0;
}

static int check_stat(int32_t pid, const struct proc_stat *stat, struct pfc_error *err)
{
	int32_t group = thread_group(pid);

	if (group != 0 && group != pid) {
		error_set(err, PFC_ETARGET, "it is a thread, not a process", "find process %d", (int)pid);
		error_hint(err, "its process is %d", (int)group);
		return PFC_ETARGET;
	}
	if (stat->kernel_thread) {
		return error_set(err, PFC_ETARGET, "it is a thread of the kernel", "find process %d (%s)",
				 (int)pid, stat->comm);
	}
	if (stat->state == 'Z' || stat->state == 'X') {
		return error_set(err, PFC_ETARGET, "it has ended and waits for its parent",
				 "find process %d (%s)", (int)pid, stat->comm);
	}
	return PFC_OK;
}

/* No such process; anything else (no descriptor is left, say) tells nothing about it. */
static bool is_gone(int errnum)
{
	return errnum == ENOENT || errnum == ESRCH;
}

int resolve_pid(int32_t pid, int *ret_pid_fd, struct pfc_error *err)
{
	struct proc_stat before;
	struct proc_stat after;
	int status;
	int fd;

	if (pid <= 0 || pid == getpid()) {
		return error_set(err, PFC_EINVAL,
				 pid <= 0 ? "a pid is a positive number" : "that is profcore itself",
				 "find process %d", (int)pid);
	}
	status = procfs_stat(pid, &before);
	if (status < 0 && !is_gone(-status)) {
		return error_errno(err, -status, "look at process %d", (int)pid);
	}
	if (status < 0) {
		error_set(err, PFC_ETARGET, "no such process", "find process %d", (int)pid);
		return error_hint(err, "profcore targets lists what runs"), PFC_ETARGET;
	}
	status = check_stat(pid, &before, err);
	if (status < 0) {
		return status;
	}
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0 && !is_gone(errno)) {
		return error_errno(err, errno, "hold process %d", (int)pid);
	}
	/* Read again with the descriptor held: it is the same process, or it ended between. */
	if (fd < 0 || procfs_stat(pid, &after) < 0 || after.start_ticks != before.start_ticks) {
		if (fd >= 0) {
			close(fd);
		}
		return error_set(err, PFC_ETARGET, "it ended just now", "find process %d", (int)pid);
	}
	*ret_pid_fd = fd;
	return PFC_OK;
}

/* ---- name ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static bool exe_is_called(int32_t pid, const char *name)
{
	char exe[PATH_MAX];
	size_t bytes;

	if (procfs_link(exe, sizeof(exe), "/proc/%d/exe", (int)pid) < 0) {
		return false;
	}
	bytes = strlen(exe);
	if (str_ends(exe, " (deleted)")) {
		exe[bytes - strlen(" (deleted)")] = '\0';
	}
	return strcmp(base_name(exe), name) == 0;
}

static bool argv0_is_called(int32_t pid, const char *name)
{
	char text[PATH_MAX];

	/* The first word ends at its NUL. */
	return procfs_read(text, sizeof(text), "/proc/%d/cmdline", (int)pid) > 0 &&
	       strcmp(base_name(text), name) == 0;
}

static bool is_called(int32_t pid, const struct proc_stat *stat, const char *name)
{
	return strcmp(stat->comm, name) == 0 || exe_is_called(pid, name) || argv0_is_called(pid, name);
}

/** The names nearest to the one wanted. */
struct nearest {
	char names[NEAREST_MAX][PROCFS_COMM_BYTES];
	unsigned edits[NEAREST_MAX];
	unsigned count;
};

static void consider(struct nearest *nearest, const char *name, const char *wanted)
{
	unsigned edits = str_distance(name, wanted);
	unsigned at = nearest->count;

	if (edits > 2 + strlen(wanted) / 4 || edits >= strlen(wanted)) {
		return;
	}
	for (unsigned i = 0; i < nearest->count; i++) {
		if (strcmp(nearest->names[i], name) == 0) {
			return;
		}
	}
	while (at > 0 && nearest->edits[at - 1] > edits) {
		at--;
	}
	if (at >= NEAREST_MAX) {
		return;
	}
	if (nearest->count < NEAREST_MAX) {
		nearest->count++;
	}
	memmove(nearest->names[at + 1 < NEAREST_MAX ? at + 1 : at], nearest->names[at],
		(nearest->count - at - 1) * sizeof(nearest->names[0]));
	memmove(&nearest->edits[at + 1 < NEAREST_MAX ? at + 1 : at], &nearest->edits[at],
		(nearest->count - at - 1) * sizeof(nearest->edits[0]));
	snprintf(nearest->names[at], sizeof(nearest->names[at]), "%s", name);
	nearest->edits[at] = edits;
}

/* *ret_errnum: why some could not be looked at though they are there; 0. */
static size_t scan(const char *name, const int32_t *pids, size_t pid_count, struct match *matches,
		   struct nearest *nearest, int *ret_errnum)
{
	int32_t own_pid = (int32_t)getpid();
	struct proc_stat stat;
	size_t count = 0;

	*ret_errnum = 0;
	for (size_t i = 0; i < pid_count; i++) {
		int status = pids[i] != own_pid ? procfs_stat(pids[i], &stat) : 0;

		*ret_errnum = status < 0 && !is_gone(-status) ? -status : *ret_errnum;
		if (pids[i] == own_pid || status < 0 || stat.kernel_thread || stat.state == 'Z' ||
		    stat.state == 'X') {
			continue;
		}
		if (!is_called(pids[i], &stat, name)) {
			consider(nearest, stat.comm, name);
		} else if (count < MATCHES_MAX) {
			matches[count++] = (struct match){ pids[i], stat.ppid, stat.start_ticks };
		}
	}
	return count;
}

static bool descends_from(int32_t pid, int32_t ancestor)
{
	struct proc_stat stat;

	for (int hop = 0; hop < 1000 && pid > 1; hop++) {
		if (pid == ancestor) {
			return true;
		}
		if (procfs_stat(pid, &stat) < 0) {
			return false;
		}
		pid = stat.ppid;
	}
	return false;
}

/* The one that all others descend from; NULL when there is none. */
static const struct match *common_root(const struct match *matches, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t below = 0;

		while (below < count && descends_from(matches[below].pid, matches[i].pid)) {
			below++;
		}
		if (below == count) {
			return &matches[i];
		}
	}
	return NULL;
}

static int tell_none(const char *name, const struct nearest *nearest, struct pfc_error *err)
{
	struct str hint = { 0 };
	char shown[128];
	char one[64];

	error_set(err, PFC_ETARGET, "no such process", "find process `%s`",
		  log_escape(shown, sizeof(shown), name));
	for (unsigned i = 0; i < nearest->count; i++) {
		str_format(&hint, "%s%s", i > 0 ? ", " : "did you mean ",
			   log_escape(one, sizeof(one), nearest->names[i]));
	}
	if (nearest->count > 0) {
		error_hint(err, "%s?", str_text(&hint));
	} else {
		error_hint(err, "profcore targets lists what runs");
	}
	str_finish(&hint);
	return PFC_ETARGET;
}

static int tell_several(const char *name, const struct match *matches, size_t count, struct pfc_error *err)
{
	int64_t now_ns = (int64_t)procfs_now_ns();
	struct str hint = { 0 };
	char shown[128];
	char cmdline[64];
	char line[256];

	error_set(err, PFC_ETARGET, "several processes have this name", "find process `%s`",
		  log_escape(shown, sizeof(shown), name));
	for (size_t i = 0; i < count && i < LISTED_MAX; i++) {
		int64_t up_s = (now_ns - procfs_start_ns(matches[i].start_ticks)) / 1000000000;

		procfs_cmdline(matches[i].pid, cmdline, sizeof(cmdline));
		str_format(&hint, "%s%d (up %lld s: %s)", i > 0 ? ", " : "", (int)matches[i].pid,
			   (long long)up_s, log_escape(line, sizeof(line), cmdline));
	}
	error_hint(err, "choose by pid: %s%s", str_text(&hint), count > LISTED_MAX ? ", ..." : "");
	str_finish(&hint);
	return PFC_ETARGET;
}

int resolve_name_among(const char *name, const int32_t *pids, size_t pid_count, int32_t *ret_pid,
		       int *ret_pid_fd, struct pfc_error *err)
{
	struct match matches[MATCHES_MAX];
	struct nearest nearest = { .count = 0 };
	const struct match *match;
	size_t count;
	int errnum;
	int status;

	if (name[0] == '\0') {
		return error_set(err, PFC_EINVAL, "the name is empty", "find a process by name");
	}
	count = scan(name, pids, pid_count, matches, &nearest, &errnum);
	if (count == 0 && errnum != 0) {
		return error_errno(err, errnum, "look for process `%.64s`", name);
	}
	if (count == 0) {
		return tell_none(name, &nearest, err);
	}
	match = common_root(matches, count);
	if (match == NULL) {
		return tell_several(name, matches, count, err);
	}
	status = resolve_pid(match->pid, ret_pid_fd, err);
	if (status == PFC_OK) {
		*ret_pid = match->pid;
	}
	return status;
}

int resolve_name(const char *name, int32_t *ret_pid, int *ret_pid_fd, struct pfc_error *err)
{
	int32_t *pids;
	size_t count;
	int status = procfs_numbers("/proc", &pids, &count);

	if (status < 0) {
		return error_errno(err, -status, "read /proc");
	}
	status = resolve_name_among(name, pids, count, ret_pid, ret_pid_fd, err);
	free(pids);
	return status;
}
