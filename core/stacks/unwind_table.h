/* SPDX-License-Identifier: MIT */
/*
 * The call frame information of one file, compiled for speed: sorted rows of four bytes (address in its page, rule number) and
 * each rule once. A rule says how to find the caller's rip, rsp and rbp; the few rows that need more say so and are
 * interpreted from the section.
 */
#ifndef CORE_STACKS_UNWIND_TABLE_H
#define CORE_STACKS_UNWIND_TABLE_H

#include "stacks/cfi.h"
#include "stacks/elf.h"
#include "stacks/hash.h"

#define UNWIND_PAGE        4096ULL
#define UNWIND_ENTRIES_MAX (1U << 24)
#define UNWIND_GAP                                                                                           \
	15 /* bytes between functions that belong to the one before: padding, and calls that do not return */

enum unwind_cfa {
	UNWIND_NONE = 0, /* no information */
	UNWIND_RSP,      /* CFA = rsp + cfa_offset */
	UNWIND_RBP,      /* CFA = rbp + cfa_offset */
	UNWIND_PLT, /* CFA = rsp + 8, and 8 more when rip & 15 >= cfa_offset: what linkers say of a PLT entry */
	UNWIND_ROOT,   /* there is no caller */
	UNWIND_ESCAPE, /* interpret the section */
};

enum unwind_rbp {
	UNWIND_RBP_KEPT = 0,
	UNWIND_RBP_SAVED, /* in memory at CFA + rbp_offset */
	UNWIND_RBP_GONE,
};

/** The return address is at CFA - 8 in every plain rule. */
struct unwind_rule {
	int32_t cfa_offset;
	int32_t rbp_offset;
	uint8_t cfa; /* enum unwind_cfa */
	uint8_t rbp; /* enum unwind_rbp */
	uint8_t is_signal_frame;
	uint8_t reserved0;
};

struct unwind_line {
	uint16_t at; /* address within its page */
	uint16_t rule;
};

/** Where an entry for an address stands in the section; for escapes. */
struct unwind_index {
	uint64_t start;
	uint64_t offset;
};

struct unwind_table {
	struct cfi_section section;
	void *owned;     /* the section's bytes, freed with the table */
	uint64_t base;   /* page of the first row */
	uint32_t *pages; /* first row of each page; one more at the end */
	uint32_t page_count;
	struct unwind_line *lines;
	uint32_t line_count, line_room;
	struct unwind_rule *rules;
	uint32_t rule_count, rule_room;
	struct hash rule_index;
	struct unwind_index *entries; /* made when the first escape is met */
	uint32_t entry_count, entry_room;
	bool has_entries;
};

/**
 * Compile an ELF file's .eh_frame.
 * Returns: 0; PFC_ENOENT: the file has none; PFC_ENOSPC: more than the bound; PFC_ECORRUPT; PFC_ENOMEM.
 */
int unwind_table_read(const struct elf_image *image, const struct elf_headers *headers,
		      struct unwind_table *ret);

/** Compile a section that the caller keeps (owned NULL) or hands over [moved] as owned. */
int unwind_table_compile(const struct cfi_section *section, void *owned, struct unwind_table *ret);
void unwind_table_finish(struct unwind_table *table);

/** The rule of an address; one of kind UNWIND_NONE when there is none. */
const struct unwind_rule *unwind_table_find(const struct unwind_table *table, uint64_t address);

/** The full row of an address, interpreted. 0, PFC_ENOENT, PFC_ECORRUPT, PFC_ENOMEM. */
int unwind_table_row(struct unwind_table *table, uint64_t address, struct cfi_row *ret);

/** The function (entry) that holds an address; false: none. */
bool unwind_table_function(struct unwind_table *table, uint64_t address, uint64_t *ret_start,
			   uint64_t *ret_end);

#endif
