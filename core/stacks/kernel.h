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
};

struct kernel {
	struct symbols symbols; /* sorted; empty when symbols_status says why */
	int symbols_status;     /* 0; PFC_EPERM: the addresses are hidden; PFC_ENOENT, PFC_EIO, PFC_ENOMEM */
	struct kernel_module *modules; /* ascending */
	uint32_t module_count, module_room;
};

/** Rows in a session's table modules, 0 while not used. Zero-initialise; free with kernel_rows_finish. */
struct kernel_rows {
	uint32_t kernel;   /* of "[kernel]" */
	uint32_t *modules; /* as in struct kernel; made when one is used */
};

/**
 * Read both files: some 100 ms, which is why it is not left for the end. Never fails: what cannot be read is not shown.
 */
void kernel_open(struct kernel *kernel);

/** Likewise from other files of the same form, for a test. */
void kernel_open_files(struct kernel *kernel, const char *modules_path, const char *symbols_path);
void kernel_close(struct kernel *kernel);

/** The row in the table modules of a kernel address; 0 or PFC_ENOMEM. */
int kernel_locate(const struct kernel *kernel, struct kernel_rows *rows, struct intern *intern,
		  uint64_t address, uint32_t *ret);
void kernel_rows_finish(struct kernel_rows *rows);

#endif
