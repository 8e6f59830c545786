/* SPDX-License-Identifier: MIT */
/*
 * Whether an address without a name is where threads begin. A stripped C library has no symbol for the functions that call
 * main() and a thread's start routine, and frame pointers end there: without this, every stack of such a target would
 * count as cut off. Judged by the machine code around the call; x86-64 only, elsewhere the answer is no.
 */
#ifndef CORE_STACKS_ROOT_CODE_H
#define CORE_STACKS_ROOT_CODE_H

#include <stdbool.h>

#include "stacks/elf.h"

/** return_vaddr: the address behind the call. Reads a few bytes of the file. */
bool root_code_is(const struct elf_image *image, const struct elf_headers *headers, uint64_t return_vaddr);

#endif
