/* SPDX-License-Identifier: MIT */
/* Descriptors: see budget.h. */
#include "budget.h"

#include <stdio.h>
#include <sys/resource.h>

/* Descriptors that this process needs besides events. */
#define FD_RESERVE 64

uint64_t perf_budget_limit(uint64_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
		return 0;
	}
	if (limit.rlim_cur < wanted) {
		struct rlimit more = { wanted, limit.rlim_max < wanted ? wanted : limit.rlim_max };

		if (setrlimit(RLIMIT_NOFILE, &more) != 0) { /* the hard limit needs CAP_SYS_RESOURCE */
			more = (struct rlimit){ limit.rlim_max, limit.rlim_max };
			(void)setrlimit(RLIMIT_NOFILE, &more);
		}
		if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
			return 0;
		}
	}
	return limit.rlim_cur;
}

uint64_t perf_budget_wanted(size_t threads, uint32_t cpus, size_t elsewhere)
{
	return (uint64_t)(threads + 1) * cpus + elsewhere + FD_RESERVE;
}

int perf_budget_check(size_t threads, uint32_t cpus, size_t elsewhere, struct perf_refusal *refusal)
{
	uint64_t wanted = perf_budget_wanted(threads, cpus, elsewhere);
	uint64_t limit = perf_budget_limit(wanted);
	char why[192];
	char hint[192];

	if (wanted <= limit) {
		return 0;
	}
	snprintf(why, sizeof(why), "%zu threads on %u CPUs need %llu descriptors, and the limit is %llu",
		 threads, cpus, (unsigned long long)wanted, (unsigned long long)limit);
	snprintf(hint, sizeof(hint),
		 "raise the limit before the run: ulimit -Hn %llu; or narrow [target] to one process",
		 (unsigned long long)wanted);
	return perf_refusal_set(refusal, PFC_ENOSPC, why, hint, "events for the target's threads");
}
