/* SPDX-License-Identifier: MIT */
/*
 * Unwinding a copied user stack by call frame information. Per frame: the table's rule, else (code without information) the
 * frame pointer, else stop, always with a reason. Only rip, rsp and rbp are followed; a stack that needs more registers
 * further out is walked again with all of them.
 */
#ifndef CORE_STACKS_UNWIND_H
#define CORE_STACKS_UNWIND_H

#include "stacks/unwind_table.h"

/** Why a walk ended. */
enum unwind_end {
	UNWIND_END_ROOT = 0, /* complete: a frame that has no caller */
	UNWIND_END_COPY,     /* the copy of the stack ended first */
	UNWIND_END_UNMAPPED, /* an address in no executable mapping */
	UNWIND_END_NO_CFI,   /* no information, and no usable frame pointer */
	UNWIND_END_BROKEN, /* information that leads nowhere: the stack did not grow, a register is not known */
	UNWIND_END_DEPTH, /* more frames than the caller takes */
	UNWIND_ENDS,
	UNWIND_END_LATER = UNWIND_ENDS, /* not known yet: walk again */
};

/** What is known of an address. */
enum unwind_code {
	UNWIND_CODE_UNMAPPED = 0,
	UNWIND_CODE_BARE,  /* mapped, no information */
	UNWIND_CODE_TABLE, /* *ret_table and *ret_vaddr are set */
	UNWIND_CODE_LATER, /* its file is being opened */
};

/** Finds the table for an address. */
typedef enum unwind_code (*unwind_code_fn)(void *ctx, uint64_t address, struct unwind_table **ret_table,
					   uint64_t *ret_vaddr);

/** Looked-up rules by address; belongs to one address space at one stamp. */
struct unwind_cached {
	uint64_t stamp, address;
	struct unwind_rule rule;
	uint32_t code; /* enum unwind_code */
};

#define UNWIND_CACHE_SLOTS 8192U

struct unwind_walk {
	/* in */
	uint64_t registers[CFI_REGISTERS];
	uint32_t known;       /* bit n: registers[n]; rip and rsp are needed */
	const uint8_t *stack; /* from rsp up */
	uint64_t stack_bytes;
	unwind_code_fn code;
	void *ctx;
	struct unwind_cached *cache; /* UNWIND_CACHE_SLOTS */
	uint64_t stamp;
	uint64_t *ips; /* out: addresses to look up: the first exact, a caller's inside its call */
	uint32_t room;
	/* out */
	uint32_t count;
	enum unwind_end end;
	uint64_t stack_used;       /* bytes of the copy up to the outermost frame */
	uint32_t by_frame_pointer; /* steps that had no information */
	uint32_t kept_pointer;     /* steps at which rbp pointed to the frame, by the information */
};

void unwind(struct unwind_walk *walk);

#endif
