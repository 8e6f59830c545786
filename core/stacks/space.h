/* SPDX-License-Identifier: MIT */
/*
 * Address spaces over time: which mapping held an address of a process at a time, and what each thread was called. Events may
 * come a little out of order; a space answers for any time that its events cover.
 *
 * A space is one program image: it begins with a fork or an exec. A forked one takes over what its parent had mapped when the
 * first sample asks (most short-lived children are never asked).
 */
#ifndef CORE_STACKS_SPACE_H
#define CORE_STACKS_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include <profcore/ext/draft/target.h>

#include "stacks/module.h"

/** A mapping: from `from_ns` on, until another one covers it. */
struct space_map {
	uint64_t from_ns;
	uint64_t start, end, offset;
	uint32_t module;
	int32_t pid; /* who mapped it: for opening the file */
};

struct space_span; /* space_find.c: one piece of the newest picture */

struct space {
	uint64_t stamp; /* changes whenever an answer may change: a key for caches */
	uint64_t id;    /* never given twice */
	uint64_t from_ns;
	uint32_t references;
	struct space *parent;   /* not taken over yet */
	struct space_map *maps; /* ascending from_ns */
	uint32_t map_count, map_room;
	struct space_span *spans; /* maps[0 .. applied - 1] laid over one another, ascending, disjoint */
	uint32_t span_count, span_room;
	uint32_t applied;
};

/** A thread's name; `is_new` until the session has written it. */
struct space_thread {
	struct space_thread *next;
	uint64_t from_ns;
	uint64_t exit_ns; /* 0: alive */
	int32_t pid, tid;
	bool is_new;
	char name[64];
};

struct space_process; /* space.c */

/** Told of every name before it is replaced, so that none gets lost. */
typedef int (*space_name_fn)(void *ctx, struct space_thread *thread);

struct spaces {
	struct space_process **processes; /* chains by pid */
	struct space_thread **threads;    /* chains by tid */
	uint32_t process_count, thread_count;
	uint64_t next_stamp;
	uint64_t dropped; /* events that found no room */
	struct modules *modules;
	space_name_fn on_name;
	void *on_name_ctx;
};

/** 0 or PFC_ENOMEM. Borrows modules. */
int spaces_init(struct spaces *spaces, struct modules *modules, space_name_fn on_name, void *on_name_ctx);
void spaces_finish(struct spaces *spaces);

/** Take an event in; SYNC and LOST are not for here. 0, PFC_ENOMEM, or what on_name returned. */
int spaces_event(struct spaces *spaces, const struct pfc_target_event *event);

/** The space of a process at a time, ready for space_find; NULL: the process is not known. Valid until the next event. */
struct space *spaces_at(struct spaces *spaces, int32_t pid, uint64_t time_ns);

/**
 * Bring the space's picture up to a time. False when it is newer already: answers are right then too, but slower, and
 * `stamp` says nothing about them.
 */
bool space_advance(struct spaces *spaces, struct space *space, uint64_t time_ns);

/** The mapping of an address at a time, or NULL. Cheapest when times do not go back. */
const struct space_map *space_find(struct spaces *spaces, struct space *space, uint64_t time_ns,
				   uint64_t address);

/** The thread, or NULL. */
struct space_thread *spaces_thread(struct spaces *spaces, int32_t tid);

/** For spaces_event only (space_thread.c): a thread's name, as said or as its parent's. 0, or what on_name returned. */
int spaces_set_name(struct spaces *spaces, const struct pfc_target_event *event, const char *name);
int spaces_inherit_name(struct spaces *spaces, const struct pfc_target_event *event);
void spaces_forget_threads(struct spaces *spaces, uint32_t bucket, uint64_t before_ns);

#define SPACES_BUCKETS 16384U /* chains of processes, and of threads */

static inline uint32_t spaces_bucket(int32_t id)
{
	return (uint32_t)id & (SPACES_BUCKETS - 1);
}

/** Forget processes and threads that ended before a time. */
void spaces_forget(struct spaces *spaces, uint64_t before_ns);

#endif
