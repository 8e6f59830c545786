/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own code: which module an address is in (/proc/modules) and which function (/proc/kallsyms). Both files are
 * read early, while the privileges are there that show addresses.
 */
#ifndef CORE_STACKS_KERNEL_H
#define CORE_STACKS_KERNEL_H

#include "stacks/intern.h"
#include "stacks/symbols.h"

struct kernel_module {
	uint64_t start, end;
	char name[64];
	uint32_t row; /* in the table modules; 0: not used yet */
};

struct kernel {
	struct symbols symbols; /* sorted; empty when symbols_status says why */
	int symbols_status;     /* 0; PFC_EPERM: the addresses are hidden; PFC_ENOENT, PFC_EIO, PFC_ENOMEM */
	uint32_t row; /* of "[kernel]" */
	struct kernel_module *modules; /* ascending */
	uint32_t module_count, module_room;
};

/**
 * Read both files: some 100 ms, which is why it is not left for the end. Never fails: what cannot be read is not shown.
 */
void kernel_open(struct kernel *kernel);
void kernel_close(struct kernel *kernel);

/** The row in the table modules of a kernel address; 0 or PFC_ENOMEM. */
int kernel_locate(struct kernel *kernel, struct intern *intern, uint64_t address, uint32_t *ret);

#endif
