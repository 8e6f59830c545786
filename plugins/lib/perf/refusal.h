/* SPDX-License-Identifier: MIT */
/*
 * Why the kernel refused, told apart by cause, each with its own remedy. The text is made from facts that are gathered in
 * one place, so that a test can make every case without a machine that has it.
 */
#ifndef LIB_PERF_REFUSAL_H
#define LIB_PERF_REFUSAL_H

#include <profcore/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct perf_refusal {
	int32_t status;
	char what[160];
	char why[320];
	char hint[480];
};

/** What is known about the process that was refused. */
struct perf_refusal_facts {
	int error; /* errno of perf_event_open or of mmap */
	bool is_mmap;
	bool is_every_process; /* it was for whatever runs on a CPU */
	bool is_other_process; /* the event was for a process that is not us */
	int64_t paranoid;      /* kernel.perf_event_paranoid */
	uint64_t caps;         /* CapEff */
	uint64_t seccomp;      /* 2: a filter is in force */
	int64_t mlock_kb;      /* kernel.perf_event_mlock_kb */
	int64_t max_rate;      /* kernel.perf_event_max_sample_rate */
};

/** Gather the facts about this process. */
void perf_refusal_gather(int error, struct perf_refusal_facts *ret);

/** Fill why, hint and status from the facts; `event` is the event's name. */
void perf_refusal_reason(const struct perf_refusal_facts *facts, const char *event, struct perf_refusal *ret);

/** Gather and explain a failed perf_event_open of an event on a process (0: ourselves, -1: all) and CPU (-1: any). Returns the status. */
int perf_refusal_explain(int error, const char *event, int32_t pid, int32_t cpu, struct perf_refusal *ret);

/** Fill a refusal; `what` is a format. Returns status. */
int perf_refusal_set(struct perf_refusal *ret, int32_t status, const char *why, const char *hint,
		     const char *what_format, ...) __attribute__((format(printf, 5, 6)));

#endif
