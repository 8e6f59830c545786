/* SPDX-License-Identifier: MIT */
/*
 * How complete a profile is: what the collector stated as facts, what the host counted, and what reading it showed. Every
 * document says this first.
 */
#ifndef PLUGINS_LIB_HEALTH_H
#define PLUGINS_LIB_HEALTH_H

#include "profile.h"
#include "text.h"

struct health {
	double rooted_pct;       /* stacks that reach the thread's first function; NAN when not stated */
	double unknown_pct;      /* as stated: frames without a name; NAN when not stated */
	double throttled;        /* NAN when not stated */
	double truncated;        /* stacks that do not reach it; NAN when not stated */
	double min_rooted_pct;   /* below it, totals are not to be trusted */
	double frequency_hz;     /* NAN when not stated */
	double unknown_leaf_pct; /* samples whose innermost frame has no name: counted here */
	uint64_t lost;
	bool partial;
	bool few_only;        /* all there is to warn of is that the samples are few */
	struct text only;     /* "only stacks with slow_endpoint: 12 % of all"; "" where all are taken */
	struct text warnings; /* one sentence a line, worst first; "" when there is nothing to warn of */
};

/** Gather; free with health_finish. Returns 0 or PFC_ENOMEM. */
int health_read(const struct profile *profile, const struct pfc_reader *reader, struct health *ret);

/** Append one line: "rooted 99.1 %, unknown 0.4 %, lost 0, ...". */
void health_line(const struct health *health, struct text *to);

/** Append what cut the stacks: "12 stack longer than the copy, 3 address in no mapping"; nothing when nothing did. */
void health_truncation(const struct pfc_reader *reader, struct text *to);

void health_finish(struct health *health);

#endif
