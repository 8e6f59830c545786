/* SPDX-License-Identifier: MIT */
/* One stacks artifact in the making: what session.c (adding, resolving, writing) and facts.c share. */
#ifndef CORE_STACKS_SESSION_H
#define CORE_STACKS_SESSION_H

#include <profcore/ext/draft/stacks.h>
#include <profcore/host.h>

#include "stacks/intern.h"
#include "stacks/kernel.h"
#include "stacks/module.h"
#include "stacks/pending.h"
#include "stacks/space.h"
#include "stacks/symbolize.h"

#define SESSION_ROWS 4096 /* buffered before they go to the writer */

/** The location of an instruction pointer, as long as its space has this stamp. */
struct session_cached {
	uint64_t stamp, ip;
	uint32_t location;
	uint32_t is_caller;
};

struct session_counts {
	uint64_t kept;            /* samples resolved */
	uint64_t with_kernel;     /* innermost frame is kernel code */
	uint64_t user_truncated;  /* said by the collector */
	uint64_t kernel_truncated;
	uint64_t user_frames;
	uint64_t unmapped_frames; /* user frames in no mapping */
	uint64_t junk_frames;     /* cut: outermost, in no mapping */
	uint64_t resolved_early;  /* before the target's events had caught up */
	uint64_t target_lost;     /* events of the target that the core lost */
	uint64_t lost_samples;    /* no room in a table */
};

struct pfc_stacks_session {
	const struct pfc_host *host;
	const struct pfc_target_service *target; /* NULL: none */
	const struct pfc_writer *writer;
	char *port, *event, *weight_unit;
	struct intern_tables tables;
	uint32_t threads_table, samples_table, frames_table;

	struct intern intern;
	struct modules modules;
	struct spaces spaces;
	struct kernel kernel;
	struct pending_queue pending;
	struct session_cached *cache;
	uint64_t sync_ns;     /* the target's events before this have been taken in */
	uint64_t commit_ns;   /* of the last commit */
	uint64_t newest_ns;   /* latest sample added */
	int status;           /* the writer's first error */
	bool is_finished;
	struct session_counts counts;

	struct {
		uint64_t time_ns[SESSION_ROWS], weight[SESSION_ROWS];
		int32_t pid[SESSION_ROWS], tid[SESSION_ROWS], cpu[SESSION_ROWS];
		uint32_t stack[SESSION_ROWS];
		uint32_t count;
	} samples;
	struct {
		uint64_t time_ns[SESSION_ROWS];
		int32_t pid[SESSION_ROWS], tid[SESSION_ROWS];
		uint32_t name[SESSION_ROWS];
		uint32_t count;
	} threads;
};

int session_open(const struct pfc_host *host, const struct pfc_target_service *target,
		 const struct pfc_stacks_config *config, struct pfc_stacks_session **ret);
int session_add(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample);
int session_tick(struct pfc_stacks_session *session, uint64_t complete_ns);
int session_finish(struct pfc_stacks_session *session);
void session_close(struct pfc_stacks_session *session);
uint64_t session_sample_count(const struct pfc_stacks_session *session);

/** State how complete the artifact is (facts.c). frames: as symbolized; 0 or the writer's error. */
int facts_state(const struct pfc_stacks_session *session, const struct frames *frames,
		const struct symbolize_notes *notes, double symbolize_ms);

#endif
