/* SPDX-License-Identifier: MIT */
/* One stacks artifact in the making: what the files session*.c and facts.c share. */
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
#include "stacks/unwind.h"

#define SESSION_ROWS  4096   /* buffered before they go to the writer */
#define SESSION_DEPTH 1024   /* frames of a walk */
#define SESSION_CACHE 16384U /* slots of session_cached */

/** The location of an instruction pointer, as long as its space has this stamp. */
struct session_cached {
	uint64_t stamp, ip;
	uint32_t location;
	uint32_t is_caller;
};

struct session_counts {
	uint64_t kept;           /* samples resolved */
	uint64_t with_kernel;    /* innermost frame is kernel code */
	uint64_t user_truncated; /* said by the collector */
	uint64_t kernel_truncated;
	uint64_t user_frames;
	uint64_t unmapped_frames; /* user frames in no mapping */
	uint64_t junk_frames;     /* cut: outermost, in no mapping */
	uint64_t resolved_early;  /* before the target's events had caught up */
	uint64_t target_lost;     /* events of the target that the core lost */
	uint64_t lost_samples;    /* no room in a table */
	uint64_t walked;          /* by registers and stack */
	uint64_t ends[UNWIND_ENDS];
	uint64_t walked_early;     /* the process had exec'd, told later: only the innermost frame was kept */
	uint64_t by_frame_pointer; /* steps of walks through code without information */
	uint64_t stack_bytes_max;  /* most that a complete walk used of its copy */
	uint64_t stack_bytes_used; /* what all complete walks used of theirs */
	uint64_t walked_whole;     /* complete walks */
	uint64_t whole_steps;      /* from a frame to its caller, in those */
	uint64_t kept_pointer;     /* of them: where rbp pointed to the frame */
	uint64_t whole_by_pointer; /* complete walks in which it did all the way */
};

/** The target's events, which a stage has once: whoever takes them gives them to all its sessions. */
struct session_stream {
	const struct pfc_target_service *target; /* NULL: none */
	struct pfc_stacks_session *first;        /* linked by `next` */
	int cache_folder;                        /* cache.h; -1: none */
	bool is_begun;                           /* events were taken: a session that comes now lacks them */
};

struct pfc_stacks_session {
	const struct pfc_host *host;
	struct session_stream *stream;
	struct pfc_stacks_session *next;         /* of the stream */
	const struct pfc_target_service *target; /* NULL: none */
	const struct pfc_writer *writer;
	char *port, *event, *weight_unit;
	struct intern_tables tables;
	uint32_t threads_table, samples_table, frames_table;

	struct intern intern;
	struct modules modules;
	struct spaces spaces;
	const struct kernel *kernel; /* the service's */
	struct kernel_rows kernel_rows;
	struct pending_queue pending;
	struct session_cached *cache;
	struct unwind_cached *rules; /* UNWIND_CACHE_SLOTS; made with the first walk */
	uint64_t walked_ips[SESSION_DEPTH];
	uint64_t sync_ns;                     /* the target's events before this have been taken in */
	uint64_t commit_ns;                   /* of the last commit */
	uint64_t newest_ns;                   /* latest sample added */
	uint64_t kept_first_ns, kept_last_ns; /* of the samples kept; 0: none */
	int status;                           /* the writer's first error */
	bool is_finished;
	struct session_counts counts;
	struct frames frames; /* after finish, for names */
	uint32_t *
		frames_end; /* of each location: one past its rows in `frames`; made when a name is asked for */

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

int session_open(const struct pfc_host *host, struct session_stream *stream, const struct kernel *kernel,
		 const struct pfc_stacks_config *config, struct pfc_stacks_session **ret);
int session_add(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample);
int session_tick(struct pfc_stacks_session *session, uint64_t complete_ns);
int session_finish(struct pfc_stacks_session *session);
void session_close(struct pfc_stacks_session *session);
uint64_t session_sample_count(const struct pfc_stacks_session *session);

/** Rows (session_rows.c): the first error of the writer stays in session->status and is what each of these returns. */
int session_remember(struct pfc_stacks_session *session, int status);
int session_write_rows(struct pfc_stacks_session *session);
int session_commit(struct pfc_stacks_session *session);
int session_write_frames(struct pfc_stacks_session *session, const struct frames *frames);

/** space.h: on_name. ctx: the session. A thread's name goes out when a sample needs it, or before it is replaced. */
int session_write_name(void *ctx, struct space_thread *thread);

/** The row of a sample's stack, outermost user frame first, innermost kernel frame last (session_resolve.c). */
int session_resolve(struct pfc_stacks_session *session, struct pending *sample, uint32_t *ret);

/** Take in what the target's stream has (session.c). */
void session_drain(struct pfc_stacks_session *session);

/** Whether a sample brings registers and stack to walk (session_walk.c). */
bool session_has_registers(const struct pfc_stack_sample *sample);

/**
 * Walk a sample's stack and add it to the pending ones; held back where the mappings are not known yet.
 * Returns: 0; PFC_ENOSPC: the queue is full; PFC_ENOMEM.
 */
int session_add_walk(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample);

/** Walk a sample's stack into *ret. Returns 0; PFC_EAGAIN: mappings are missing that may be announced; PFC_EINVAL; PFC_ENOMEM. */
int session_walk(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample,
		 struct pfc_stack_walk *ret);

/** Add a stack that was walked before. Returns as session_add_walk. */
int session_add_walked(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample);

/** The row of a walked stack: see the header. */
int session_intern(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample, uint32_t *ret);

/** The name of a frame of a stack (session_name.c). */
int session_name(struct pfc_stacks_session *session, uint32_t stack, uint32_t frame,
		 const char **ret_function, const char **ret_module);

/** How much of their copies the walks needed, so far. */
void session_stack_use(const struct pfc_stacks_session *session, struct pfc_stack_use *ret);

/** Walk a stack that was held, now that the mappings are known: the addresses are in walked_ips. Returns their number. */
uint32_t session_walk_held(struct pfc_stacks_session *session, struct space *space, struct pending *sample);

/** State how complete the artifact is (facts.c). frames: as symbolized; 0 or the writer's error. */
int facts_state(const struct pfc_stacks_session *session, const struct frames *frames,
		const struct symbolize_notes *notes, double symbolize_ms);

/** State the fact `started_as`: lines "PATH as NAME", of programs whose file is called otherwise (started_as.c). */
int started_as_state(struct pfc_stacks_session *session);

#endif
