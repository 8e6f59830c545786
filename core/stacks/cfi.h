/* SPDX-License-Identifier: MIT */
/*
 * DWARF call frame information of x86-64: .eh_frame (and .debug_frame) entries, read and interpreted. Knows nothing of
 * processes; the bytes are hostile: everything is bounded by the section.
 */
#ifndef CORE_STACKS_CFI_H
#define CORE_STACKS_CFI_H

#include <stdbool.h>
#include <stdint.h>

/** DWARF numbers of x86-64 registers. */
enum cfi_register {
	CFI_RBX = 3,
	CFI_RBP = 6,
	CFI_RSP = 7,
	CFI_RIP = 16,
	CFI_REGISTERS = 17,
};

/** How the caller's value of a register is found. */
enum cfi_how {
	CFI_UNSET = 0,     /* no rule: the ABI's: callee-saved registers keep their value */
	CFI_SAME,          /* keeps its value */
	CFI_UNDEFINED,     /* gone; for RIP: there is no caller */
	CFI_AT,            /* in memory at CFA + offset */
	CFI_IS,            /* CFA + offset itself */
	CFI_IN,            /* in register `offset` */
	CFI_AT_EXPRESSION, /* in memory at an expression */
	CFI_IS_EXPRESSION,
};

struct cfi_rule {
	uint8_t how;    /* enum cfi_how */
	int32_t offset; /* or the expression's place in the section */
};

/** The rules of a range of addresses. */
struct cfi_row {
	uint64_t start, end;
	bool has_cfa_expression;
	uint8_t cfa_register;
	bool is_signal_frame;
	int32_t cfa_offset; /* or the expression's place in the section */
	struct cfi_rule rules[CFI_REGISTERS];
};

struct cfi_section {
	const uint8_t *data;
	uint64_t bytes;
	uint64_t vaddr; /* of data[0] */
	bool is_debug_frame;
};

/** What the entries of one common information entry share. */
struct cfi_common {
	uint64_t offset; /* in the section; UINT64_MAX: none read yet */
	uint64_t code_factor;
	int64_t data_factor;
	uint64_t program, program_end;
	uint8_t pointer_encoding;
	bool has_augmentation;
	bool is_signal_frame;
	struct cfi_row initial;
};

/** One function's entry. */
struct cfi_entry {
	uint64_t start, end;           /* addresses */
	uint64_t common;               /* offset of its cfi_common */
	uint64_t program, program_end; /* offsets in the section */
};

/**
 * Read the entry at *offset and move *offset behind it. `common` is a cache of the last one read.
 * Returns: 1 an entry; 0 something to skip; PFC_ENOENT the end; PFC_ECORRUPT: from here on the section makes no sense.
 */
int cfi_next(const struct cfi_section *section, uint64_t *offset, struct cfi_common *common,
	     struct cfi_entry *ret);

/** Called for each row in ascending order; not 0 stops. */
typedef int (*cfi_row_fn)(void *ctx, const struct cfi_row *row);

/** Interpret an entry. 0; PFC_ECORRUPT (rows before the fault were delivered); what on_row returned. */
int cfi_run(const struct cfi_section *section, const struct cfi_entry *entry, struct cfi_common *common,
	    cfi_row_fn on_row, void *ctx);

/** The row of an address within an entry. 0; PFC_ENOENT, PFC_ECORRUPT. */
int cfi_find(const struct cfi_section *section, const struct cfi_entry *entry, struct cfi_common *common,
	     uint64_t address, struct cfi_row *ret);

/** Read memory for an expression; 0 or an error. */
typedef int (*cfi_read_fn)(void *ctx, uint64_t address, void *to, uint32_t bytes);

/** What an expression may see. */
struct cfi_state {
	uint64_t registers[CFI_REGISTERS];
	uint32_t known; /* bit n: registers[n] is known */
	cfi_read_fn read;
	void *ctx;
};

/** Evaluate an expression at a place in the section; `cfa` is pushed first when not NULL. 0, PFC_ECORRUPT, or the read's error. */
int cfi_evaluate(const struct cfi_section *section, uint64_t place, const struct cfi_state *state,
		 const uint64_t *cfa, uint64_t *ret);

#endif
