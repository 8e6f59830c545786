/* SPDX-License-Identifier: MIT */
/*
 * Split DWARF: what a unit says of its functions stands in a file of its own, .dwo, or in one for the whole program, .dwp; the
 * program keeps a skeleton with the addresses and the lines. DWARF 5, and what GCC and LLVM wrote before with DWARF 4.
 */
#ifndef CORE_STACKS_DWARF_SPLIT_H
#define CORE_STACKS_DWARF_SPLIT_H

#include "stacks/dwarf.h"
#include "stacks/dwarf_file.h"

struct dwarf_split {
	struct elf_image image;
	struct dwarf_file file;
	struct dwarf_unit *unit; /* in file */
};

/**
 * Open what a skeleton's entries are in; `main` is the program's file. Close it in any case.
 * Returns: 0; PFC_ENOENT: there is no such file, or none of this build; PFC_ECORRUPT, PFC_ENOTSUP, PFC_ENOMEM.
 */
int dwarf_split_open(const struct dwarf_request *request, struct dwarf_file *main,
		     struct dwarf_unit *skeleton, struct dwarf_split *ret);
void dwarf_split_close(struct dwarf_split *split);

/** In the file of a whole program: keep of each section what is one unit's. 0; PFC_ENOENT: it has no such unit; PFC_ECORRUPT. */
int dwarf_index_narrow(struct dwarf_file *file, const struct dwarf_bytes *index, uint64_t id);

#endif
