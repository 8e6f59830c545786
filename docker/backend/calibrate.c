/* SPDX-License-Identifier: MIT */
#include "calibrate.h"

#include <time.h>

#include "truth.h"

#define TRIAL_NS 2000000u /* long beside a thread clock read, short beside a start-up */
#define TRIALS   4
#define MEMORY   16 /* calls after which a changed cost is mostly believed */

static uint64_t time_passes(enum work work, uint64_t passes, uint64_t *result)
{
	uint64_t began_ns = truth_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	*result += work_do(work, *result, passes);
	return truth_clock_ns(CLOCK_THREAD_CPUTIME_ID) - began_ns;
}

/* The best of some trials: the others were disturbed. */
static double measure_pass_ns(enum work work, uint64_t *result)
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

void calibrate(struct amounts *amounts, const double split[WORK_COUNT], uint64_t work_us)
{
	amounts->result = 1;
	for (unsigned work = 0; work < WORK_COUNT; work++) {
		double pass_ns = measure_pass_ns(work, &amounts->result);

		amounts->target_ns[work] = (uint64_t)(split[work] * (double)work_us * 1000.0);
		atomic_init(&amounts->pass_ps[work], (uint64_t)(pass_ns * 1000.0) + 1);
	}
}

uint64_t amounts_passes(struct amounts *amounts, enum work work, uint64_t ns)
{
	uint64_t pass_ps = atomic_load_explicit(&amounts->pass_ps[work], memory_order_relaxed);
	uint64_t passes = (ns * 1000 + pass_ps / 2) / pass_ps;

	return passes == 0 && ns > 0 ? 1 : passes;
}

void amounts_learn(struct amounts *amounts, enum work work, uint64_t passes, uint64_t ns)
{
	uint64_t pass_ps = atomic_load_explicit(&amounts->pass_ps[work], memory_order_relaxed);

	/* A short call says more about the clock than about the work. */
	if (passes == 0 || ns < 20000) {
		return;
	}
	pass_ps = (pass_ps * (MEMORY - 1) + ns * 1000 / passes) / MEMORY;
	atomic_store_explicit(&amounts->pass_ps[work], pass_ps > 0 ? pass_ps : 1, memory_order_relaxed);
}
