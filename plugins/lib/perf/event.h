/* SPDX-License-Identifier: MIT */
/*
 * Which event is sampled, and how it is asked of the kernel. The choice is made by really opening the event on ourselves:
 * what opens there, with the same attributes, is what the window uses.
 */
#ifndef LIB_PERF_EVENT_H
#define LIB_PERF_EVENT_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>

#include "refusal.h"

/** The sample fields, in the order in which record.c reads them. CALLCHAIN is added where stacks are wanted. */
#define PERF_SAMPLE_FIELDS                                                                                   \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU |    \
	 PERF_SAMPLE_PERIOD)

/* What a copied stack is walked from: all general registers (a rule of a stack that realigns itself may name any), flags and
 * segments without those four that the kernel does not give for 64-bit code. 0: no walks on this machine. */
#ifdef __x86_64__
#define PERF_USER_REGS 0xff0fffull
#else
#define PERF_USER_REGS 0ull
#endif

/** The most that fits: the kernel takes multiples of 8 below 64 KiB. */
#define PERF_STACK_MAX_BYTES 65528u

/** What the user asked for. */
struct perf_event_wish {
	const char *name;      /* "auto", "cycles", ... */
	uint64_t frequency_hz; /* > 0 */
	uint64_t period;       /* of events, or ns of a clock, between samples; 0: by frequency_hz */
	uint32_t max_stack;
	bool callchain;
	bool kernel;
	bool user;
	uint32_t
		user_stack_bytes; /* > 0: registers and so much user stack with each sample, a multiple of 8 */
	bool branch_stack;        /* the CPU's record of calls (LBR) */
	uint64_t more_fields;     /* PERF_SAMPLE_ADDR, _RAW, _REGS_USER: what record.h reads besides */
};

/** An event that this machine has. */
struct perf_event {
	const char *name;
	uint32_t type;
	uint64_t config, config1, config2;
	bool is_clock;  /* its period is ns of CPU time */
	bool kernel;    /* kernel code is seen */
	bool user;      /* user code is seen */
	bool callchain; /* by frame pointers; with user_stack_bytes the kernel's part only */
	bool branch_stack;
	bool task;          /* forks and exits are told in the ring too; for the caller to set */
	bool is_narrowed;   /* by its modifiers: what else is counted need not be */
	bool is_substitute; /* the machine lacks what was asked for: the note says it */
	uint8_t precise;    /* the kernel's precise_ip that it gave */
	bool switches;      /* context switches of the same threads too; for the caller to set */
	bool has_lost;      /* the kernel counts lost samples by event (PERF_FORMAT_LOST, Linux 6.0) */
	uint32_t max_stack;
	uint64_t more_fields;
	uint32_t user_stack_bytes; /* 0: user stacks are not copied */
	uint64_t frequency_hz;
	uint64_t period; /* 0: the kernel adjusts it to frequency_hz */
	char note[512];  /* what differs from the wish, for the log; "" when nothing does */
};

/** Choose and try. Returns 0, or refusal->status with the reason in refusal; *ret is written only on success. */
int perf_event_choose(const struct perf_event_wish *wish, struct perf_event *ret,
		      struct perf_refusal *refusal);

/**
 * Likewise the first of several that this machine has; a note says which it lacks. Where it lacks all, and all are events of
 * the CPU: cpu-clock. Without words: wish->name.
 */
int perf_event_choose_first(const struct perf_event_wish *wish, const char *const *words, uint32_t word_count,
			    struct perf_event *ret, struct perf_refusal *refusal);

/** The attributes under which the event is opened, disabled and inherited. */
void perf_event_fill(const struct perf_event *event, struct perf_event_attr *ret);

/** perf_event_open(2), closed on exec. Returns a descriptor, or -errno. */
int perf_event_open(const struct perf_event_attr *attr, int32_t pid, int32_t cpu);

/** Likewise on a control group's folder, open as folder_fd, on one CPU; `attr` is changed to what such an event may be. */
int perf_event_open_group(struct perf_event_attr *attr, int32_t folder_fd, int32_t cpu);

/** Refuse a word that spec_parse refused; `option` is whose word it is. Returns refusal->status. */
int perf_event_refuse_word(const char *option, const char *word, int error, struct perf_refusal *refusal);

#endif
