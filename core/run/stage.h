/* SPDX-License-Identifier: MIT */
/*
 * One stage as the core sees it: its process, what it was asked to do and until when, what it said, what became of its
 * outputs. The core never runs the plugin's code and trusts nothing that it says.
 */
#ifndef CORE_RUN_STAGE_H
#define CORE_RUN_STAGE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "plan/plan.h"
#include "run/rundir.h"

enum stage_state {
	STAGE_PLANNED = 0, /* no process yet */
	STAGE_ALIVE,       /* its process lives */
	STAGE_DONE,        /* ended as it should */
	STAGE_FAILED,      /* failed, crashed, hung */
	STAGE_SKIPPED,     /* not started: what it needs failed, or the run ended before */
};

enum output_state {
	OUTPUT_PLANNED = 0,
	OUTPUT_WRITING,
	OUTPUT_COMPLETE,
	OUTPUT_PARTIAL,
	OUTPUT_FAILED,
	OUTPUT_ABSENT, /* optional, and not made: its stage said why, or it would be of an artifact that is absent */
};

struct run_output {
	const struct plan_output *plan;
	int fd; /* the core's own descriptor, -1 when not made */
	enum output_state state;
	bool is_sealed;
	json_t *report; /* rows, lost, facts, ...: what the stage said, or a reader found; NULL */
};

struct run_stage {
	const struct plan_stage *plan;
	enum stage_state state;
	pid_t pid;
	int pidfd; /* readable when it has ended */
	bool is_thread; /* --in-process: a thread of the core instead of a process; nothing can end it but itself */
	pthread_t thread;
	int control; /* socket, -1 when closed */
	const char *waiting; /* what it was asked to do and has not answered: "probe"; NULL */
	uint64_t deadline_ns; /* for that; 0: none */
	uint64_t asked_ns;
	bool has_run;    /* its run has begun */
	bool run_ended;  /* and returned */
	bool was_termed; /* SIGTERM was sent: SIGKILL is next */
	bool is_quitting; /* told to quit, or killed: its end is no surprise */
	bool is_reaped;
	bool is_settled;     /* its end was dealt with: settle_end does so once */
	bool is_spared;      /* skipped because there is nothing to do: all that it would read is absent */
	unsigned log_lines;  /* taken from it */
	int wait_status;
	uint64_t started_ns; /* when start returned; 0 */
	uint64_t stopped_ns; /* when stop returned; 0 */
	char failed_phase[16];
	struct pfc_error failure; /* the first */
	struct run_output *outputs; /* as plan->outputs */
	double *metrics;            /* as the manifest's metrics; NAN until said */
	json_t *gates;
	json_t *env; /* {name: value} for a launched target */
};

int run_stage_init(struct run_stage *stage, const struct plan_stage *plan, struct pfc_error *err);
void run_stage_finish(struct run_stage *stage);

/** Ask for a phase; the answer must come before now + deadline. Extra members of the message come from `more` [moved]. */
void run_stage_ask(struct run_stage *stage, const char *phase, uint64_t deadline_ns, json_t *more);

/** Send something that has no answer; never waits, a stage that does not read loses it. [moved] message. */
void run_stage_tell(struct run_stage *stage, json_t *message);

/** Tell it to quit and close the socket. */
void run_stage_quit(struct run_stage *stage);

/** Note the first failure of a stage. */
void run_stage_fail(struct run_stage *stage, const char *phase, const struct pfc_error *err);

/** SIGTERM first, SIGKILL when asked again. */
void run_stage_kill(struct run_stage *stage);

/** Reap the process when it has ended; true when it has. A surprising end becomes the stage's failure. */
bool run_stage_reap(struct run_stage *stage);

bool run_stage_is_driver(const struct run_stage *stage);
bool run_stage_is_alive(const struct run_stage *stage);
/** Alive, and has failed nothing. */
bool run_stage_is_well(const struct run_stage *stage);

const char *run_stage_state_name(const struct run_stage *stage);
const char *run_output_state_name(const struct run_output *output);

#endif
