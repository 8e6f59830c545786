/* SPDX-License-Identifier: MIT */
/*
 * profcore.stacks/1 (draft): the host's stack service.
 *
 * Feed it what was observed (instruction pointers, or registers and a copy of the stack); it unwinds, finds the module of
 * each address at that time, interns, symbolizes, and writes a "profcore.stacks/1" artifact to one output port. The
 * plugin keeps no table of its own. Mappings and process names come from the core's tracker: a plugin that sees such
 * records itself has no need to pass them on.
 */
#ifndef PROFCORE_EXT_DRAFT_STACKS_H
#define PROFCORE_EXT_DRAFT_STACKS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PFC_EXT_STACKS "profcore.stacks/1"

/** What a stacks artifact is about. */
struct pfc_stacks_config {
	uint32_t struct_size;
	uint32_t flags;          /* 0 */
	const char *port;        /* output port of type profcore.stacks/1 */
	const char *event;       /* what one sample is: "cpu-clock", "cycles", "page-faults" */
	const char *weight_unit; /* unit of pfc_stack_sample.weight: "ns", "bytes", "count" */
	uint64_t reserved[4];
};

/** Flags of a sample. */
enum pfc_stack_flags {
	PFC_STACK_KERNEL_TRUNCATED = 1, /* the collector knows that frames are missing at the kernel's end */
	PFC_STACK_USER_TRUNCATED = 2,   /* likewise at the user's end */
	PFC_STACK_CALLERS = 4,          /* user_ips holds return addresses only: the first is a caller too */
	PFC_STACK_WALKED = 8,           /* user_ips come from walk(), walk_end too */
	PFC_STACK_FRESH = 16,           /* for walk(): the process may just have begun a program; wait until that is known */
};

/** One observation. Arrays are borrowed until add returns. */
struct pfc_stack_sample {
	uint32_t struct_size;
	uint32_t flags; /* enum pfc_stack_flags */
	uint64_t time_ns;
	uint64_t weight;
	int32_t pid;
	int32_t tid;
	int32_t cpu; /* -1: not known */
	uint32_t kernel_ip_count;
	const uint64_t *kernel_ips; /* innermost first */
	const uint64_t *user_ips;   /* innermost first; ignored when stack_bytes > 0 and regs_mask != 0 */
	uint32_t user_ip_count;
	uint32_t reserved0;
	uint64_t regs_mask;   /* bit n: register n of the kernel's perf_regs.h is there; 0: none */
	const uint64_t *regs; /* in ascending bit order */
	const void *stack;    /* user stack from the stack pointer up */
	uint64_t stack_bytes; /* how much of it was copied */
	uint32_t walk_end;    /* with PFC_STACK_WALKED: what walk() gave */
	uint32_t reserved1;
};

/** How the walks of copied stacks went so far, for a collector that fits the size of its copies to them. */
struct pfc_stack_use {
	uint32_t struct_size;
	uint32_t reserved0;
	uint64_t complete;  /* walks that came to the root */
	uint64_t cut;       /* walks that ended where the copy did */
	uint64_t max_bytes; /* most that a complete walk used of its copy */
};

/** A stack as walk() found it: to be added later, more than once, or to another session of the same stage. */
struct pfc_stack_walk {
	uint32_t struct_size;
	uint32_t walk_end; /* out: for pfc_stack_sample.walk_end */
	uint64_t *ips;     /* in: room for `room` addresses; out: innermost first */
	uint32_t room;
	uint32_t count; /* out */
};

/** One artifact in the making. */
struct pfc_stacks_session;

/** The service. */
struct pfc_stacks {
	uint32_t struct_size;
	uint32_t reserved0;
	void *ctx; /* pass it to open only */

	/**
	 * Begin. Call it in prepare. A stage may have several sessions, one a port; all are opened before any is fed, and used
	 * by one thread.
	 * Thread:  [control]
	 * Memory:  copies config. The session belongs to the caller until close.
	 * Returns: 0; PFC_EINVAL (also: another session has been fed), PFC_ENOENT (port), PFC_ENOMEM.
	 */
	int32_t (*open)(void *ctx, const struct pfc_stacks_config *config, struct pfc_stacks_session **ret);

	/**
	 * Add a sample. Samples need not be in order of time, but those of one tick should be within a second.
	 * Thread:  [owner]
	 * Returns: 0; PFC_ENOMEM; the writer's error. A sample that could not be kept is counted as a loss.
	 */
	int32_t (*add)(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample);

	/**
	 * Say that every observation before `complete_ns` was added: pending samples are resolved and committed. Call it after
	 * each drain, ten times a second or so.
	 * Thread:  [owner]
	 * Returns: 0 or the writer's error.
	 */
	int32_t (*tick)(struct pfc_stacks_session *session, uint64_t complete_ns);

	/**
	 * Resolve what is pending, symbolize, append `frames`, state the facts (samples, rooted_pct, unknown_pct, ...). Call it
	 * in finish.
	 * Thread:  [control]
	 * Returns: 0; PFC_ENODATA when no sample was added, or none within the window; the writer's error.
	 */
	int32_t (*finish)(struct pfc_stacks_session *session);

	/** Free the session; NULL is fine. Thread: [control] */
	void (*close)(struct pfc_stacks_session *session);

	/** How many samples the session has kept so far. Thread: [owner] */
	uint64_t (*sample_count)(const struct pfc_stacks_session *session);

	/**
	 * How much of the copied stacks the walks needed. The caller sets ret->struct_size. Test it with PFC_HAS: a host that
	 * has it walks copied stacks on this machine; NULL where it does not.
	 * Thread:  [owner]
	 * Returns: 0 or PFC_EINVAL.
	 */
	int32_t (*stack_use)(const struct pfc_stacks_session *session, struct pfc_stack_use *ret);

	/**
	 * Walk the registers and stack of a sample now and add nothing: for a collector that learns only later what the stack
	 * weighs. Such a stack is added with PFC_STACK_WALKED. Test it with PFC_HAS.
	 * Thread:  [owner]
	 * Memory:  the caller sets ret->struct_size, ips and room.
	 * Returns: 0; PFC_EAGAIN: a mapping on the way is not known yet, ask again after the next tick (*ret is what is known);
	 *          PFC_EINVAL: the sample brings no registers and stack; PFC_ENOMEM.
	 */
	int32_t (*walk)(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample,
			struct pfc_stack_walk *ret);

	/**
	 * The row that a walked stack (PFC_STACK_WALKED) has in the artifact's table `stacks`; made when it is new, without a sample.
	 * For tables of the plugin that name stacks. Call it after the last tick, before finish. Test it with PFC_HAS.
	 * Thread:  [owner]
	 * Returns: 0; PFC_EINVAL: not a walked stack; PFC_ENOMEM.
	 */
	int32_t (*intern)(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample,
			  uint32_t *ret_stack);

	/**
	 * The name of a frame of a stack row, after finish. frame: 0 is the innermost, inlined functions count.
	 * Thread:  [owner]
	 * Memory:  texts live as long as the session; "" where there is no name.
	 * Returns: 0; PFC_ENOENT: the stack has no such row or frame, or finish was not called.
	 */
	int32_t (*name)(const struct pfc_stacks_session *session, uint32_t stack, uint32_t frame,
			const char **ret_function, const char **ret_module);
};

#ifdef __cplusplus
}
#endif
#endif
