/* SPDX-License-Identifier: MIT */
/* Sections of an ELF image by name, and their bytes; as elf.h: nothing in the file is trusted. */
#ifndef CORE_STACKS_ELF_SECTION_H
#define CORE_STACKS_ELF_SECTION_H

#include "stacks/elf.h"

struct elf_section {
	char name[32]; /* cut; those looked for are shorter */
	uint32_t type;
	uint64_t flags;
	uint64_t offset, bytes, vaddr;
	uint32_t link; /* another section's number */
};

/** The table of sections, read whole. */
struct elf_sections {
	struct elf_section *rows;
	uint32_t count;
};

/** 0; PFC_ENOENT: the file has none; PFC_ECORRUPT; PFC_ENOMEM. Free with elf_sections_finish. */
int elf_sections_read(const struct elf_image *image, const struct elf_headers *headers,
		      struct elf_sections *ret);
void elf_sections_finish(struct elf_sections *sections);

/** The first section of a name that has bytes in the file, or NULL. */
const struct elf_section *elf_sections_find(const struct elf_sections *sections, const char *name);

/**
 * A section's bytes as they are in the file, followed by a NUL; the caller frees them.
 * Returns: 0; PFC_ENOSPC: more than `most`; PFC_ECORRUPT: not in the file; PFC_ENOMEM.
 */
int elf_section_bytes(const struct elf_image *image, const struct elf_section *section, uint64_t most,
		      uint8_t **ret);

#endif
