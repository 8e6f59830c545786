/* SPDX-License-Identifier: MIT */
/*
 * A run: the plan carried out. PROBE -> PREPARE -> T0 == window == T1 -> DRAIN -> TRANSFORM -> SEAL, every phase with a
 * deadline, the manifest valid at every instant, and whatever a stage does, only that stage is lost.
 */
#ifndef CORE_RUN_RUN_H
#define CORE_RUN_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "plan/plan.h"
#include "run/rundir.h"
#include "run/stage.h"
#include "target/target.h"

struct progress;
struct beside;

/** What became of a run, for who started it in another process: plain memory, which may be shared. */
struct run_outcome {
	char id[128];
	bool has_data; /* an output of a driver or collector is there */
};

/** Its place in a series. */
struct run_series {
	uint64_t number;
	uint64_t every_ns;
	uint64_t due_ns; /* when it was to begin, CLOCK_MONOTONIC */
};

/** How to run, besides the plan. Borrowed. */
struct run_settings {
	const struct config *config; /* for config.effective.ini */
	const char *in_process;      /* name of a stage that runs as a thread of the core; NULL */
	bool is_json;                /* one object on standard output at the end, and nothing else there */
	bool is_quiet;
	const struct run_series *series; /* NULL for a run by itself */
	struct run_outcome *outcome;     /* filled at the end; NULL */
	const struct beside *beside;     /* replay: runs whose artifacts are joined to it; NULL */
	const char *replay_of;           /* folder of the stored run whose artifacts are used; NULL */
};

/** What came of asking every stage whether it can work here. */
struct run_probed {
	const struct run
		*run;        /* its target is open, or target_failure says why not; stages as they answered */
	int exit_code;       /* that a run would have up to here */
	const json_t *notes; /* [{"stage", "level", "text"}]: what stages logged meanwhile */
};

/** Exit codes (design, section 5). */
enum exit_code {
	EXIT_CODE_OK = 0,
	EXIT_CODE_FAILED = 1,
	EXIT_CODE_USAGE = 2,
	EXIT_CODE_TARGET = 3,
	EXIT_CODE_ENVIRONMENT = 4,
	EXIT_CODE_NO_DATA = 5,
	EXIT_CODE_GATE = 99,
	EXIT_CODE_ABANDONED = 130,
};

/** Where the run is; the manifest's "phase". */
enum run_phase {
	PHASE_PLAN = 0,
	PHASE_PROBE,
	PHASE_PREPARE,
	PHASE_WINDOW,
	PHASE_DRAIN,
	PHASE_TRANSFORM,
	PHASE_SEALED,
};

struct run {
	const struct plan *plan;
	const struct run_settings *settings;
	struct rundir *dir;
	struct target *target; /* NULL without */
	int target_log_fd;
	struct run_stage *stages; /* as plan->stages */
	int stop_fd;              /* eventfd: readable when collectors must stop */
	int driver_stop_fd;       /* likewise for drivers, which stop first */
	int signal_fd;
	enum run_phase phase;
	unsigned interrupts; /* Ctrl-C so far */
	bool is_abandoned;
	uint64_t began_ns;
	uint64_t t0_ns;
	uint64_t t1_ns;
	uint64_t realtime_t0_ns;
	uint64_t duration_ns;
	uint64_t deadline_ns;   /* for each phase of a stage */
	const char *end_reason; /* "duration", "target exited", "interrupted", "drivers done" */
	struct pfc_error target_failure;
	json_t *warnings;
	json_t *summary;
	json_t *stored;       /* replay: what the stored run's manifest said; NULL else */
	FILE *log;            /* logs/run.log */
	json_t *target_facts; /* {kind, name}, for the manifest; NULL without */
	json_t *notes;        /* run_probe: what would be logged is kept here instead; NULL else */
	const char *output;   /* folder of runs, in place of run.output; NULL */
	struct progress *progress;
	bool has_write_error; /* the run folder could not be written: the exit code must not be 0 */
};

/** The stages of a run that measure: drivers and collectors. */
#define for_each_measuring(run, stage)                                                                       \
	for (struct run_stage *stage = (run)->stages; stage < (run)->stages + (run)->plan->stage_count;      \
	     stage++)                                                                                        \
		if (!plan_is_measuring(stage->plan)) {                                                       \
		} else

/** Whether a window was opened, in this run or in the one that is replayed. Without one there is nothing to transform. */
bool run_has_window(const struct run *run);

/** Whether any of them has a process. */
bool run_any_alive(const struct run *run);

/** Carry the plan out. *ret_exit: the exit code; failures are told to the user here. Returns <0 only when no run was made. */
int run_execute(const struct plan *plan, const struct run_settings *settings, int *ret_exit,
		struct pfc_error *err);

/**
 * Find the target, start every stage and ask it whether it can work here; then end them all. Nothing is measured, a launched
 * command is not released, and nothing is left on disk. `look` is called once, while the target is still open.
 */
int run_probe(const struct plan *plan, const struct config *config,
	      void (*look)(void *ctx, const struct run_probed *probed), void *ctx, struct pfc_error *err);

#endif
