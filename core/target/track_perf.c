/* SPDX-License-Identifier: MIT */
/*
 * Following by perf: dummy software events (track_events.c) whose records (fork, exit, comm, mmap2) go to one ring a CPU. Records of all rings are put in order of time before they count: one is taken once it is
 * so old that none before it can still come.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "target/track_inside.h"

#define HOLD_NS                                                                                              \
	10000000u /* a record is written this long after its time stamp at the latest, scheduled away between */
#define RESCAN_NS   250000000u /* not more often than this after losses */
#define ENTRANTS_NS 500000000u /* how often a control group is listed for processes that were moved into it */

/*
 * A process that entered the group from outside ("docker exec"): its fork was seen nowhere. It begins with the first record
 * of it; what it has mapped until then is read, unless it just runs a new program.
 */
static void admit(struct tracker *tracker, const struct pending *pending)
{
	bool is_fact = pending->kind == PFC_TARGET_EXEC || pending->kind == PFC_TARGET_NAME ||
		       pending->kind == PFC_TARGET_MAP;

	if (tracker->track_group == NULL || !is_fact || state_proc(&tracker->state, pending->pid) != NULL) {
		return;
	}
	state_fork(&tracker->state, pending->time_ns, pending->pid, pending->pid, 0);
	if (pending->tid != pending->pid) {
		state_fork(&tracker->state, pending->time_ns, pending->pid, pending->tid, pending->pid);
	}
	if (pending->kind != PFC_TARGET_EXEC) {
		tracker_refresh(tracker, pending->pid, pending->time_ns, true);
	}
}

/* Events of whole CPUs tell of everybody. */
static bool is_other(struct tracker *tracker, const struct track_perf *perf, const struct pending *pending)
{
	struct state *state = &tracker->state;

	if (!perf->is_wide || pending->kind == PFC_TARGET_LOST || state_proc(state, pending->pid) != NULL) {
		return false;
	}
	return pending->kind != PFC_TARGET_FORK || state_proc(state, pending->ppid) == NULL;
}

static void apply(struct tracker *tracker, struct track_perf *perf, const struct pending *pending)
{
	struct state *state = &tracker->state;
	const char *text = pending->text != NULL ? pending->text : "";

	if (is_other(tracker, perf, pending)) {
		track_records_forget(perf, pending->pid);
		return;
	}
	admit(tracker, pending);

	switch (pending->kind) {
	case PFC_TARGET_FORK:
		state_fork(state, pending->time_ns, pending->pid, pending->tid, pending->ppid);
		break;
	case PFC_TARGET_EXIT:
		state_exit(state, pending->time_ns, pending->pid, pending->tid);
		if (state_proc(state, pending->pid) == NULL) {
			track_records_forget(perf, pending->pid);
		}
		break;
	case PFC_TARGET_EXEC:
		state_exec(state, pending->time_ns, pending->pid, text);
		break;
	case PFC_TARGET_NAME:
		state_name(state, pending->time_ns, pending->pid, pending->tid, text);
		break;
	case PFC_TARGET_MAP:
		if (pending->map.path != NULL) {
			if (!pending->is_seen) {
				opener_see(tracker->opener, pending->pid, &pending->map);
			}
			state_map(state, pending->time_ns, pending->pid, pending->tid, &pending->map);
		}
		break;
	default:
		state->lost += pending->map.length;
		break;
	}
	if (pending->kind == PFC_TARGET_LOST && perf->rescan_ns == 0) {
		perf->rescan_ns = perf->rescanned_ns + RESCAN_NS;
	}
}

static int compare_pending(const void *a, const void *b)
{
	const struct pending *left = a;
	const struct pending *right = b;

	if (left->time_ns != right->time_ns) {
		return left->time_ns < right->time_ns ? -1 : 1;
	}
	return left->order < right->order ? -1 : left->order > right->order;
}

static void apply_until(struct tracker *tracker, struct track_perf *perf, uint64_t until_ns)
{
	size_t done = 0;

	if (perf->pending_count == 0) {
		return;
	}
	qsort(perf->pending, perf->pending_count, sizeof(*perf->pending), compare_pending);
	while (done < perf->pending_count &&
	       (perf->pending[done].time_ns < until_ns || perf->pending_count - done > PENDING_MAX)) {
		apply(tracker, perf, &perf->pending[done]);
		free(perf->pending[done].text);
		done++;
	}
	perf->pending_count -= done;
	memmove(perf->pending, perf->pending + done, perf->pending_count * sizeof(*perf->pending));
}

