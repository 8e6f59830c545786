/* SPDX-License-Identifier: MIT */
#include "target/track.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/ahead.h"
#define SYNC_NS     40000000u
#define HOLD_MS     5 /* records wait for their moment: look again soon */
#define SYNC_MS     40
#define IDLE_MS     500
#define GROUP_MS    100     /* a restart is noticed this soon */
#define NAP_NS      1000000 /* between two drains: a storm of records is taken in bunches */
#define SETTLE_NS   500000000u
#define STACK_BYTES (512u << 10)

static void emit_to_server(void *ctx, const struct pfc_target_event *event)
{
	struct tracker *tracker = ctx;

	server_emit(&tracker->server, event);
}

void tracker_wake(struct tracker *tracker)
{
	uint64_t one = 1;
	ssize_t ignored = write(tracker->wake_fd, &one, sizeof(one)); /* full is as good */

	(void)ignored;
}

/* ---- the beginning ---- */

static int refuse_maps(int errnum, const char *whose, struct pfc_error *err)
{
	char command[PATH_MAX + 128];

	procfs_setcap_command(command, sizeof(command));
	error_errno(err, errnum, "read the mappings of %s", whose);
	return error_hint(
		err, "run as root or as the user of the target, or %s; profcore doctor shows what is missing",
		command);
}

static int adopt_all(struct tracker *tracker, struct pfc_error *err)
{
	char whose[32];
	int32_t *pids = NULL;
	size_t count = 0;
	int status = tracker_adopt(tracker, tracker->root_pid);
	bool is_any = status == 0;

	/* A group is what is in it: one that may not be read (the machine's first process) does not stop the others. */
	if (status < 0 && tracker->track_group != NULL && tracker_list(tracker, &pids, &count) == 0) {
		for (size_t i = 0; i < count; i++) {
			is_any = tracker_adopt(tracker, pids[i]) == 0 || is_any;
		}
		free(pids);
		return is_any ? PFC_OK : refuse_maps(-status, "the target's processes", err);
	}
	if (status == -ESRCH) {
		return error_set(err, PFC_ETARGET, "it has ended", "follow process %d",
				 (int)tracker->root_pid);
	}
	if (status < 0) {
		snprintf(whose, sizeof(whose), "process %d", (int)tracker->root_pid);
		return refuse_maps(-status, whose, err);
	}
	if (tracker_list(tracker, &pids, &count) == 0) {
		for (size_t i = 0; i < count; i++) {
			if (pids[i] != tracker->root_pid) {
				tracker_adopt(tracker, pids[i]);
			}
		}
		free(pids);
	}
	return PFC_OK;
}

int tracker_begin(struct tracker *tracker, struct pfc_error *err)
{
	struct pfc_error why = { 0 };
	int status = PFC_ENOTSUP;

	if (tracker->mode != TRACK_PROC) {
		status = track_perf_open(tracker, &tracker->perf, &why);
		snprintf(tracker->tracking, sizeof(tracker->tracking), "perf");
	}
	if (status < 0 && tracker->mode == TRACK_PERF) {
		*err = why;
		return status;
	}
	if (status < 0) {
		snprintf(tracker->tracking, sizeof(tracker->tracking),
			 "proc: read every 50 ms, shorter lives are not seen%s%.150s",
			 why.why[0] != '\0' ? "; no perf: " : "", why.why);
		status = track_proc_open(tracker, &tracker->proc, err);
		if (status < 0) {
			return status;
		}
	}
	return adopt_all(tracker, err);
}

/* ---- the thread ---- */

struct polls {
	struct pollfd *items;
	size_t room;
	size_t first_stream;
	size_t count;
};

/* What to wait for: the wake-up, the rings, the streams. */
static bool fill_polls(struct tracker *tracker, struct polls *polls)
{
	size_t rings = tracker->perf != NULL ? track_perf_rings(tracker->perf) : 0;
	size_t need = 1 + rings + 2 * (size_t)tracker->server.stream_count;

	if (need > polls->room) {
		struct pollfd *items = realloc(polls->items, need * sizeof(*items));

		if (items == NULL) {
			return false;
		}
		polls->items = items;
		polls->room = need;
	}
	polls->items[0] = (struct pollfd){ .fd = tracker->wake_fd, .events = POLLIN };
	for (size_t i = 0; i < rings; i++) {
		int fd = track_perf_fd(tracker->perf, (uint32_t)i);

		polls->items[1 + i] = (struct pollfd){ .fd = fd, .events = POLLIN };
	}
	polls->first_stream = 1 + rings;
	polls->count =
		polls->first_stream + server_polls(&tracker->server, polls->items + polls->first_stream);
	return true;
}

static int wait_ms(const struct tracker *tracker)
{
	int wait = tracker->server.streams != NULL ? SYNC_MS
		   : tracker->track_group != NULL  ? GROUP_MS
						   : IDLE_MS;

	if (tracker->perf != NULL) {
		return track_perf_pending(tracker->perf) ? HOLD_MS : wait;
	}
	if (tracker->proc == NULL) {
		return wait; /* a new generation could not be followed */
	}
	return track_proc_wait_ms(tracker->proc) < wait ? track_proc_wait_ms(tracker->proc) : wait;
}

