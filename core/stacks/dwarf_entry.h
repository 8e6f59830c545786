/* SPDX-License-Identifier: MIT */
/* Entries of DWARF: the few attributes that say where code is, what it is called and who called it. */
#ifndef CORE_STACKS_DWARF_ENTRY_H
#define CORE_STACKS_DWARF_ENTRY_H

#include "stacks/dwarf_file.h"

enum dwarf_value_kind {
	DWARF_NO_VALUE = 0,
	DWARF_ADDRESS,       /* the number is it */
	DWARF_ADDRESS_INDEX, /* in .debug_addr */
	DWARF_CONSTANT,
	DWARF_OFFSET,      /* in the section that the attribute is about */
	DWARF_LIST_INDEX,  /* in the unit's list of ranges */
	DWARF_REFERENCE,   /* to an entry, in .debug_info */
	DWARF_TEXT,        /* in the entry itself */
	DWARF_TEXT_OFFSET, /* in .debug_str */
	DWARF_LINE_TEXT_OFFSET,
	DWARF_TEXT_INDEX, /* in .debug_str_offsets */
};

struct dwarf_value {
	enum dwarf_value_kind kind;
	uint64_t number;
	const char *text;
};

/** What an entry says, of what is looked at here. */
struct dwarf_entry {
	struct dwarf_value low_pc, high_pc, ranges;
	struct dwarf_value name, linkage_name, directory, lines;
	struct dwarf_value addr_base, str_offsets_base, rnglists_base, ranges_base;
	struct dwarf_value split_name, split_id; /* of a skeleton: dwarf_split.h */
	uint64_t origin;                         /* entry that says the rest, in .debug_info; 0: none */
	uint64_t call_file, call_line;
};

/** Read the value of one attribute at the cursor. */
void dwarf_value_read(const struct dwarf_unit *unit, const struct dwarf_attribute *attribute,
		      struct dwarf_cursor *cursor, struct dwarf_value *ret);

/** Pass over the attributes of an entry. */
void dwarf_entry_skip(const struct dwarf_unit *unit, const struct dwarf_abbrev *abbrev,
		      struct dwarf_cursor *cursor);
void dwarf_entry_read(const struct dwarf_unit *unit, const struct dwarf_abbrev *abbrev,
		      struct dwarf_cursor *cursor, struct dwarf_entry *ret);

/** A number of 1 to 8 bytes in a section. False: it is not there. */
bool dwarf_number_at(struct dwarf_file *file, enum dwarf_part part, uint64_t offset, unsigned bytes,
		     uint64_t *ret);

/** The address that a value is. False: it is none. */
bool dwarf_value_address(struct dwarf_file *file, const struct dwarf_unit *unit,
			 const struct dwarf_value *value, uint64_t *ret);

/** The text of a value; NULL: it is none. */
const char *dwarf_value_text(struct dwarf_file *file, const struct dwarf_unit *unit,
			     const struct dwarf_value *value);

/**
 * What the first entry of a unit says, and with it what the values of all others depend on (set in the unit).
 * Returns 0, PFC_ECORRUPT, PFC_ENOTSUP, PFC_ENOMEM.
 */
int dwarf_unit_root(struct dwarf_file *file, struct dwarf_unit *unit, struct dwarf_entry *ret);

/** Called for each range of code; false ends. */
typedef bool (*dwarf_range_fn)(void *ctx, uint64_t start, uint64_t end);

/** The code of an entry. Code at address 0 is what the linker left out. */
void dwarf_entry_ranges(struct dwarf_file *file, const struct dwarf_unit *unit,
			const struct dwarf_entry *entry, dwarf_range_fn on_range, void *ctx);

/** Names of the function at an entry, its own or those of the entries that it stands for; NULL where none is said. */
void dwarf_entry_names(struct dwarf_file *file, uint64_t at, const char **ret_linkage_name,
		       const char **ret_name);

#endif
