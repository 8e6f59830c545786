/* SPDX-License-Identifier: MIT */
/*
 * The target: what is profiled. Resolved once (pid, process name, or a command that is launched and held before exec),
 * then followed through fork, exec and exit by one tracker for all stages, whose thread also opens the target's files.
 * A container is found by its engine and by the kernel's control groups, and followed as a whole, through restarts.
 */
#ifndef CORE_TARGET_TARGET_H
#define CORE_TARGET_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/error.h"

struct target;

/**
 * What [target] asks for. Exactly one of: command; pid; cgroup; pod; system; a container by name, service, image (together they
 * narrow); process alone. process beside a container or cgroup means only that program in it. Borrowed during the call.
 */
struct target_config {
	const char *command;       /* split into words as a shell would (quotes, backslash), but no shell runs; NULL */
	int32_t pid;               /* 0: not given */
	const char *process;       /* name: comm or the base name of the executable; NULL */
	const char *container;     /* name, id, or its first digits; NULL */
	const char *service;       /* Compose's labels; NULL */
	const char *project;
	const char *image;
	const char *cgroup;        /* path of a control group; NULL */
	const char *pod;           /* of Kubernetes, "namespace/name", on its node; NULL */
	const char *engine;        /* socket of the engine; NULL: the usual places */
	bool system;               /* the whole machine */
	bool stop_on_restart;      /* the first end of a container is the end; else a restart is followed */
	const char *ready;         /* command only: "http://...", "tcp:PORT", "tcp:HOST:PORT", a duration, or NULL */
	uint64_t ready_timeout_ns;
	uint64_t stop_timeout_ns;  /* SIGTERM to SIGKILL */
	const char *directory;     /* working folder of the command; NULL for ours */
	int output_fd;             /* the command's stdout and stderr go here */
};

/** Everything about the processes that other parts may ask. */
struct target_status {
	bool held;      /* launched, not released */
	bool exited;    /* the root process (or all of them) ended */
	int wait_status; /* of a launched root process, as waitpid gives it; 0 when not known */
};

/**
 * Find or launch (held) the target and start tracking it.
 *
 * Returns: 0; PFC_ETARGET (no such process: the closest names in the hint; several: all listed); PFC_EINVAL; PFC_EPERM.
 */
int target_open(const struct target_config *config, struct target **ret, struct pfc_error *err);

/** Add to the environment of a held command. A name ending in _PRELOAD, or PATH-like lists, are appended with a colon. */
int target_set_env(struct target *target, const char *name, const char *value, struct pfc_error *err);

/** Let a held command exec. Fails with the exec's own error (PFC_ETARGET: no such program, ...). */
int target_release(struct target *target, struct pfc_error *err);

/**
 * After release: whether `ready` holds now. 1 yes, 0 not yet, <0 failed (timeout, the command ended: its last output lines
 * are in the error). Poll it every 10 ms or so; it never blocks longer than 50 ms.
 */
int target_is_ready(struct target *target, struct pfc_error *err);

/** A descriptor that becomes readable when the target has exited. */
int target_exit_fd(const struct target *target);
void target_status(struct target *target, struct target_status *ret);

/** "command", "pid", "process", "container", "pod", "cgroup", "system"; and a name for people. */
const char *target_kind(const struct target *target);
const char *target_name(const struct target *target);

/** What a launched command will execute, as a path; NULL of other kinds. Until it is released its process is still profcore. */
const char *target_program(const struct target *target);

/** Thread-group ids tracked now, the root first; the caller frees *ret_pids. */
int target_pids(struct target *target, int32_t **ret_pids, uint32_t *ret_count, struct pfc_error *err);

/** For target.json: kind, name, pids with start time, executable, build-id where cheap, cmdline (bounded), kernel, cpus. */
json_t *target_to_json(struct target *target);

/** Its folder now on the unified hierarchy when it is a control group as a whole, else "". The caller frees. */
char *target_cgroup(struct target *target);

/** 1, and one more for each restart of its container. */
uint32_t target_generation(struct target *target);

/** When its generations after the first were noticed, at most `room`; returns how many. */
uint32_t target_restarts(struct target *target, uint64_t *ret_ns, uint32_t room);

/** Whether its container was made anew under another id, so that its control group has another folder. */
bool target_has_moved(struct target *target);

/** Whether the kernel was seen to kill in it for lack of memory. */
bool target_was_oom(struct target *target);

/** How it is tracked, for the log and the manifest: "perf" or "proc" and why. */
const char *target_tracking(const struct target *target);

/**
 * A new stream for one stage. Returns the stage's end of a socket; the caller passes it on and closes it. The tracker serves
 * its own end from its thread until the stage closes or the target is closed.
 */
int target_serve(struct target *target, bool may_open_files, int *ret_fd, struct pfc_error *err);

/** End of the run: stop what we launched (SIGTERM, stop_timeout, SIGKILL to the whole group), stop tracking, free. */
void target_close(struct target *target);

#endif
