/* SPDX-License-Identifier: MIT */
/*
 * The sampling events: one for each thread of the target and each CPU, inherited by what these threads create later.
 * (The kernel maps a ring for an inherited event of a single CPU only.)
 *
 * Threads are listed again until a pass finds no new one. One found late may have been created by a thread that had its
 * events already: then it inherited them, and ours would count it twice. Nothing tells the two apart beforehand, so such
 * a thread is a suspect: as soon as a sample of it comes from an event of another thread, its own events are stopped and
 * their samples dropped (perf_attach_is_duplicate).
 *
 * A target that is a control group as a whole (a container) takes one event for each CPU instead, on the group: whoever runs
 * in it is sampled. It stands as one entry among the threads. A container that is started again gets a folder of the same
 * name, with another inode, one that is made anew another folder: its events are opened anew.
 *
 * The whole machine takes one event for each CPU as well. So does a target with more threads than there are descriptors for:
 * then everybody is sampled, and the caller drops what is not the target's (the event's `task` tells of forks).
 */
#ifndef LIB_PERF_ATTACH_H
#define LIB_PERF_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "procfs.h"
#include "refusal.h"
#include "ring.h"

enum perf_scope {
	PERF_SCOPE_THREADS, /* each thread of the target */
	PERF_SCOPE_GROUP,   /* a control group */
	PERF_SCOPE_CPUS,    /* whatever runs */
};

struct perf_attach_thread {
	int32_t pid;
	int32_t tid;
	bool is_suspect;
	bool is_redundant; /* a suspect that did inherit */
};

/** The id of an event of a suspect, for look-up. */
struct perf_attach_suspect {
	uint64_t id;
	uint32_t thread;
};

struct perf_attach {
	size_t fds_elsewhere; /* events of another set: they count against the limit too */
	struct perf_event event;
	struct perf_ring *rings; /* one for each CPU; borrowed */
	uint32_t cpu_count;
	struct perf_attach_thread *threads;
	int *fds; /* threads x CPUs; -1 where there is none */
	size_t thread_count;
	size_t thread_room;
	struct perf_attach_suspect *suspects; /* by id, once sealed */
	size_t suspect_count;
	size_t suspect_room;
	size_t undecided; /* suspects that were not shown to have inherited */
	size_t refused;   /* threads whose events the kernel refused, other than by their end */
	int refused_error;
	unsigned passes;
	enum perf_scope scope;
	const char *group; /* folder of the control group, borrowed; NULL: threads */
	uint64_t group_inode;
	uint64_t past_events; /* what the events of earlier folders counted */
	uint64_t past_lost;
	bool is_on;
};

/** Events into these rings. Zero-initialised by this. */
void perf_attach_init(struct perf_attach *attach, const struct perf_event *event, struct perf_ring *rings,
		      uint32_t cpu_count);

/**
 * Open events, disabled, for the threads of these processes that have none yet. Call it until it adds no thread.
 *
 * Returns: 0 and the number of new threads; refusal->status when descriptors run out, memory does, or the kernel refuses
 *          even the first thread.
 */
int perf_attach_pass(struct perf_attach *attach, const int32_t *pids, size_t pid_count, size_t *ret_added,
		     struct perf_refusal *refusal);

/** Open events, disabled, on a control group. Returns 0, or refusal->status with nothing opened. */
int perf_attach_group(struct perf_attach *attach, const char *folder, struct perf_refusal *refusal);

/** Open events, disabled, on all that runs on the rings' CPUs. Returns 0, or refusal->status with nothing opened. */
int perf_attach_cpus(struct perf_attach *attach, struct perf_refusal *refusal);

/**
 * Open them anew if the group's folder was made anew, or is another one now, and as they were: on or off. `folder`, borrowed
 * from now on, is where the group is now. Returns whether they were.
 */
bool perf_attach_renew(struct perf_attach *attach, const char *folder);

/** All threads are known: make ready for attach_is_duplicate. */
void perf_attach_seal(struct perf_attach *attach);

/** Whether a sample is the second one of the same moment; settles suspects on the way. */
bool perf_attach_is_duplicate(struct perf_attach *attach, uint64_t id, int32_t tid);

/** Switch all events on or off. */
void perf_attach_enable(struct perf_attach *attach);
void perf_attach_disable(struct perf_attach *attach);

/**
 * What the events counted on their own, beside the samples, summed over all: the event (ns for a clock) and the samples
 * that did not fit into a ring (-1 when this kernel does not count them so).
 */
void perf_attach_count(const struct perf_attach *attach, uint64_t *ret_events, int64_t *ret_lost);

/** For attach_whole.c: room for so many entries more. Returns 0 or -ENOMEM. */
int perf_attach_make_room(struct perf_attach *attach, size_t more);

void perf_attach_close(struct perf_attach *attach);

#endif
