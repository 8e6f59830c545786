/* SPDX-License-Identifier: MIT */
/* One batch of addresses on its way through a file's DWARF: what dwarf_libdw*.c share. */
#ifndef CORE_STACKS_DWARF_LIBDW_H
#define CORE_STACKS_DWARF_LIBDW_H

#include <elfutils/libdw.h>
#include <stdbool.h>

#include "stacks/dwarf.h"

/** A function that holds addresses of the unit: concrete or inlined. */
struct scope {
	Dwarf_Die die;
	uint32_t parent; /* 0: none */
	bool is_inlined;
};

/** Where one address lies. */
struct place {
	uint32_t unit;  /* index in units; UINT32_MAX: none */
	uint32_t scope; /* deepest found; 0: none */
	uint32_t depth;
	uint32_t next; /* address of the same unit; UINT32_MAX: the last */
};

/** A compilation unit that holds addresses. */
struct unit {
	Dwarf_Die die;
	uint32_t first; /* of its addresses */
};

struct batch {
	const struct dwarf_request *request;
	const bool *is_done; /* addresses that need no more */
	Dwarf *dwarf;
	struct place *places; /* one an address */
	struct unit *units;
	uint32_t unit_count, unit_room;
	struct scope *scopes; /* of the unit at hand; 0 is none */
	uint32_t scope_count, scope_room;
	uint32_t unit;         /* at hand */
	const char *directory; /* of that unit; NULL: not known */
	uint64_t entries;
	int status;
};
/** Whether to stop: an error, or the deadline. */
bool dwarf_is_late(struct batch *batch);

/** Find the scopes of the addresses of the unit at hand, with `everywhere` also below functions that hold none (dwarf_libdw_scopes.c). */
void dwarf_walk_unit(struct batch *batch, bool everywhere);

/** Tell the chain of an address of the unit at hand (dwarf_libdw_chain.c). Returns what on_chain does. */
int dwarf_report(struct batch *batch, uint32_t index);

/** The file that .gnu_debugaltlink means. */
struct dwarf_common {
	int fd;
	Elf *elf;
	Dwarf *dwarf;
};

/** Open (dwarf_libdw_open.c): PFC_ENOENT: no DWARF; PFC_ENOSPC: beyond the bound; PFC_ENOTSUP; before libdw allocates for it. */
int dwarf_check_sections(Elf *elf);
Elf *dwarf_open_image(const struct elf_image *image);

/** 0, also when none is needed; PFC_ENOTSUP. Close it in any case. */
int dwarf_set_common(struct batch *batch, struct dwarf_common *common);
void dwarf_close_common(struct dwarf_common *common);

#endif
