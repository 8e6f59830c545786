/* SPDX-License-Identifier: MIT */
/* What is to be done with each call that a back-end sees: the account of files and locks, and descriptors that change. */
#ifndef STRACE_USES_H
#define STRACE_USES_H

#include "kinds.h"
#include "tracer.h"

/** A call that has returned. */
struct use {
	int32_t pid;
	uint32_t abi;
	int32_t nr;
	const uint64_t *args;
	int64_t result;
	uint64_t duration_ns;
	uint64_t blocked_ns;
	bool is_late; /* its descriptor is another by now: only a name that is known already holds */
};

/** Before anything asks for the name of its descriptor. */
void uses_begin(struct tracer *tracer, struct call_kinds *kinds, const struct use *use);
/** Add it up. After this its descriptor may have another name. Returns 0 or PFC_ENOMEM. */
int uses_add(struct tracer *tracer, struct call_kinds *kinds, const struct use *use);

#endif
