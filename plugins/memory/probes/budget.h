/* SPDX-License-Identifier: MIT */
/*
 * How much probes may cost: a share of what the target computes. Time that they took is paid from an account that fills as the
 * target's CPU time passes; when it is empty they are off until a new slice is saved up. Times in ns.
 */
#ifndef MEMORY_PROBES_BUDGET_H
#define MEMORY_PROBES_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
	double share;                                                     /* 0.03: three percent */
	double emulated_ns, stepped_ns, sample_ns, counted_ns, switch_ns; /* what each costs the target */
	double factor; /* on all of them: how this target differs from calibration */
	double raw_ns; /* cost of all that was seen so far, by calibration */
	double account_ns;
	double spent_ns; /* since the start */
	double slice_spent_ns, slice_ns;
	double charged_ns; /* for coming and going, of the last slice */
	double need_ns;    /* what a new slice is expected to take */
	uint64_t first_cpu_ns;
	uint64_t cpu_ns, now_ns; /* as of the last look */
	bool is_on;
};

/** What was seen since the start, and the target's CPU time. */
struct budget_use {
	uint64_t now_ns;
	uint64_t cpu_ns; /* of all its processes, with the probes' own */
	uint64_t hits, stepped, samples, passed, passed_stepped;
};

void budget_start(struct budget *budget, const struct budget_use *use);

/** Take the account's measure. Returns whether the probes should be on now. */
bool budget_look(struct budget *budget, const struct budget_use *use);

/**
 * Since the last look probes came or went: all that the target computed meanwhile is taken to be lost. Measured so: what hits cost
 * is a third of it.
 */
void budget_charge(struct budget *budget, const struct budget_use *use);

/** They were switched on or off, which costs too. */
void budget_switched(struct budget *budget, bool is_on);

/** Computing time of the target without the probes' part, of this moment. */
double budget_net_ns(const struct budget *budget);

/** When to look again, at the latest. */
uint64_t budget_due(const struct budget *budget);

#endif
