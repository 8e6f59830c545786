/* SPDX-License-Identifier: MIT */
/* What a call means for descriptors and bytes, by number: the names' table looked through once, for those who see every call. */
#ifndef STRACE_KINDS_H
#define STRACE_KINDS_H

#include <stdbool.h>
#include <stdint.h>

#define KINDS_NUMBERS 512

struct call_kind {
	bool is_known;
	bool has_fd;     /* args[0] is the descriptor that it works on */
	char io;         /* as decode_io_kind: r, w, s, o */
	bool makes_fd;   /* its result is one */
	bool is_lock;    /* args[0] is the address of a futex */
	bool closes_fd;  /* args[0] is none from now on */
	bool renames_fd; /* args[0] says something else from now on: a socket that is bound or connected */
	bool closes_all; /* any may be another: close_range, exec */
};

struct call_kinds {
	struct call_kind of[3][KINDS_NUMBERS]; /* by enum abi */
};

/** Zero-initialise the kinds once. A call of no known number means nothing. Never NULL; valid until the next call. */
const struct call_kind *kinds_of(struct call_kinds *kinds, uint32_t abi, int32_t nr);

#endif