/* After losses: what /proc shows now. What ended unseen goes when its id is used again, or here. */
static void rescan(struct tracker *tracker, struct track_perf *perf, uint64_t time_ns)
{
	int32_t *pids;
	size_t count;

	perf->rescan_ns = 0;
	perf->rescanned_ns = time_ns;
	tracker_drop_ended(tracker, time_ns);
	if (tracker_list(tracker, &pids, &count) < 0) {
		return;
	}
	for (size_t i = 0; i < count; i++) {
		tracker_refresh(tracker, pids[i], time_ns, false);
	}
	free(pids);
}

/* Who was moved into the group and has done nothing since that makes a record. */
static void find_entrants(struct tracker *tracker, struct track_perf *perf, uint64_t now_ns, uint64_t time_ns)
{
	int32_t *pids;
	size_t count;

	perf->entrants_ns = now_ns + ENTRANTS_NS;
	if (tracker_list(tracker, &pids, &count) < 0) {
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (state_proc(&tracker->state, pids[i]) == NULL) {
			tracker_refresh(tracker, pids[i], time_ns, true);
		}
	}
	free(pids);
}

uint64_t track_perf_drain(struct tracker *tracker, struct track_perf *perf)
{
	uint64_t now_ns = procfs_now_ns();
	uint64_t until_ns = now_ns - HOLD_NS;

	for (uint32_t i = 0; i < perf->ring_count; i++) {
		if (perf->rings[i].base != NULL) {
			track_records_drain(tracker, perf, &perf->rings[i]);
		}
	}
	apply_until(tracker, perf, until_ns);
	if (perf->rescan_ns != 0 && now_ns >= perf->rescan_ns) {
		rescan(tracker, perf, until_ns);
	}
	if (tracker->track_group != NULL && now_ns >= perf->entrants_ns) {
		find_entrants(tracker, perf, now_ns, until_ns);
	}
	return until_ns;
}

bool track_perf_pending(const struct track_perf *perf)
{
	return perf->pending_count > 0;
}

uint32_t track_perf_rings(const struct track_perf *perf)
{
	return perf->ring_count;
}

int track_perf_fd(const struct track_perf *perf, uint32_t ring)
{
	return perf->rings[ring].fd;
}

void track_perf_close(struct track_perf *perf)
{
	if (perf == NULL) {
		return;
	}
	for (size_t i = 0; i < perf->event_count; i++) {
		close(perf->events[i]);
	}
	for (uint32_t i = 0; i < perf->ring_count; i++) {
		if (perf->rings[i].base != NULL) {
			munmap(perf->rings[i].base, perf->page_bytes + perf->rings[i].data_bytes);
		}
		if (perf->rings[i].fd >= 0) {
			close(perf->rings[i].fd);
		}
	}
	for (size_t i = 0; i < perf->pending_count; i++) {
		free(perf->pending[i].text);
	}
	free(perf->pending);
	free(perf->events);
	free(perf->opened);
	free(perf->born);
	free(perf->rings);
	free(perf);
}

/* A third of the descriptors: files and stages need theirs. */
static size_t events_max(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur / 3 : 256;
}

int track_perf_open(struct tracker *tracker, struct track_perf **ret, struct pfc_error *err)
{
	struct track_perf *perf = calloc(1, sizeof(*perf));
	int status;

	if (perf == NULL) {
		return error_nomem(err);
	}
	perf->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	perf->event_max = events_max();
	status = track_events_rings(perf, err);
	if (status == PFC_OK) {
		if (tracker->track_group != NULL) {
			status = track_events_group(perf, &tracker->track_group->container, err);
		} else if (track_events_wide(perf) < 0) {
			status = track_events_tree(perf, tracker->root_pid, err);
		}
	}
	if (status < 0) {
		track_perf_close(perf);
		return status;
	}
	*ret = perf;
	return PFC_OK;
}
