/* SPDX-License-Identifier: MIT */
/*
 * What the backend really did, counted by itself as it happens: CPU time by the clock of the thread that spent it. Tests
 * compare a profile with this, not with the split that was asked for.
 */
#ifndef BACKEND_TRUTH_H
#define BACKEND_TRUTH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "work.h"

/** How often, how many bytes, how long. Updated by all workers. */
struct tally {
	_Atomic uint64_t count;
	_Atomic uint64_t bytes;
	_Atomic uint64_t ns;
};

/** All counts since the start, or the last reset. */
struct truth {
	_Atomic uint64_t since_ns;       /* CLOCK_MONOTONIC */
	_Atomic uint64_t process_cpu_ns; /* CLOCK_PROCESS_CPUTIME_ID at that time */
	_Atomic uint64_t requests;
	_Atomic uint64_t slow_requests;
	struct tally work[WORK_COUNT]; /* calls; thread CPU ns */
	struct tally lock_wait;        /* acquisitions; wall ns until acquired */
	struct tally lock_hold;        /* acquisitions; wall ns held */
	struct tally fsync;            /* write + fsync pairs; bytes written; wall ns */
	struct tally alloc;            /* allocations, all freed again; bytes; wall ns */
	struct tally leak;             /* blocks never freed; bytes asked for */
	struct tally reads;            /* read calls; bytes; wall ns */
	struct tally db;               /* queries; bytes of answers; wall ns */
};

/** A clock's time in ns; 0 when the clock does not exist. */
uint64_t truth_clock_ns(int clock_id);

/** Add to a tally. Any thread. */
void truth_add(struct tally *tally, uint64_t count, uint64_t bytes, uint64_t ns);

/** Begin to count from now, from zero. */
void truth_reset(struct truth *truth);

/** Write all as a JSON object, terminated; returns its bytes, 0 when the room is too small. */
size_t truth_write(struct truth *truth, unsigned threads, char *text, size_t room);

#endif
