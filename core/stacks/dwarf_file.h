/* SPDX-License-Identifier: MIT */
/*
 * The debug sections of one file and its compilation units, read piece by piece: only what is asked for leaves the disk. Much
 * of what DWARF knows is of no use here (types, variables, where they live), and most of the time that libdw takes goes into it.
 */
#ifndef CORE_STACKS_DWARF_FILE_H
#define CORE_STACKS_DWARF_FILE_H

#include "stacks/dwarf_cursor.h"
#include "stacks/elf_section.h"

enum dwarf_part {
	DWARF_INFO = 0,
	DWARF_ABBREV,
	DWARF_LINE,
	DWARF_STR,
	DWARF_LINE_STR,
	DWARF_RANGES,
	DWARF_RNGLISTS,
	DWARF_ADDR,
	DWARF_STR_OFFSETS,
	DWARF_PARTS,
};

/** One section: whole in memory, or read where it is wanted. */
struct dwarf_bytes {
	uint64_t offset, bytes; /* bytes 0: the file has none */
	const uint8_t *data;    /* NULL: not whole */
	bool is_packed, has_failed;
};

struct dwarf_attribute {
	uint16_t name, form;
	int8_t bytes;  /* dwarf_form_bytes */
	int64_t value; /* of an implicit constant */
};

/** What entries with one code look like. */
struct dwarf_abbrev {
	uint16_t tag; /* 0: the code is not used */
	bool has_children;
	bool is_fixed; /* fixed_bytes is what its attributes take */
	uint32_t fixed_bytes;
	uint32_t first, count; /* in attributes */
};

struct dwarf_abbrevs {
	uint64_t at;
	uint8_t version,
		offset_bytes;      /* of the units that it was read for: how long forms are depends on them */
	struct dwarf_abbrev *rows; /* by code */
	uint32_t count, room;
	struct dwarf_attribute *attributes;
	uint32_t attribute_count, attribute_room;
	struct dwarf_abbrevs *next;
};

struct dwarf_unit {
	uint64_t at, end; /* in .debug_info */
	uint32_t header_bytes;
	uint8_t version, offset_bytes, type;
	uint64_t abbrev_at;
	const uint8_t *data; /* from `at`; NULL: not read yet */
	const struct dwarf_abbrevs *abbrevs;
	/* of its first entry */
	bool has_root;
	uint64_t addr_base, str_offsets_base, rnglists_base, ranges_base, low_pc, lines_at;
	bool has_lines;
	bool is_skeleton;  /* its entries are in another file: dwarf_split.h */
	uint64_t split_id; /* of a skeleton, and of the unit that it stands for */
};

/** A block of memory that lives as long as the file. */
struct dwarf_block {
	struct dwarf_block *next;
	uint8_t data[];
};

/** A text that was read before: the same functions are inlined again and again. */
struct dwarf_text {
	uint64_t offset;
	enum dwarf_part part;
	const char *text;
};

#define DWARF_TEXTS 4096

struct dwarf_file {
	const struct elf_image *image;
	struct dwarf_file *main; /* of a split file: where addresses and old ranges are; NULL: here */
	struct dwarf_bytes parts[DWARF_PARTS];
	struct dwarf_unit *units; /* ascending */
	uint32_t unit_count, unit_room;
	struct dwarf_abbrevs *abbrevs;
	struct dwarf_block *blocks;
	uint64_t block_bytes;
	uint64_t small_left; /* of the newest block, for small pieces */
	uint8_t *small;
	struct dwarf_text texts[DWARF_TEXTS];
};

/**
 * Find the sections and list the units.
 * Returns: 0; PFC_ENOTSUP: there is something that only libdw reads; PFC_ENOENT: no DWARF; PFC_ECORRUPT; PFC_ENOMEM. Finish it
 * in any case.
 */
int dwarf_file_open(const struct elf_image *image, struct dwarf_file *ret);

/** Likewise the entries of the unit `id` of `main`, from a .dwo or a .dwp. PFC_ENOENT: it has no such unit. */
int dwarf_file_open_split(const struct elf_image *image, struct dwarf_file *main, uint64_t id,
			  struct dwarf_file *ret);
void dwarf_file_finish(struct dwarf_file *file);

/** Have a section whole in memory, if that is how it is read. */
void dwarf_file_load(struct dwarf_file *file, struct dwarf_bytes *part);

/** List the units (dwarf_unit.c). */
int dwarf_units_list(struct dwarf_file *file);

/** A piece of a section that stays until the file is finished; NULL: it is not there. */
const uint8_t *dwarf_file_bytes(struct dwarf_file *file, enum dwarf_part part, uint64_t offset,
				uint64_t bytes);

/** A text in a section; NULL: it is not there. */
const char *dwarf_file_text(struct dwarf_file *file, enum dwarf_part part, uint64_t offset);

/** Memory that lives as long as the file; NULL: there is none. */
void *dwarf_file_room(struct dwarf_file *file, uint64_t bytes);

/** The unit that holds an offset of .debug_info, or NULL. */
struct dwarf_unit *dwarf_file_unit(struct dwarf_file *file, uint64_t offset);

/** Read what a unit's codes mean. 0, PFC_ECORRUPT, PFC_ENOTSUP, PFC_ENOMEM. */
int dwarf_unit_abbrevs(struct dwarf_file *file, struct dwarf_unit *unit);

/** Its bytes as well. 0, PFC_ECORRUPT, PFC_ENOTSUP, PFC_ENOMEM. */
int dwarf_unit_load(struct dwarf_file *file, struct dwarf_unit *unit);

/** How many bytes a value of this form takes in this unit; -1: that depends on the value; -2: no form that is known. */
int dwarf_form_bytes(const struct dwarf_unit *unit, uint16_t form);

#endif
