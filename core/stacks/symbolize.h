/* SPDX-License-Identifier: MIT */
/*
 * Names for locations: each location once, module by module. Kernel by kallsyms; files by DWARF (functions, inlined calls,
 * lines) and by their symbol table where DWARF says nothing. Runs at the end of a session.
 */
#ifndef CORE_STACKS_SYMBOLIZE_H
#define CORE_STACKS_SYMBOLIZE_H

#include <profcore/host.h>

#include "stacks/kernel.h"
#include "stacks/module.h"
#include "stacks/names.h"

/** Rows of the table frames, in order of location, then inline_depth. Every location but 0 has one at least. */
struct frames {
	uint32_t *location, *inline_depth, *function, *file, *line;
	uint64_t *
		start; /* where the function of a frame without a name begins, by call frame information; 0: not known */
	uint32_t count;
};

/** What could not be done, for the facts of the artifact. */
struct symbolize_notes {
	uint32_t files_with_lines;   /* DWARF was read */
	uint32_t files_with_symbols; /* only a symbol table */
	uint32_t files_without;      /* opened, and no name in it */
	uint32_t files_debug;        /* read from a separate debug file */
	uint32_t files_fetched;      /* those of them that came from a server */
	uint32_t files_mini;         /* symbols from MiniDebugInfo */
	uint32_t perf_maps;          /* of just-in-time compilers */
	uint32_t splits_missing;     /* units whose split debug information is not there */
	uint32_t jit_dumps;          /* likewise, with lines */
	uint32_t files_mismatched;   /* their debug file belongs to another build */
	uint32_t files_unopened;
	uint32_t files_too_large;  /* DWARF beyond the bound: symbols only */
	uint32_t files_unreadable; /* DWARF broken, or compressed in a way that cannot be read */
	uint32_t files_late;       /* the deadline passed: some addresses have symbols only */
	uint32_t locations_cached; /* named by what an earlier run found */
	int kernel_status;         /* 0; PFC_EPERM: kernel addresses are hidden */
};

struct symbolize_request {
	struct intern *intern;
	struct modules *modules;
	const struct kernel *kernel;
	const struct pfc_target_service *target; /* for debug files; NULL: none */
	const struct pfc_host *host; /* told of files that give fewer names than they could; NULL: nobody */
	uint64_t deadline_ns;        /* CLOCK_MONOTONIC */
	int cache_folder;            /* cache.h; -1: none */
};

/** 0, PFC_ENOMEM. Free *ret_frames with frames_finish. New strings are added to intern. */
int symbolize(const struct symbolize_request *request, struct frames *ret_frames,
	      struct symbolize_notes *ret_notes);
void frames_finish(struct frames *frames);

#endif
