/* SPDX-License-Identifier: MIT */
/* Separate debug files of the machine that runs profcore: /usr/lib/debug/.build-id, as packages with symbols install them. */
#ifndef CORE_STACKS_DEBUG_FILE_H
#define CORE_STACKS_DEBUG_FILE_H

#include "stacks/elf.h"

/**
 * Open the debug file of a build-id (hex). The caller closes ret_image->fd.
 * Returns: 0; PFC_ENOENT: there is none; PFC_ECORRUPT: it is no ELF file.
 */
int debug_file_open(const char *build_id, struct elf_image *ret_image, struct elf_headers *ret_headers);

#endif
