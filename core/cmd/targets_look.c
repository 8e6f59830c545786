/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/targets.h"

#define INTERVAL_NS   500000000
#define PROCESSES_MAX 32768u
#define SURVEYED_MAX  200u

/* CPU time and memory: fields 14, 15 and 24 of /proc/PID/stat. */
static bool read_usage(int32_t pid, uint64_t *ret_ticks, uint64_t *ret_rss_bytes)
{
	unsigned long long user;
	unsigned long long system;
	long long rss_pages;
	char text[2048];
	char *at;

	if (procfs_read(text, sizeof(text), "/proc/%d/stat", (int)pid) <= 0) {
		return false;
	}
	at = strrchr(text, ')');
	if (at == NULL || sscanf(at + 1,
				 " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d "
				 "%*d %*u %*u %lld",
				 &user, &system, &rss_pages) != 3) {
		return false;
	}
	*ret_ticks = user + system;
	*ret_rss_bytes = rss_pages > 0 ? (uint64_t)rss_pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
	return true;
}

static bool look_first(const struct cgroup_mount *mount, int32_t pid, struct process *ret)
{
	struct proc_stat stat;
	char path[PATH_MAX];
	size_t end;

	memset(ret, 0, sizeof(*ret));
	if (pid == getpid() || procfs_stat(pid, &stat) < 0 || stat.kernel_thread || stat.state == 'Z' ||
	    stat.state == 'X' || !read_usage(pid, &ret->cpu_ticks, &ret->rss_bytes)) {
		return false;
	}
	ret->pid = pid;
	ret->start_ticks = stat.start_ticks;
	memcpy(ret->name, stat.comm, sizeof(ret->name));
	if (mount != NULL && cgroup_of(mount, pid, path, sizeof(path)) == 0) {
		cgroup_container_id(path, ret->container_id, &end);
	}
	return true;
}

static void look_again(struct process *process, double seconds)
{
	struct proc_stat stat;
	uint64_t ticks;

	/* The same process, not another of that id. */
	process->is_alive = procfs_stat(process->pid, &stat) == 0 &&
			    stat.start_ticks == process->start_ticks &&
			    read_usage(process->pid, &ticks, &process->rss_bytes);
	if (process->is_alive && ticks >= process->cpu_ticks) {
		process->cpu_pct =
			100.0 * (double)(ticks - process->cpu_ticks) / (double)sysconf(_SC_CLK_TCK) / seconds;
	}
}

int targets_compare(double left, double right)
{
	return left > right ? -1 : left < right;
}

static int compare(const void *a, const void *b, void *order)
{
	const struct process *left = a;
	const struct process *right = b;
	const char *by = order;
	int first = strcmp(by, "rss") == 0
			    ? targets_compare((double)left->rss_bytes, (double)right->rss_bytes)
		    : strcmp(by, "name") == 0 ? strcmp(left->name, right->name)
		    : strcmp(by, "pid") == 0  ? left->pid - right->pid
					      : 0;

	first = first != 0 ? first : targets_compare(left->cpu_pct, right->cpu_pct);
	first = first != 0 ? first : targets_compare((double)left->rss_bytes, (double)right->rss_bytes);
	return first != 0 ? first : left->pid - right->pid;
}

static void survey_all(struct listing *listing)
{
	struct survey surveys[SURVEYED_MAX];
	int fds[SURVEYED_MAX];
	struct pfc_error err;
	size_t count = listing->count < SURVEYED_MAX ? listing->count : SURVEYED_MAX;

	for (size_t i = 0; i < count; i++) {
		fds[i] = survey_open_process(listing->processes[i].pid);
	}
	if (survey_files(fds, count, surveys, &err) < 0) {
		log_failure(&err);
	}
	for (size_t i = 0; i < count; i++) {
		listing->processes[i].survey = surveys[i];
		if (fds[i] >= 0) {
			close(fds[i]);
		}
	}
}

int targets_look(struct listing *listing)
{
	struct cgroup_mount mount;
	bool has_mount = cgroup_find_mount(&mount) == 0;
	uint64_t began_ns;
	int32_t *pids;
	size_t count;
	size_t alive = 0;

	if (procfs_numbers("/proc", &pids, &count) < 0) {
		return -1;
	}
	listing->processes = calloc(PROCESSES_MAX, sizeof(*listing->processes));
	for (size_t i = 0; listing->processes != NULL && i < count && listing->count < PROCESSES_MAX; i++) {
		listing->count +=
			look_first(has_mount ? &mount : NULL, pids[i], &listing->processes[listing->count]);
	}
	free(pids);
	began_ns = procfs_now_ns();
	nanosleep(&(struct timespec){ .tv_nsec = INTERVAL_NS }, NULL);
	for (size_t i = 0; i < listing->count; i++) {
		look_again(&listing->processes[i], (double)(procfs_now_ns() - began_ns) / 1e9);
		if (listing->processes[i].is_alive) {
			listing->processes[alive++] = listing->processes[i];
		}
	}
	listing->count = alive;
	if (listing->processes == NULL) {
		return -1;
	}
	qsort_r(listing->processes, alive, sizeof(listing->processes[0]), compare,
		(void *)(size_t)listing->order);
	survey_all(listing);
	return 0;
}
