/* SPDX-License-Identifier: MIT */
/*
 * The chains of functions at many addresses of one file, by a reader of our own (dwarf_file.h). It knows what compilers write
 * for x86-64; where it meets something else it leaves the addresses of that unit to libdw (dwarf_libdw.c).
 */
#ifndef CORE_STACKS_DWARF_CHAINS_H
#define CORE_STACKS_DWARF_CHAINS_H

#include "stacks/dwarf.h"

/**
 * As dwarf_resolve. is_done, one an address: set where all is said that there is to say.
 * Returns as dwarf_resolve; PFC_ENOTSUP, PFC_ECORRUPT: what is not done is for libdw.
 */
int dwarf_chains_resolve(const struct dwarf_request *request, bool *is_done);

/** The same by libdw, for what is not done. */
int dwarf_libdw_resolve(const struct dwarf_request *request, const bool *is_done);

#endif
