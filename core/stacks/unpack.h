/* SPDX-License-Identifier: MIT */
/*
 * DWARF that was compressed by zstd, for a libdw that cannot unpack it (before elfutils 0.189 it shows no unit at all, and no
 * error): a copy of the file in memory, of its debug sections alone, unpacked.
 */
#ifndef CORE_STACKS_UNPACK_H
#define CORE_STACKS_UNPACK_H

#include "stacks/elf_section.h"

/** Whether a debug section is compressed in another way than by zlib. */
bool unpack_is_needed(const struct elf_image *image, const struct elf_sections *sections);

/**
 * Make the copy; the caller frees ret->memory.
 * Returns: 0; PFC_ENOSPC: more than `most` bytes unpacked; PFC_ECORRUPT; PFC_ENOTSUP: an unknown method, or built without
 * libzstd; PFC_ENOMEM.
 */
int unpack_debug(const struct elf_image *image, const struct elf_sections *sections, uint64_t most,
		 struct elf_image *ret);

#endif
