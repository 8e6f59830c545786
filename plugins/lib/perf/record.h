/* SPDX-License-Identifier: MIT */
/* Records of a perf ring, read field by field with every length checked. Pointers go into the record: nothing is copied. */
#ifndef LIB_PERF_RECORD_H
#define LIB_PERF_RECORD_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>

/** One sample; pointers go into the record. As event.h's sample type lays it out, with what sample_type adds to it. */
struct perf_record_sample {
	uint64_t id; /* of the event that was opened, also for its inherited copies */
	uint64_t ip;
	uint64_t time_ns;
	uint64_t period;
	uint64_t addr; /* with PERF_SAMPLE_ADDR: what was accessed */
	int32_t pid;
	int32_t tid;
	int32_t cpu;
	bool is_kernel;           /* ip is kernel code */
	uint32_t chain_count;     /* 0 without PERF_SAMPLE_CALLCHAIN */
	const uint64_t *chain;    /* with the kernel's PERF_CONTEXT_... marks */
	const void *raw;          /* with PERF_SAMPLE_RAW: a tracepoint's record; 4-byte aligned */
	uint32_t raw_bytes;       /* with the kernel's padding */
	uint64_t branch_count;    /* with PERF_SAMPLE_BRANCH_STACK */
	const uint64_t *branches; /* three words each: from, to, flags; the newest first */
	uint64_t regs_abi;        /* PERF_SAMPLE_REGS_ABI_...: NONE when the thread has no user code */
	const uint64_t *regs;     /* PERF_USER_REGS, in ascending bit order; NULL when there are none */
	const void *stack;        /* from the stack pointer up; NULL when none was copied */
	uint64_t stack_bytes;     /* that were copied */
	uint64_t stack_asked;     /* bytes that there was room for */
};

/** A call chain parted at its marks. Innermost frame first. */
struct perf_record_chain {
	const uint64_t *kernel;
	const uint64_t *user;
	uint32_t kernel_count;
	uint32_t user_count;
};

/** Read a PERF_RECORD_SAMPLE, 8-byte aligned, header->size bytes long. False when it is too short for what it claims. */
bool perf_record_parse_sample(const struct perf_event_header *header, uint64_t sample_type,
			      struct perf_record_sample *ret);

/** Part a sample's chain; without one, the chain is its ip. */
void perf_record_part_chain(const struct perf_record_sample *sample, struct perf_record_chain *ret);

/** Calls that the CPU recorded as a chain of user code: the ip, then where each was made from. Returns how many were put. */
uint32_t perf_record_branch_chain(const struct perf_record_sample *sample, uint64_t *to, uint32_t room);

/** Who a PERF_RECORD_FORK made, and who made it. False when it is too short, or made no process but a thread. */
bool perf_record_parse_fork(const struct perf_event_header *header, int32_t *ret_pid,
			    int32_t *ret_parent_pid);

/** How many records a PERF_RECORD_LOST or PERF_RECORD_LOST_SAMPLES says were lost; 0 when it is too short. */
uint64_t perf_record_parse_lost(const struct perf_event_header *header);

#endif
