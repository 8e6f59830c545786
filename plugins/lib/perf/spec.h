/* SPDX-License-Identifier: MIT */
/*
 * Events in perf's words: "cycles", "page-faults", "L1-dcache-load-misses", "r1a2", "sched:sched_switch", each also with
 * modifiers: ":u", ":k", ":p"; and of a named PMU (pmu.h). What a word means, not whether it works.
 */
#ifndef LIB_PERF_SPEC_H
#define LIB_PERF_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct perf_event_spec {
	const char *
		name; /* as perf calls it where it has several; raw events, tracepoints and modified ones: as given, borrowed */
	uint32_t type;
	uint64_t config, config1, config2;
	bool is_clock;    /* counts ns of CPU time */
	bool only_user;   /* :u */
	bool only_kernel; /* :k; with both letters neither is set */
	uint8_t precise;  /* how many p: 1 to 3 */
	bool is_modified;
	bool is_absent;   /* of a PMU that this machine does not have */
	char cpumask[64]; /* not "": of a PMU that counts for all its CPUs, on one of each set; never for a process */
};

/**
 * Find what a word means. Tracepoints are looked up in tracefs.
 *
 * Returns: 0; -EINVAL: no such word; -ENOENT: no such tracepoint here, or no tracefs; -EACCES: tracefs may not be read; of a
 * named PMU what perf_pmu_parse_in returns.
 */
int perf_spec_parse(const char *word, struct perf_event_spec *ret);

/** Likewise with another folder in place of tracefs' events, for a test. */
int perf_spec_parse_in(const char *word, const char *const *folders, size_t folder_count,
		       struct perf_event_spec *ret);

/** Names of the events that have one, "a, b, c", for a message. */
void perf_spec_names(char *to, size_t to_bytes);

#endif
