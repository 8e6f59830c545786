/* SPDX-License-Identifier: MIT */
/*
 * What is known of the target: processes, their threads, names and executable mappings, as the events so far made it.
 * Facts go in (from perf records or from /proc); what is new comes out as events. Facts seen twice come out once. Bounded:
 * facts beyond the bounds are counted as lost. Not thread-safe.
 */
#ifndef CORE_TARGET_STATE_H
#define CORE_TARGET_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <profcore/ext/draft/target.h>

#include "target/procfs.h"

#define STATE_BUCKETS 4096
#define STATE_TASKS_MAX 32768u
#define STATE_MAPS_MAX 16384u /* of one process */

/** A path, kept once however many mappings show it. */
struct path {
	struct path *next;
	uint32_t refs;
	uint32_t hash;
	char text[];
};

struct map {
	uint64_t time_ns; /* 0: was there at the beginning */
	uint64_t start;
	uint64_t length;
	uint64_t offset;
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
	struct path *path;
};

/** Mappings by address, without overlap; shared by a process and its forks until one of them changes. */
struct maps {
	uint32_t refs;
	uint32_t count;
	uint32_t room;
	struct map *items;
};

struct task {
	struct task *next;         /* in its bucket */
	struct task *next_in_proc;
	struct proc *proc;
	int32_t tid;
	bool ended; /* a leader that ended before its other threads */
	bool seen;  /* scratch mark of whoever walks */
	uint64_t begin_ns; /* of the fork; 0: was there at the beginning */
	uint64_t known_ns; /* when it became known */
	uint64_t name_ns;
	char name[PROCFS_COMM_BYTES];
};

struct proc {
	struct proc *next; /* in its bucket */
	int32_t pid;
	int32_t ppid;
	uint64_t begin_ns;    /* of the fork; 0: was there at the beginning */
	uint64_t exec_ns;     /* of the last exec seen; 0: none */
	int64_t start_ns;     /* on CLOCK_MONOTONIC, to a tick: with the pid, its identity */
	uint64_t start_code;  /* /proc tracking: tells that it ran a new program */
	uint32_t exe_hash;    /* likewise */
	bool seen;            /* scratch mark of whoever walks */
	uint32_t generation;  /* of the target, in which it lives */
	uint32_t task_count;
	struct task *tasks;
	struct maps *maps;
};

struct state {
	struct proc *procs[STATE_BUCKETS];
	struct task *tasks[STATE_BUCKETS];
	struct path *paths[STATE_BUCKETS];
	uint32_t proc_count;
	uint32_t task_count;
	uint32_t generation; /* of the target: that of processes found from now on */
	uint64_t lost; /* facts dropped since it was last asked */
	void (*emit)(void *ctx, const struct pfc_target_event *event);
	void *emit_ctx;
};

void state_init(struct state *state, void (*emit)(void *ctx, const struct pfc_target_event *event), void *ctx);
void state_finish(struct state *state);

struct proc *state_proc(struct state *state, int32_t pid);
struct task *state_task(struct state *state, int32_t tid);

/** Call `each` for every process; it may not add or remove any. */
void state_each(struct state *state, void (*each)(void *ctx, struct proc *proc), void *ctx);

/** A process that is there already; start_ns from /proc. Tells nobody. NULL beyond the bounds. */
struct proc *state_adopt(struct state *state, int32_t pid, int32_t ppid, int64_t start_ns);
/** Likewise a thread of it. */
struct task *state_adopt_task(struct state *state, struct proc *proc, int32_t tid, const char *name);

/** An event about a process, with what all kinds have in common. */
struct pfc_target_event state_event(uint32_t kind, uint64_t time_ns, const struct proc *proc, int32_t tid,
				    const char *text);

/** Facts. time_ns 0 in state_map: was there at the beginning. */
void state_fork(struct state *state, uint64_t time_ns, int32_t pid, int32_t tid, int32_t ppid);
void state_exec(struct state *state, uint64_t time_ns, int32_t pid, const char *name);
void state_name(struct state *state, uint64_t time_ns, int32_t pid, int32_t tid, const char *name);
void state_exit(struct state *state, uint64_t time_ns, int32_t pid, int32_t tid);
void state_map(struct state *state, uint64_t time_ns, int32_t pid, int32_t tid, const struct proc_map *map);

/** The process ended, with all its threads. */
void state_end(struct state *state, uint64_t time_ns, int32_t pid);

/** Take a process out of the state; tells nobody. */
void state_forget(struct state *state, struct proc *proc);

/**
 * Tell the present state to `emit`, in order of time, as a reader needs it who knows everything up to since_ns (0: nothing).
 * At most max_events; returns how many did not fit.
 */
uint64_t state_replay(struct state *state, uint64_t since_ns, uint32_t max_events,
		      void (*emit)(void *ctx, const struct pfc_target_event *event), void *ctx);

#endif
