/* SPDX-License-Identifier: MIT */
/*
 * Separate debug files: by build-id below /usr/lib/debug, and by the name in .gnu_debuglink; in the target's root first, then on
 * the machine that runs profcore. One is taken only when its build-id, or its checksum, proves that it belongs to the module.
 */
#ifndef CORE_STACKS_DEBUG_FILE_H
#define CORE_STACKS_DEBUG_FILE_H

#include "stacks/elf_section.h"
#include "stacks/module.h"

struct debug_file {
	struct elf_image image; /* the caller closes its fd */
	struct elf_headers headers;
};

/**
 * Find the debug file of a module. sections: the module's. *ret_mismatched: one was there that belongs to another build.
 * Returns: 0; PFC_ENOENT: there is none.
 */
int debug_file_find(const struct module *module, const struct elf_sections *sections,
		    const struct pfc_target_service *target, struct debug_file *ret, bool *ret_mismatched);

/** Likewise from a server: a file that it calls this build's must be. [moved] fd */
int debug_file_fetched(const struct module *module, int fd, struct debug_file *ret);

/** Open the file of a build-id alone (hex), wherever it is: for what a module's debug file itself refers to. */
int debug_file_of_build_id(const struct module *module, const char *build_id,
			   const struct pfc_target_service *target, struct debug_file *ret);

#endif
