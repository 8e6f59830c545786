/* SPDX-License-Identifier: MIT */
/* Samples of threads with certain names only: see filter.h. */
#include "filter.h"

#include <fnmatch.h>
#include <string.h>

#include "lib/perf/procfs.h"

#define AGAIN_NS 1000000000ull

static bool matches(const struct filter *filter, const char *name)
{
	for (uint32_t i = 0; i < filter->pattern_count; i++) {
		if (fnmatch(filter->patterns[i], name, 0) == 0) {
			return true;
		}
	}
	return false;
}

bool filter_passes(struct filter *filter, int32_t pid, int32_t tid, uint64_t time_ns)
{
	uint32_t slot = (uint32_t)tid % FILTER_SLOTS;
	bool is_known = filter->seen[slot].tid == tid;
	char name[64];

	if (filter->pattern_count == 0) {
		return true;
	}
	if (!is_known || time_ns - filter->seen[slot].looked_ns >= AGAIN_NS) {
		if (perf_procfs_thread_name(pid, tid, name, sizeof(name)) == 0) {
			filter->seen[slot].tid = tid;
			filter->seen[slot].passes = matches(filter, name);
			filter->seen[slot].looked_ns = time_ns;
		} else if (!is_known) {
			filter->unnamed++;
			return false;
		}
	}
	filter->dropped += !filter->seen[slot].passes;
	return filter->seen[slot].passes;
}
