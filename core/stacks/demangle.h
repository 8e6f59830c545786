/* SPDX-License-Identifier: MIT */
/* Names as people write them: Rust (v0 and legacy, hash stripped), C++, and C without the suffixes that compilers add. */
#ifndef CORE_STACKS_DEMANGLE_H
#define CORE_STACKS_DEMANGLE_H

#include <stddef.h>

/**
 * Write the readable form of a linkage name, cut at to_bytes - 1; the name itself when it is not mangled.
 *
 * Bounded: names longer than 16 KiB are not demangled, and an expansion stops where `to` is full.
 * Thread: [any]; needs no memory of its own.
 */
void demangle(char *to, size_t to_bytes, const char *name);

#endif
