/* SPDX-License-Identifier: MIT */
/* The function symbols of one ELF image or of the kernel, sorted by address. Names are as the file has them. */
#ifndef CORE_STACKS_SYMBOLS_H
#define CORE_STACKS_SYMBOLS_H

#include "stacks/elf_section.h"

struct symbol {
	uint64_t address;
	uint64_t bytes; /* 0: up to the next symbol */
	uint64_t
		limit; /* of one without bytes: it ends here at the latest (its section does); 0: not known */
	uint32_t name; /* offset in names */
	uint8_t rank;  /* which of several at one address is shown: the highest */
};

struct symbols {
	struct symbol *rows; /* ascending, one an address */
	uint32_t count;
	char *names; /* terminated at its end */
	uint64_t name_bytes;
};

/**
 * Add those of .symtab (SHT_SYMTAB) or .dynsym (SHT_DYNSYM), and sort. Zero-initialise *symbols.
 *
 * Returns: 0; PFC_ENOENT: no such table, or nothing in it; PFC_ECORRUPT; PFC_ENOMEM; PFC_ENOSPC: larger than the bound. What
 * was there stays.
 */
int symbols_add(const struct elf_image *image, const struct elf_sections *sections, uint32_t table_type,
		struct symbols *symbols);
void symbols_finish(struct symbols *symbols);

/** Sort rows and keep the best of each address; for those who fill the rows themselves. */
void symbols_sort(struct symbols *symbols);

/** The symbol that covers an address, or NULL. */
const struct symbol *symbols_find(const struct symbols *symbols, uint64_t address);
const char *symbols_name(const struct symbols *symbols, const struct symbol *symbol);

#endif
