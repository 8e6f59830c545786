/* SPDX-License-Identifier: MIT */
/* Names for the entries of procedure linkage tables, which have no symbols: "malloc@plt", by the relocations that fill them. */
#ifndef CORE_STACKS_PLT_H
#define CORE_STACKS_PLT_H

#include "stacks/symbols.h"

/** Add them to symbols, sorted. 0, also where there are none or where they make no sense; PFC_ENOMEM. x86-64 only. */
int plt_add(const struct elf_image *image, const struct elf_headers *headers,
	    const struct elf_sections *sections, struct symbols *symbols);

#endif
