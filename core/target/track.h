/* SPDX-License-Identifier: MIT */
/*
 * The tracker: one thread that follows the target's processes, keeps the state, and feeds the streams. It follows by perf
 * records where it may (exact, in order), by reading /proc every 50 ms where not.
 */
#ifndef CORE_TARGET_TRACK_H
#define CORE_TARGET_TRACK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "target/container.h"
#include "target/opener.h"
#include "target/serve.h"
#include "target/state.h"

/** How to follow. */
enum track_mode {
	TRACK_BEST = 0, /* perf, and /proc when that is refused */
	TRACK_PERF = 1,
	TRACK_PROC = 2,
};

struct track_perf;
struct track_proc;
struct track_group;

struct tracker {
	pthread_t thread;
	pthread_mutex_t lock; /* of all below but what the thread alone uses */
	struct state state;
	struct server server;
	struct opener *opener;
	int32_t root_pid;    /* of a control group: its first process */
	struct track_group *track_group; /* the control group that is followed as a whole; NULL: a tree of processes */
	int32_t group;       /* process group of a launched target; 0 */
	int wake_fd;         /* eventfd: something changed for the thread */
	bool stopping;
	bool is_started;     /* the thread is there */
	uint64_t complete_ns; /* everything up to then is in the state */
	int32_t ignored_pid; /* the guardian: in the group, not in the target */
	uint64_t sync_ns;     /* what the streams were last told about that */
	uint64_t sync_told_ns; /* and when */
	bool has_locks;
	int start_status;
	struct pfc_error start_err;
	pthread_cond_t started;
	bool is_following;   /* the first state is complete, or failed */
	char tracking[256];  /* "perf" or "proc", and why */
	enum track_mode mode;
	struct track_perf *perf; /* thread only */
	struct track_proc *proc; /* thread only */
};

/** What is followed. */
struct tracker_of {
	int32_t root_pid;    /* and its descendants */
	int32_t group;       /* process group of a launched target; 0 */
	int32_t ignored_pid;
	struct track_group *track_group; /* [moved], also on failure; NULL: only the tree */
};

/** Begin to follow; returns once all that exists is in the state. */
int tracker_start(struct tracker *tracker, const struct tracker_of *of, enum track_mode mode, struct pfc_error *err);

/** End the thread, the streams and the opener. Fine after a failed start, and on zeroes. */
void tracker_stop(struct tracker *tracker);

/** Make the thread look now. */
void tracker_wake(struct tracker *tracker);

/** Wait until everything up to now is in the state, at most 500 ms. */
void tracker_settle(struct tracker *tracker);

/* ---- what the two ways share (thread only, under the lock) ---- */

/**
 * Put a process that exists into the state, with threads, names and mappings as /proc shows them, as having been there at
 * the beginning. Returns 0; -errno: it is gone, or may not be read.
 */
int tracker_adopt(struct tracker *tracker, int32_t pid);

/** Bring a process up to date with /proc; what is new happens at time_ns. may_exec: also look whether it runs a new program. */
void tracker_refresh(struct tracker *tracker, int32_t pid, uint64_t time_ns, bool may_exec);

/** Processes in the state that /proc no longer shows end at time_ns. */
void tracker_drop_ended(struct tracker *tracker, uint64_t time_ns);

/** The process and its descendants, from /proc; the caller frees. Returns 0 or -errno. */
int tracker_list_tree(int32_t root_pid, int32_t **ret_pids, size_t *ret_count);

/** What there is now of what is followed: the tree, or all of the control group. Likewise. */
int tracker_list(const struct tracker *tracker, int32_t **ret_pids, size_t *ret_count);

/** Choose the way and put all that exists into the state; again for each generation. */
int tracker_begin(struct tracker *tracker, struct pfc_error *err);

/* ---- track_perf.c ---- */

/**
 * Open the events. PFC_EPERM, PFC_ENOTSUP or PFC_ENOSPC say why this way is closed.
 * All calls from the tracker's thread, under its lock.
 */
int track_perf_open(struct tracker *tracker, struct track_perf **ret, struct pfc_error *err);
uint32_t track_perf_rings(const struct track_perf *perf);
int track_perf_fd(const struct track_perf *perf, uint32_t ring);
/** Take what is in the rings and put it into the state, but for the latest moment. Returns the time up to which all is in. */
uint64_t track_perf_drain(struct tracker *tracker, struct track_perf *perf);
/** Whether records wait for their moment. */
bool track_perf_pending(const struct track_perf *perf);
void track_perf_close(struct track_perf *perf);

/* ---- track_group.c: a control group as a whole, through restarts ---- */

/** One life of the target. */
struct track_life {
	int32_t pid;
	char id[CGROUP_ID_BYTES];
	uint64_t from_ns; /* when it was noticed; 0: was there at the beginning */
	uint64_t gone_ns; /* when its end was noticed; 0: it lives */
};

#define TRACK_LIVES_MAX 64u

struct track_group {
	struct container container;
	struct engine_query query; /* how it was found, for its successor; texts owned */
	bool has_query;
	bool follow;       /* a restart makes a new generation; else the first end is the end */
	int ended_fd;      /* eventfd: it has ended, for good */
	uint64_t inode;    /* of the folder: an engine makes a new one for each start */
	uint64_t next_ns;  /* next look */
	uint64_t ask_ns;   /* next question to the engine */
	int64_t oom_kills; /* seen so far */
	bool was_oom;
	bool has_ended;
	struct track_life lives[TRACK_LIVES_MAX];
	uint32_t life_count;
};

/** query may be NULL: then only the same folder can come to life again. Texts are copied. */
int track_group_create(const struct container *container, const struct engine_query *query, bool follow,
		       struct track_group **ret, struct pfc_error *err);
void track_group_destroy(struct track_group *group);

/** Look whether it ended or began anew, when that is due. Thread only, under the lock, which it may let go for a while. */
void track_group_look(struct tracker *tracker);

/** Whether an id that perf or /proc showed is of the group. */
bool track_group_holds(const struct track_group *group, int32_t pid);

/* ---- track_proc.c ---- */

int track_proc_open(struct tracker *tracker, struct track_proc **ret, struct pfc_error *err);
/** ms until the next look is due. */
int track_proc_wait_ms(const struct track_proc *proc);
/** Look, if it is due. Returns the time up to which all is in. */
uint64_t track_proc_look(struct tracker *tracker, struct track_proc *proc);
void track_proc_close(struct track_proc *proc);

#endif