static void tell_progress(struct tracker *tracker)
{
	struct pfc_target_event event = { .generation = tracker->state.generation,
					  .time_ns = tracker->complete_ns };

	if (tracker->state.lost > 0) {
		event.kind = PFC_TARGET_LOST;
		event.length = tracker->state.lost;
		tracker->state.lost = 0;
		server_emit(&tracker->server, &event);
	}
	if (tracker->complete_ns > tracker->sync_ns &&
	    procfs_now_ns() > tracker->sync_told_ns + SYNC_NS / 2) {
		event.kind = PFC_TARGET_SYNC;
		event.length = 0;
		tracker->sync_ns = tracker->complete_ns;
		tracker->sync_told_ns = procfs_now_ns();
		server_emit(&tracker->server, &event);
	}
}

static void work(struct tracker *tracker, const struct polls *polls)
{
	uint64_t count;

	if ((polls->items[0].revents & POLLIN) != 0 && read(tracker->wake_fd, &count, sizeof(count)) < 0) {
		return;
	}
	if (tracker->perf != NULL) {
		tracker->complete_ns = track_perf_drain(tracker, tracker->perf);
	} else if (tracker->proc != NULL) {
		tracker->complete_ns = track_proc_look(tracker, tracker->proc);
	}
	if (tracker->track_group != NULL) {
		track_group_look(tracker);
	}
	tell_progress(tracker);
	server_handle(&tracker->server, polls->items + polls->first_stream,
		      polls->count - polls->first_stream);
	server_flush(&tracker->server);
}

static void *thread_main(void *arg)
{
	struct tracker *tracker = arg;
	struct polls polls = { 0 };

	ahead_take(); /* a collector that asks for a file waits for the answer, and its ring fills */
	pthread_mutex_lock(&tracker->lock);
	tracker->start_status = tracker_begin(tracker, &tracker->start_err);
	tracker->is_following = true;
	pthread_cond_broadcast(&tracker->started);
	while (tracker->start_status == PFC_OK && !tracker->stopping && fill_polls(tracker, &polls)) {
		int wait = wait_ms(tracker);

		pthread_mutex_unlock(&tracker->lock);
		poll(polls.items, polls.count, wait);
		pthread_mutex_lock(&tracker->lock);
		work(tracker, &polls);
		pthread_mutex_unlock(&tracker->lock);
		nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
		pthread_mutex_lock(&tracker->lock);
	}
	track_perf_close(tracker->perf);
	track_proc_close(tracker->proc);
	tracker->perf = NULL;
	tracker->proc = NULL;
	pthread_mutex_unlock(&tracker->lock);
	free(polls.items);
	return NULL;
}

/* Signals are for the main thread. */
static int start_thread(struct tracker *tracker)
{
	pthread_attr_t attr;
	sigset_t all;
	sigset_t old;
	int status;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	status = pthread_create(&tracker->thread, &attr, thread_main, tracker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return status;
}

int tracker_start(struct tracker *tracker, const struct tracker_of *of, enum track_mode mode,
		  struct pfc_error *err)
{
	int status;

	memset(tracker, 0, sizeof(*tracker));
	tracker->root_pid = of->root_pid;
	tracker->group = of->group;
	tracker->ignored_pid = of->ignored_pid;
	tracker->track_group = of->track_group;
	tracker->mode = mode;
	tracker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (tracker->wake_fd < 0) {
		track_group_destroy(of->track_group);
		tracker->track_group = NULL;
		return error_errno(err, errno, "create an eventfd");
	}
	pthread_mutex_init(&tracker->lock, NULL);
	pthread_cond_init(&tracker->started, NULL);
	state_init(&tracker->state, emit_to_server, tracker);
	tracker->has_locks = true;
	status = opener_create(of->root_pid, &tracker->opener, err);
	if (status < 0) {
		return status;
	}
	server_init(&tracker->server, &tracker->state, tracker->opener);
	status = start_thread(tracker);
	if (status != 0) {
		return error_errno(err, status, "start the tracker's thread");
	}
	tracker->is_started = true;
	pthread_mutex_lock(&tracker->lock);
	while (!tracker->is_following) {
		pthread_cond_wait(&tracker->started, &tracker->lock);
	}
	pthread_mutex_unlock(&tracker->lock);
	if (tracker->start_status < 0 && err != NULL) {
		*err = tracker->start_err;
	}
	return tracker->start_status;
}

void tracker_settle(struct tracker *tracker)
{
	uint64_t began_ns = procfs_now_ns();
	bool done = !tracker->is_started || tracker->start_status < 0;

	while (!done && procfs_now_ns() < began_ns + SETTLE_NS) {
		tracker_wake(tracker);
		nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
		pthread_mutex_lock(&tracker->lock);
		done = tracker->complete_ns >= began_ns;
		pthread_mutex_unlock(&tracker->lock);
	}
}

void tracker_stop(struct tracker *tracker)
{
	if (!tracker->has_locks) {
		return;
	}
	if (tracker->is_started) {
		pthread_mutex_lock(&tracker->lock);
		tracker->stopping = true;
		pthread_mutex_unlock(&tracker->lock);
		tracker_wake(tracker);
		pthread_join(tracker->thread, NULL);
	}
	server_finish(&tracker->server);
	state_finish(&tracker->state);
	opener_destroy(tracker->opener);
	track_group_destroy(tracker->track_group);
	close(tracker->wake_fd);
	pthread_cond_destroy(&tracker->started);
	pthread_mutex_destroy(&tracker->lock);
	memset(tracker, 0, sizeof(*tracker));
}
