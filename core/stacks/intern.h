/* SPDX-License-Identifier: MIT */
/*
 * The id tables of a stacks artifact: strings, modules, locations and stacks (a prefix tree), each row once. Rows are kept in
 * memory as columns, so that writing them is handing the arrays over, and symbolizing reads them again at the end.
 */
#ifndef CORE_STACKS_INTERN_H
#define CORE_STACKS_INTERN_H

#include <profcore/artifact.h>

#include "stacks/hash.h"

/** What a module is; values of the column modules.kind. */
enum module_kind {
	MODULE_UNKNOWN = 0,
	MODULE_FILE = 1,
	MODULE_KERNEL = 2,
	MODULE_KERNEL_MODULE = 3,
	MODULE_VDSO = 4,
	MODULE_ANONYMOUS = 5,
};

/** Numbers of the tables in the writer, in commit order. */
struct intern_tables {
	uint32_t strings, modules, locations, stacks;
};

struct intern {
	struct hash string_index;
	char *bytes; /* all strings, each terminated */
	uint64_t byte_count;
	uint64_t byte_room;
	uint64_t *string_at; /* start of each; its end is the next one's start - 1 */
	uint32_t string_count, string_room, strings_written;

	uint32_t *module_path, *module_build_id, *module_container_path;
	uint8_t *module_kind;
	uint32_t module_count, modules_written;
	uint32_t module_rooms[4]; /* of the columns above */

	struct hash location_index;
	uint32_t *location_module;
	uint64_t *location_address;
	uint8_t *location_is_root; /* 1: a walk found that it has no caller; not written */
	uint32_t location_count, locations_written;
	uint32_t location_rooms[3];

	struct hash stack_index;
	uint32_t *stack_parent, *stack_location;
	uint32_t *stack_samples; /* how many samples have this very stack */
	uint32_t *stack_root;    /* location of its outermost frame */
	uint8_t *stack_end;      /* why its last walk ended: enum unwind_end + 1; 0: it was not walked */
	uint32_t stack_count, stacks_written;
	uint32_t stack_rooms[5];
};

/** Row 0 of each table: "", the unknown module, the unknown location, the empty stack. 0 or PFC_ENOMEM. */
int intern_init(struct intern *intern);
void intern_finish(struct intern *intern);

/**
 * The row of a text, added when new. Bytes that are not UTF-8 become '?'; longer texts are cut at 8 KiB.
 * All intern_... calls return 0 or PFC_ENOMEM (also when a table is at its bound) and write *ret on success only.
 */
int intern_string(struct intern *intern, const char *text, size_t bytes, uint32_t *ret);
const char *intern_text(const struct intern *intern, uint32_t string);

/** A new module row: the caller knows which modules it has already. */
int intern_module(struct intern *intern, enum module_kind kind, const char *path, const char *build_id,
		  const char *container_path, uint32_t *ret);

/** address: ELF virtual address in the module; for a caller that of its call (return address - 1). */
int intern_location(struct intern *intern, uint32_t module, uint64_t address, uint32_t *ret);

/** The stack that `location` makes when called from `parent`. */
int intern_stack(struct intern *intern, uint32_t parent, uint32_t location, uint32_t *ret);

/** Append what was added since the last call, in the tables' order. Returns 0 or the writer's error. */
int intern_write(struct intern *intern, const struct pfc_writer *writer, const struct intern_tables *tables);

#endif
