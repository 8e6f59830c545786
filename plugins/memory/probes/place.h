/* SPDX-License-Identifier: MIT */
/*
 * Where in a function a probe goes. An instruction that the kernel emulates under a probe costs a third of one that it steps over
 * out of line, so the first such one is taken that every call comes past with its arguments and its stack pointer as they were.
 */
#ifndef MEMORY_PROBES_PLACE_H
#define MEMORY_PROBES_PLACE_H

#include "insn.h"
#include "shared.h"

struct place {
	uint32_t offset; /* from the function's start */
	bool is_emulated;
	bool skips_null; /* FREE: calls with NULL do not come past */
};

/** `code` are the function's bytes, as many as are known. */
struct place place_probe(const uint8_t *code, size_t bytes, enum probe_kind kind);

#endif
