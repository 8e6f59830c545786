/* SPDX-License-Identifier: MIT */
/*
 * As much of x86-64's instructions as it takes to walk over the beginning of a function: how long each is, whether the kernel
 * emulates it under a probe, and what it may change. Bytes come from the target: nothing is read past their end.
 */
#ifndef MEMORY_PROBES_INSN_H
#define MEMORY_PROBES_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum insn_kind {
	INSN_PLAIN, /* goes on to the next */
	INSN_PUSH,  /* of a 64-bit register */
	INSN_NOP,   /* one byte */
	INSN_JUMP,  /* direct; `target` says where to */
	INSN_BRANCH,
	INSN_CALL,
	INSN_END, /* return, indirect jump, trap: nothing follows */
};

#define INSN_NO_REGISTER 255

struct insn {
	unsigned length;
	enum insn_kind kind;
	uint8_t writes;   /* general register, 0 to 15 in the encoding's order (7 is rdi); INSN_NO_REGISTER */
	bool is_opaque;   /* it may change registers other than `writes` */
	bool is_test_rdi; /* test %rdi,%rdi */
	bool is_if_zero;  /* BRANCH: je */
	int64_t target;   /* JUMP, BRANCH, CALL: from the instruction's start */
};

/** Returns 0, or -1: too short, or not known. */
int insn_decode(const uint8_t *code, size_t bytes, struct insn *ret);

/** Whether Linux emulates it under a uprobe instead of stepping over a copy of it (arch/x86/kernel/uprobes.c, 4.15 and newer). */
bool insn_is_emulated(const uint8_t *code, const struct insn *insn);

#endif
