/* SPDX-License-Identifier: MIT */
/*
 * The functions of an allocator in one file of the target: by name, in the symbols that the loader sees, in those of the linker,
 * or in a separate debug file. The file is hostile: libelf checks it, and every count is bounded.
 */
#ifndef MEMORY_PROBES_SYMBOLS_H
#define MEMORY_PROBES_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared.h"

#define ALLOCATOR_FUNCTIONS 96

struct allocator_function {
	char name[40];
	enum probe_kind kind;
	bool is_rust, is_operator;
	uint64_t address, size; /* as the file says */
	uint64_t file_offset;
};

struct allocator_file {
	struct allocator_function functions[ALLOCATOR_FUNCTIONS];
	uint32_t count;
	char allocator[40]; /* "glibc", "jemalloc (_rjem_)"; "" when none is known */
	bool is_go, has_symbols, has_loader, has_default_rust;
	char build_id[64]; /* hex; "" */
};

/** Returns 0; -1: not an ELF file of this machine. */
int symbols_read(int fd, struct allocator_file *ret);

/** More functions, by the file's debug file. */
void symbols_read_debug(int debug_fd, int fd, struct allocator_file *file);

/**
 * What of it is to be probed: one function an address, none that is only another's wrapping. Called once all was read.
 */
void symbols_settle(struct allocator_file *file);

/** What a function of this name takes; PROBE_NONE: it is none of an allocator's. */
enum probe_kind symbols_kind(const char *name, bool *ret_is_rust, bool *ret_is_operator);

#endif
