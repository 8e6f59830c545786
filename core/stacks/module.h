/* SPDX-License-Identifier: MIT */
/*
 * The modules behind mappings: one for each file that the target maps executable, the vDSO, and each process's own code. A
 * module is opened when the first sample falls into it, while the target still lives, and kept open to the end.
 */
#ifndef CORE_STACKS_MODULE_H
#define CORE_STACKS_MODULE_H

#include <profcore/ext/draft/target.h>

#include "stacks/elf.h"
#include "stacks/hash.h"
#include "stacks/intern.h"
#include "stacks/module_open.h"

enum module_state {
	MODULE_UNUSED = 0,  /* no sample fell into it yet */
	MODULE_OPEN = 1,    /* image and headers are there */
	MODULE_CLOSED = 2,  /* could not be opened or read: addresses stay file offsets, without names */
	MODULE_BARE = 3,    /* no ELF file: code that the process made itself */
	MODULE_OPENING = 4, /* asked for */
};

struct module {
	char *path;  /* as the target sees it */
	int32_t pid; /* of a process that mapped it; of anonymous code the only one */
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	enum module_kind kind;
	enum module_state state;
	int status;   /* why it is closed: PFC_E... */
	uint32_t row; /* in the table modules; 0 while unused */
	struct elf_image image;
	struct elf_headers headers;
	int map_fd; /* of a bare module: the process's perf map; -1: none (yet) */
	struct unwind_table
		*table; /* compiled when the first walk meets the module; NULL: none, or not yet */
	bool has_tried_table;
	struct module_job *job; /* while it is opening */
};

struct modules {
	struct module *rows;
	uint32_t count, room;
	struct hash index;
	uint32_t open_count;
	uint32_t timeouts;
	struct module_opener *opener; /* NULL: nothing was opened beside the caller yet */
	bool is_hurried;              /* the caller would rather come again than wait */
	bool wants_tables;            /* stacks are walked */
};

/** Where a mapping stands, for opening its file. */
struct module_mapping {
	int32_t pid;
	uint64_t start, end, offset;
};

void modules_finish(struct modules *modules);

/** The module of a MAP event, added when new; 0 or PFC_ENOMEM. */
int modules_of_event(struct modules *modules, const struct pfc_target_event *event, uint32_t *ret);

/**
 * Make the module ready for addresses: open it through the target service (which may take two seconds in a bad case), read
 * its headers, give it a row. Does nothing when that was done. A file that cannot be opened is no error here: see state.
 * Returns 0; PFC_EAGAIN: is_hurried is set and it is on its way; PFC_ENOMEM.
 */
int modules_use(struct modules *modules, uint32_t number, const struct module_mapping *mapping,
		const struct pfc_target_service *target, struct intern *intern);

/** Look for the perf map of a bare module, if that was not found before: it may be made late. */
void module_find_map(struct module *module, const struct pfc_target_service *target);

/** The dump that a process's just-in-time compiler mapped (jit_dump.h), or NULL. */
const struct module *modules_find_dump(const struct modules *modules, int32_t pid);

/** The module's unwind table, or NULL: it has none, or one that cannot be read. Valid until modules_finish. */
struct unwind_table *module_table(struct module *module);

/** Address within the module of one in the target's memory: virtual where the headers are known. */
uint64_t module_address(const struct module *module, const struct module_mapping *mapping, uint64_t address);

#endif
