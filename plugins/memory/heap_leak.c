/* SPDX-License-Identifier: MIT */
/* The leak verdict: see heap_leak.h. */
#include "heap_leak.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MIN_WINDOW_S  5.0 /* below, warming up looks like a leak */
#define MIN_AGE_S     0.5
#define MIN_SURVIVORS 6U
#define LEAD          0.1 /* of the window: what is made at its start is warming up */
/* A steady leak has a third of its births in each third. Fewer than this share of them is another course, unless chance does that
 * to a steady one as often as this: few objects are no evidence. The last third decides whether it still goes on. */
#define LEAST_THIRD     0.12
#define CHANCE_OF_THIRD 0.005
#define CHANCE_OF_LAST  0.02
#define SIGNIFICANT     0.01 /* for all sites together */

double heap_leak_age(double window_s)
{
	return window_s / 4 > MIN_AGE_S ? window_s / 4 : MIN_AGE_S;
}

int heap_leak_third(double window_s, double old_s, double born_s)
{
	double begin = LEAD * window_s;
	double span = window_s - old_s - begin;

	if (born_s < begin || span <= 0 || born_s >= begin + span) {
		return -1;
	}
	return (int)((born_s - begin) / span * HEAP_THIRDS);
}

/* P(at most k events) of a Poisson process that expects `mean`. */
static double poisson_at_most(double mean, uint64_t k)
{
	double term = exp(-mean);
	double sum = term;

	for (uint64_t i = 1; i <= k && i < 10000; i++) {
		term *= mean / (double)i;
		sum += term;
	}
	return sum < 1 ? sum : 1;
}

/* P(at most k of n births in a third). */
static double third_at_most(uint64_t n, uint64_t k)
{
	double term = exp((double)n * log(2.0 / 3.0));
	double sum = term;

	for (uint64_t i = 1; i <= k && i <= n; i++) {
		term *= (double)(n - i + 1) / (double)i / 2; /* odds of one third to two thirds */
		sum += term;
	}
	return sum;
}

/* Whether a third has too few births for a leak that went on through it. */
static bool is_thin(const struct heap_evidence *evidence, unsigned third, double chance)
{
	uint64_t births = evidence->by_third[third];

	return births == 0 || ((double)births < LEAST_THIRD * (double)evidence->survivors &&
			       third_at_most(evidence->survivors, births) < chance);
}

static void estimate(const struct heap_evidence *evidence, struct heap_judgement *ret)
{
	double half = 1.96 * sqrt(evidence->survivor_variance);
	double span = evidence->window_s * (1 - LEAD) - evidence->old_s;

	ret->grown = evidence->survivor_bytes;
	ret->grown_low = ret->grown > half ? ret->grown - half : 0;
	ret->grown_high = ret->grown + half;
	if (span > 0) {
		ret->rate = ret->grown / span;
		ret->rate_low = ret->grown_low / span;
		ret->rate_high = ret->grown_high / span;
	}
}

static void conclude(struct heap_judgement *ret, enum heap_verdict verdict, const char *why)
{
	ret->verdict = verdict;
	snprintf(ret->why, sizeof(ret->why), "%s", why);
}

void heap_leak_judge(const struct heap_evidence *evidence, struct heap_judgement *ret)
{
	double chance;

	memset(ret, 0, sizeof(*ret));
	estimate(evidence, ret);
	if (evidence->survivors == 0) {
		conclude(ret, HEAP_STEADY, "nothing that was born in the window became old");
		return;
	}
	if (evidence->window_s < MIN_WINDOW_S) {
		conclude(ret, HEAP_TOO_SHORT, "the window is shorter than 5 s");
		return;
	}
	if (evidence->survivors < MIN_SURVIVORS) {
		snprintf(ret->why, sizeof(ret->why),
			 "%llu sampled objects became old and stayed, 6 are needed: a longer window or a "
			 "smaller `sample`",
			 (unsigned long long)evidence->survivors);
		ret->verdict = HEAP_TOO_SHORT;
		return;
	}
	if (is_thin(evidence, 2, CHANCE_OF_LAST)) {
		conclude(ret, HEAP_SETTLED, "what stays was made early in the window: it grew, then stopped");
		return;
	}
	/* If old objects still left after half a window more, on the average, so few would hardly have been seen to leave. */
	chance = poisson_at_most(evidence->exposure_s / (evidence->window_s / 2), evidence->deaths) *
		 (evidence->sites > 1 ? evidence->sites : 1);
	if (chance > SIGNIFICANT && evidence->deaths * 10 > evidence->survivors) {
		conclude(ret, HEAP_SLOW, "old objects leave, only late");
		return;
	}
	if (is_thin(evidence, 1, CHANCE_OF_THIRD) || is_thin(evidence, 0, CHANCE_OF_THIRD)) {
		conclude(ret, HEAP_TOO_SHORT,
			 "what stays was made in one part of the window: it grew, for how long cannot be "
			 "told");
		return;
	}
	if (chance > SIGNIFICANT) {
		conclude(ret, HEAP_TOO_SHORT, "it grew, but objects have not been watched for long enough");
		return;
	}
	ret->verdict = HEAP_LEAK;
	ret->confidence_pct = 100 * (1 - chance);
	snprintf(ret->why, sizeof(ret->why),
		 "%llu sampled objects older than %.1f s, made throughout the window; %llu left",
		 (unsigned long long)evidence->survivors, evidence->old_s,
		 (unsigned long long)evidence->deaths);
}
