/* SPDX-License-Identifier: MIT */
/* Addresses that are asked for, and where they were found so far: what dwarf_chains.c and dwarf_scopes.c share. */
#ifndef CORE_STACKS_DWARF_WORK_H
#define CORE_STACKS_DWARF_WORK_H

#include <profcore/status.h>

#include "base/clock.h"
#include "stacks/dwarf.h"
#include "stacks/dwarf_split.h"

#define DWARF_CHECK_EVERY 4096 /* entries between looks at the clock */
#define DWARF_NOWHERE     UINT32_MAX

/** A function that holds addresses of the unit: concrete or inlined. */
struct dwarf_scope {
	uint64_t at; /* its entry */
	uint64_t call_file, call_line;
	const char *linkage_name, *name;
	uint32_t parent; /* 0: none */
	bool is_inlined, has_names;
};

/** Where one address lies. */
struct dwarf_place {
	uint32_t unit;  /* DWARF_NOWHERE: in none */
	uint32_t next;  /* address of the same unit; DWARF_NOWHERE: the last */
	uint32_t scope; /* deepest found; 0: none */
	uint32_t depth;
	uint64_t file, line;
	bool has_line;
};

struct dwarf_work {
	const struct dwarf_request *request;
	struct dwarf_file file;
	struct dwarf_file *entries_file; /* has the entries of the unit at hand: file, or one split off */
	struct dwarf_split *split;       /* that one, open; NULL: none */
	struct dwarf_place *places;      /* one an address */
	uint32_t *firsts;                /* of each unit's addresses */
	struct dwarf_scope *scopes;      /* of the unit at hand; 0 is none */
	uint32_t scope_count, scope_room;
	uint32_t unit; /* at hand */
	uint64_t entries;
	int status;
	/* what is claimed by the ranges at hand */
	uint32_t scope, depth;
	bool any;
};

/* One entry more was met; whether all has to end. */
static inline bool dwarf_work_is_late(struct dwarf_work *work)
{
	if (work->status == 0 && ++work->entries % DWARF_CHECK_EVERY == 0 &&
	    clock_now() > work->request->deadline_ns) {
		work->status = PFC_ETIMEDOUT;
	}
	return work->status != 0;
}

/**
 * All entries of a unit: its addresses get the deepest function that holds them (work->places, work->scopes).
 * Returns: 0; PFC_ENOTSUP, PFC_ECORRUPT: for libdw; an end to it all.
 */
int dwarf_scopes_walk(struct dwarf_work *work, const struct dwarf_unit *unit);

#endif
