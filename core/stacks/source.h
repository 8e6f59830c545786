/* SPDX-License-Identifier: MIT */
/*
 * What says something about the code of one module: its own tables, its separate debug file, its MiniDebugInfo. Gathers them,
 * so that symbolize.c asks one thing for symbols and one image for DWARF.
 */
#ifndef CORE_STACKS_SOURCE_H
#define CORE_STACKS_SOURCE_H

#include "stacks/debug_file.h"
#include "stacks/debuginfod.h"
#include "stacks/symbols.h"

#define SOURCE_DEBUG_BYTES_MAX (2ULL << 30) /* all debug sections of a file, unpacked */

struct source {
	const struct module *module;
	struct symbols symbols;
	struct elf_image lines; /* for DWARF; of the module, or of one of the below */
	struct debug_file debug;
	bool has_debug;
	bool is_fetched;    /* from a server */
	int server_status;  /* of asking one: 0 also when none was asked */
	bool has_mini;      /* symbols came from MiniDebugInfo too */
	bool is_mismatched; /* a debug file was there that belongs to another build */
	int mini_status;    /* of reading MiniDebugInfo: PFC_ENOENT when there is none */
	int unpack_status;  /* of unpacking DWARF: 0 also when that was not needed */
	uint8_t *unpacked;  /* owned */
};

/** Open what there is of an open module; servers: NULL, or asked last. Free with source_close. 0 or PFC_ENOMEM. */
int source_open(const struct module *module, const struct pfc_target_service *target,
		struct debuginfod *servers, struct source *ret);
void source_close(struct source *source);

#endif
