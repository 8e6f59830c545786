/* SPDX-License-Identifier: MIT */
/*
 * Following by reading /proc: every 50 ms, or less often when a look takes long, so that it stays below a twentieth of a CPU.
 * What lives and dies between two looks is not seen.
 */
#include <stdlib.h>
#include <time.h>

#include "target/track.h"

#define INTERVAL_NS    50000000u
#define COST_SHARE     20u /* rest this many times as long as a look took of the CPU */
#define INTERVAL_NS_MAX 500000000u

struct track_proc {
	uint64_t next_ns;
	int32_t *known; /* processes of the machine at the last look, ascending */
	size_t known_count;
};

static uint64_t own_cpu_ns(void)
{
	struct timespec spent;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
	return (uint64_t)spent.tv_sec * 1000000000u + (uint64_t)spent.tv_nsec;
}

static int compare_pids(const void *a, const void *b)
{
	int32_t left = *(const int32_t *)a;
	int32_t right = *(const int32_t *)b;

	return (left > right) - (left < right);
}

static bool belongs(const struct tracker *tracker, int32_t pid, const struct proc_stat *stat)
{
	const struct state *state = &tracker->state;

	if (pid == tracker->ignored_pid) {
		return false;
	}
	if (tracker->track_group != NULL) {
		return track_group_holds(tracker->track_group, pid);
	}
	return state_proc((struct state *)(size_t)state, stat->ppid) != NULL ||
	       (tracker->group > 0 && stat->pgrp == tracker->group);
}

/* Processes that were not there at the last look, and come from ours. */
static void find_new(struct tracker *tracker, struct track_proc *proc, uint64_t time_ns)
{
	struct proc_stat stat;
	int32_t *pids;
	size_t count;

	if (procfs_numbers("/proc", &pids, &count) < 0) {
		return;
	}
	for (size_t i = 0; i < count; i++) {
		bool known = proc->known_count > 0 && bsearch(&pids[i], proc->known, proc->known_count,
							      sizeof(*pids), compare_pids) != NULL;

		if (!known && state_proc(&tracker->state, pids[i]) == NULL && procfs_stat(pids[i], &stat) == 0 &&
		    belongs(tracker, pids[i], &stat)) {
			tracker_refresh(tracker, pids[i], time_ns, true);
		}
	}
	free(proc->known);
	proc->known = pids;
	proc->known_count = count;
}

struct refresh {
	int32_t *pids;
	size_t count;
};

static void add_pid(void *ctx, struct proc *proc)
{
	struct refresh *refresh = ctx;

	refresh->pids[refresh->count++] = proc->pid;
}

static void refresh_all(struct tracker *tracker, uint64_t time_ns)
{
	struct refresh refresh = { .pids = calloc(tracker->state.proc_count + 1, sizeof(*refresh.pids)) };

	if (refresh.pids == NULL) {
		tracker->state.lost++;
		return;
	}
	state_each(&tracker->state, add_pid, &refresh);
	for (size_t i = 0; i < refresh.count; i++) {
		tracker_refresh(tracker, refresh.pids[i], time_ns, true);
	}
	free(refresh.pids);
}

uint64_t track_proc_look(struct tracker *tracker, struct track_proc *proc)
{
	uint64_t now_ns = procfs_now_ns();
	uint64_t began_cpu_ns = own_cpu_ns();
	uint64_t rest_ns;

	if (now_ns < proc->next_ns) {
		return tracker->complete_ns;
	}
	tracker_drop_ended(tracker, now_ns);
	refresh_all(tracker, now_ns);
	find_new(tracker, proc, now_ns);
	rest_ns = (own_cpu_ns() - began_cpu_ns) * COST_SHARE;
	if (rest_ns < INTERVAL_NS) {
		rest_ns = INTERVAL_NS;
	}
	proc->next_ns = now_ns + (rest_ns < INTERVAL_NS_MAX ? rest_ns : INTERVAL_NS_MAX);
	return now_ns;
}

int track_proc_wait_ms(const struct track_proc *proc)
{
	uint64_t now_ns = procfs_now_ns();

	return now_ns >= proc->next_ns ? 0 : (int)((proc->next_ns - now_ns) / 1000000u) + 1;
}

int track_proc_open(struct tracker *tracker, struct track_proc **ret, struct pfc_error *err)
{
	struct track_proc *proc = calloc(1, sizeof(*proc));

	if (proc == NULL) {
		return error_nomem(err);
	}
	/* What runs now and is of the target is found by the first listing: new is what comes later. */
	if (procfs_numbers("/proc", &proc->known, &proc->known_count) < 0) {
		proc->known = NULL;
		proc->known_count = 0;
	}
	proc->next_ns = procfs_now_ns() + INTERVAL_NS;
	*ret = proc;
	return PFC_OK;
}

void track_proc_close(struct track_proc *proc)
{
	if (proc != NULL) {
		free(proc->known);
		free(proc);
	}
}
