/* SPDX-License-Identifier: MIT */
#include "calibrate.h"

#include <time.h>

#include "truth.h"

#define TRIAL_NS 2000000u /* long beside a thread clock read, short beside a start-up */
#define TRIALS   4

static uint64_t time_passes(enum work work, uint64_t passes, uint64_t *result)
{
	uint64_t began_ns = truth_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	*result += work_do(work, *result, passes);
	return truth_clock_ns(CLOCK_THREAD_CPUTIME_ID) - began_ns;
}

/* The best of some trials: the others were disturbed. */
static double pass_ns(enum work work, uint64_t *result)
{
	uint64_t passes = 16;
	uint64_t best_ns = time_passes(work, passes, result);

	while (best_ns < TRIAL_NS && passes < (1u << 30)) {
		passes *= 2;
		best_ns = time_passes(work, passes, result);
	}
	for (unsigned i = 1; i < TRIALS; i++) {
		uint64_t ns = time_passes(work, passes, result);

		best_ns = ns < best_ns ? ns : best_ns;
	}
	return (double)(best_ns > 0 ? best_ns : 1) / (double)passes;
}

void calibrate(const double split[WORK_COUNT], uint64_t work_us, struct amounts *ret_amounts)
{
	struct amounts amounts = { .result = 1 };

	for (unsigned work = 0; work < WORK_COUNT; work++) {
		double ns = split[work] * (double)work_us * 1000.0;

		amounts.passes[work] = (uint64_t)(ns / pass_ns(work, &amounts.result) + 0.5);
		if (amounts.passes[work] == 0 && ns > 0) {
			amounts.passes[work] = 1;
		}
	}
	*ret_amounts = amounts;
}
