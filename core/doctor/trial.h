/* SPDX-License-Identifier: MIT */
/*
 * Trying things out, each group in a process of its own that has just the rights that a stage with such a manifest would
 * have, and is ended when it is late. A seccomp filter may kill for a forbidden call: then the group says so.
 */
#ifndef CORE_DOCTOR_TRIAL_H
#define CORE_DOCTOR_TRIAL_H

#include <jansson.h>

#include "doctor/facts.h"

struct trial {
	const char *area;
	const char
		*what; /* for people, should the process end before it has said all: "trying perf events" */
	unsigned privileges;
	void (*run)(const struct facts *facts, json_t *checks);
};

/** Run one and add what it found. */
void trial_run(const struct trial *trial, const struct facts *facts, json_t *checks);

/** What there is to try: perf_trial.c, bpf_trial.c, access_trial.c. */
extern const struct trial trial_perf;
extern const struct trial trial_bpf;
extern const struct trial trial_access;

#endif
