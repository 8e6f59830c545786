/* SPDX-License-Identifier: MIT */
/* Which processes are the target's: see members.h. */
#include "members.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/perf/procfs.h"

#define PID_LIMIT                                                                                            \
	(1                                                                                                   \
	 << 22) /* the kernel's PID_MAX_LIMIT on 64-bit machines; pages that nobody writes to cost nothing */
#define DEPTH_MAX 64 /* of ancestors */

enum member_state { UNKNOWN, MEMBER, OTHER };

int members_init(struct members *members, const int32_t *pids, size_t count)
{
	members->state = calloc(PID_LIMIT, 1);
	if (!members->state) {
		return -ENOMEM;
	}
	members->limit = PID_LIMIT;
	members->others = 0;
	for (size_t i = 0; i < count; i++) {
		if (pids[i] > 0 && pids[i] < PID_LIMIT) {
			members->state[pids[i]] = MEMBER;
		}
	}
	return 0;
}

static bool is_in_range(const struct members *members, int32_t pid)
{
	return pid > 0 && (uint32_t)pid < members->limit;
}

void members_fork(struct members *members, int32_t pid, int32_t parent_pid)
{
	if (members->state && is_in_range(members, pid) && is_in_range(members, parent_pid)) {
		members->state[pid] = members->state[parent_pid] == MEMBER ? MEMBER : OTHER;
	}
}

/* The nearest ancestor that is known decides. */
static enum member_state ask_ancestors(const struct members *members, int32_t pid)
{
	for (int depth = 0; depth < DEPTH_MAX && is_in_range(members, pid); depth++) {
		if (members->state[pid] != UNKNOWN) {
			return members->state[pid];
		}
		pid = perf_procfs_parent(pid);
	}
	return OTHER;
}

bool members_has(struct members *members, int32_t pid)
{
	if (!members->state) {
		return true;
	}
	if (!is_in_range(members, pid)) {
		members->others++;
		return false;
	}
	if (members->state[pid] == UNKNOWN) {
		members->state[pid] = (uint8_t)ask_ancestors(members, pid);
	}
	members->others += members->state[pid] != MEMBER;
	return members->state[pid] == MEMBER;
}

void members_finish(struct members *members)
{
	free(members->state);
	*members = (struct members){ NULL, 0, 0 };
}
