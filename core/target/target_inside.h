/* SPDX-License-Identifier: MIT */
/* What the files of the target share: target_open.c finds it, target_stop.c ends it, target_json.c tells of it. */
#ifndef CORE_TARGET_TARGET_INSIDE_H
#define CORE_TARGET_TARGET_INSIDE_H

#include "target/container.h"
#include "target/launch.h"
#include "target/ready.h"
#include "target/target.h"
#include "target/track.h"

struct target {
	const char *kind;
	char *name;
	int32_t pid; /* the root */
	int pid_fd;  /* of the root; a launched one's is the launch's */
	bool launched;
	bool released;
	bool is_group;              /* a control group as a whole */
	struct container container; /* what it is or lives in; path "" when it is none */
	struct launch launch;
	struct ready ready;
	uint64_t ready_timeout_ns;
	uint64_t ready_until_ns;
	uint64_t stop_timeout_ns;
	struct tracker tracker;
};

#endif
