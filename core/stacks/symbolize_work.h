/* SPDX-License-Identifier: MIT */
/* The work of one symbolize(): what symbolize*.c share. */
#ifndef CORE_STACKS_SYMBOLIZE_WORK_H
#define CORE_STACKS_SYMBOLIZE_WORK_H

#include "stacks/dwarf.h"
#include "stacks/source.h"
#include "stacks/symbolize.h"

/** A frame as found, before it is put in order of location. */
struct found {
	uint32_t function, file, line;
	uint64_t start; /* symbolize.h: frames */
};

/** The work: locations in order of (module, address), and what was found of each. */
struct work {
	const struct symbolize_request *request;
	struct names names;
	struct symbolize_notes notes;
	uint32_t *order;          /* locations, by module and address */
	uint32_t *first, *counts; /* of each location's frames in found */
	struct found *found;
	uint32_t found_count, found_room;
	struct debuginfod *servers; /* NULL: none are asked */
	/* the module at hand */
	const struct source *source; /* NULL: it has none */
	const struct symbols *symbols;
	struct module *module;     /* NULL: it has no file */
	uint32_t splits_missing;   /* of it */
	const uint32_t *locations; /* slice of order */
};

/** Names and rows (symbolize_names.c). All return 0, PFC_ENOMEM or what a table says. */
int symbolize_add(struct work *work, uint32_t location, const struct found *found);

/** dwarf.h: on_chain. ctx: the work. */
int symbolize_take_chain(void *ctx, uint32_t index, const struct dwarf_frame *frames, uint32_t count);

/** By the symbol table, the first `count` of work->locations that nothing else named. *ret_any: one has a name. */
int symbolize_take_symbols(struct work *work, uint32_t count, bool *ret_any);

/** Name the first `count` of work->locations, all of one module (symbolize_file.c). */
int symbolize_file(struct work *work, struct module *module, uint32_t count);

/** Likewise where the module is code that a process made itself (symbolize_jit.c). */
int symbolize_jit(struct work *work, struct module *module, uint32_t count);

/** The addresses of the first `count` of work->locations; the caller frees them. NULL: no memory. */
uint64_t *symbolize_addresses(const struct work *work, uint32_t count);

/** The same, for a module that is open, by its file alone. */
int symbolize_opened(struct work *work, struct module *module, uint32_t count);

/** The same, by the cache first (symbolize_cached.c). */
int symbolize_cached(struct work *work, struct module *module, uint32_t count);

#endif
