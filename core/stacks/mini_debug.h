/* SPDX-License-Identifier: MIT */
/*
 * MiniDebugInfo: a stripped file's own small copy of its symbol table, an ELF image compressed by xz in .gnu_debugdata. It has
 * the local functions that .dynsym lacks.
 */
#ifndef CORE_STACKS_MINI_DEBUG_H
#define CORE_STACKS_MINI_DEBUG_H

#include "stacks/elf_section.h"

/**
 * Unpack it; the caller frees ret_image->memory.
 * Returns: 0; PFC_ENOENT: there is none; PFC_ENOSPC: larger than the bound; PFC_ECORRUPT; PFC_ENOTSUP: built without liblzma;
 * PFC_ENOMEM.
 */
int mini_debug_open(const struct elf_image *image, const struct elf_sections *sections,
		    struct elf_image *ret_image, struct elf_headers *ret_headers);

#endif
