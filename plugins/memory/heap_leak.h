/* SPDX-License-Identifier: MIT */
/*
 * Is it a leak? Not "not freed at the end": most of what is in use at the end of a window is young, or was made once. Looked at
 * are the objects of one stack that were born in the window and came to an age (a quarter of the window). A leak makes such
 * objects all the time, and none of them leaves. What speaks against it, in this order: too few of them; their births stop
 * (a cache that fills, a start); they do leave, only later.
 */
#ifndef MEMORY_HEAP_LEAK_H
#define MEMORY_HEAP_LEAK_H

#include <stdint.h>

enum heap_verdict {
	HEAP_STEADY = 0,    /* nothing of it stays */
	HEAP_LEAK = 1,      /* grows throughout, nothing leaves */
	HEAP_TOO_SHORT = 2, /* grew; window or evidence too small to tell */
	HEAP_SETTLED = 3,   /* grew, then stopped */
	HEAP_SLOW = 4,      /* grew, but old objects do leave */
};

#define HEAP_THIRDS 3

/** What the verdict is made from. */
struct heap_evidence {
	double window_s, old_s;
	uint32_t sites;     /* that are judged: the more, the likelier one of them looks bad by chance */
	uint64_t survivors; /* sampled objects past the age, alive */
	uint64_t by_third[HEAP_THIRDS]; /* their births, over the part of the window in which they can lie */
	double exposure_s;              /* time lived past the age, by survivors and by those that left */
	uint64_t deaths;                /* past the age */
	double survivor_bytes, survivor_variance; /* weighted */
};

struct heap_judgement {
	enum heap_verdict verdict;
	double confidence_pct;               /* that it grows without end; 0 unless LEAK */
	double rate, rate_low, rate_high;    /* bytes/s, of what stays */
	double grown, grown_low, grown_high; /* bytes */
	char why[160];
};

/** The age in seconds for a window. */
double heap_leak_age(double window_s);

/** The third of the births' span [t0 + lead, t1 - age] that a birth lies in; -1: outside. Times in seconds from t0. */
int heap_leak_third(double window_s, double old_s, double born_s);

void heap_leak_judge(const struct heap_evidence *evidence, struct heap_judgement *ret);

#endif
