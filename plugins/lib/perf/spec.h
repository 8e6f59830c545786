/* SPDX-License-Identifier: MIT */
/* Events in perf's words: "cycles", "page-faults", "r1a2", "sched:sched_switch". What a word means, not whether it works. */
#ifndef LIB_PERF_SPEC_H
#define LIB_PERF_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct perf_event_spec {
	const char *
		name; /* as perf calls it where it has several; raw events and tracepoints: as given, borrowed */
	uint32_t type;
	uint64_t config;
	bool is_clock; /* counts ns of CPU time */
};

/**
 * Find what a word means. Tracepoints are looked up in tracefs.
 *
 * Returns: 0; -EINVAL: no such word; -ENOENT: no such tracepoint here, or no tracefs; -EACCES: tracefs may not be read.
 */
int perf_spec_parse(const char *word, struct perf_event_spec *ret);

/** Likewise with another folder in place of tracefs' events, for a test. */
int perf_spec_parse_in(const char *word, const char *const *folders, size_t folder_count,
		       struct perf_event_spec *ret);

/** Names of the events that have one, "a, b, c", for a message. */
void perf_spec_names(char *to, size_t to_bytes);

#endif
