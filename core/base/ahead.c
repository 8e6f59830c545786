/* SPDX-License-Identifier: MIT */
/* Going ahead of the load: see ahead.h. */
#include "base/ahead.h"

#include <errno.h>
#include <sys/resource.h>

#define NICER_BY 10

void ahead_take(void)
{
	int nice;

	errno = 0;
	nice = getpriority(PRIO_PROCESS, 0);
	if (errno == 0) {
		(void)setpriority(PRIO_PROCESS, 0, nice - NICER_BY);
	}
}
