/* SPDX-License-Identifier: MIT */
/* What a stack off the CPU waits for, told by the functions of the kernel and of C libraries in it. */
#ifndef PLUGINS_ANALYZE_CAUSES_H
#define PLUGINS_ANALYZE_CAUSES_H

#include "lib/profile.h"

enum cause {
	CAUSE_NONE, /* something to do, or not told apart */
	CAUSE_LOCK,
	CAUSE_DISK,
	CAUSE_NETWORK,
	CAUSE_SLEEP,
	CAUSE_NAMES, /* of hosts, to be looked up */
	CAUSES,
};

/** The cause of a stack; *ret_app becomes the innermost function of the app in it, 0 for none. */
enum cause cause_of_stack(const struct profile *profile, uint32_t stack, uint32_t *ret_app);

#endif
