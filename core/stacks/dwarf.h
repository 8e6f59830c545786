/* SPDX-License-Identifier: MIT */
/*
 * Functions, inlined calls and source lines of many addresses of one file at once. Compilation units are found by their own
 * ranges, each touched one is walked once, by a reader of our own (dwarf_chains.h), and by libdw where that one passes. Asking
 * libdw address by address is fifteen times slower and finds nothing for functions within namespaces.
 */
#ifndef CORE_STACKS_DWARF_H
#define CORE_STACKS_DWARF_H

#include <stdbool.h>
#include <stdint.h>

#include "stacks/elf.h"

#define DWARF_CHAIN_MAX 128

/** One function of a chain. Texts live until on_chain returns. */
struct dwarf_frame {
	const char *linkage_name; /* mangled; NULL: none is written down */
	const char *name;         /* as in the source; NULL: none */
	const char *file;         /* of the line that runs in it; NULL: not known */
	const char *directory;    /* where a relative file starts; NULL: not known */
	uint32_t line;
};

/** Called for each address that anything is known of. Frame 0 is the function itself, the others are inlined into it. */
typedef int (*dwarf_chain_fn)(void *ctx, uint32_t index, const struct dwarf_frame *frames, uint32_t count);

struct dwarf_request {
	struct elf_image image;
	/*
	 * Open the file with what several debug files have in common (dwz, .gnu_debugaltlink), by its build-id. A descriptor,
	 * or an error. libdw itself never opens one: the name would be the target's choice.
	 */
	int (*open_common)(void *ctx, const char *build_id);
	/*
	 * Open a file with entries that were split off: the name as a skeleton gives it, NULL: the program's own collection. A
	 * descriptor, or an error. The name is the target's choice, and where it may lie is the callee's.
	 */
	int (*open_split)(void *ctx, const char *name);
	const uint64_t *addresses; /* ascending, virtual */
	uint32_t count;
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	dwarf_chain_fn on_chain;
	void *ctx;
};

/**
 * Returns: 0; PFC_ENOENT: the image has no DWARF; PFC_ENOSPC: more than the bound; PFC_ENOTSUP: compressed in a way that this
 * libdw cannot read, or another file is missing that it refers to; PFC_ETIMEDOUT: some addresses were left out; PFC_ECORRUPT; PFC_ENOMEM; what on_chain returned.
 */
int dwarf_resolve(const struct dwarf_request *request);

#endif
