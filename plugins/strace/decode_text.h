/* SPDX-License-Identifier: MIT */
/* The decoder's own: a bounded text, and what it knows about flags and about the memory behind pointers. */
#ifndef STRACE_DECODE_TEXT_H
#define STRACE_DECODE_TEXT_H

#include "decode.h"

/** A text that is cut, never overrun. */
struct out {
	char *to;
	size_t room;
	size_t used;
};

void out_format(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Bytes in quotes with C escapes; `more` adds dots. */
void out_quoted(struct out *out, const char *bytes, size_t count, int more);

/** Families of named numbers: the letter in a signature. Returns 0 when the letter is none of them. */
int flags_show(struct out *out, char kind, uint64_t value);

/** How one argument is shown that points into memory. Returns 0 when the letter is none of these. */
int values_show(struct out *out, char kind, const struct decode_call *call, unsigned index,
		const struct decode_source *source);

/** A signature, one letter an argument, and a letter for the result; see decode_table.c. */
struct signature {
	const char *name;
	const char *args;
	char result; /* d descriptor, x address, 0 number */
	char io;     /* r, w, s, o; 0: works on no descriptor */
};

/** NULL for a call that the table does not have. */
const struct signature *signature_find(const char *name);

/** For a test: how many entries of the table stand out of order. */
int signature_count_unsorted(void);

#endif
