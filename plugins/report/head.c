/* SPDX-License-Identifier: MIT */
/* What every text begins with: what it is about, and how far it can be trusted. */
#include "report.h"

#include <math.h>
#include <string.h>

#include "lib/units.h"

static void add_warnings(const char *warnings, struct text *to)
{
	const char *end;

	for (; *warnings; warnings = *end ? end + 1 : end) {
		end = strchrnul(warnings, '\n');
		text_add(to, "  !! ");
		text_bytes(to, warnings, (size_t)(end - warnings));
		text_add(to, "\n");
	}
}

static void add_fact(struct text *to, const char *word, const char *figure)
{
	text_format(to, "  %-16s %s\n", word, figure);
}

static void add_pct(struct text *to, const char *word, double pct)
{
	char text[UNITS_ROOM];

	units_pct_text(text, pct);
	strcat(text, " %");
	add_fact(to, word, isfinite(pct) ? text : "not stated");
}

static void add_number(struct text *to, const char *word, double value)
{
	char text[UNITS_ROOM];

	add_fact(to, word,
		 isfinite(value) && value >= 0 && value < 1e18 ? units_count(text, (uint64_t)value)
							       : "not stated");
}

void report_head(const struct report *report, const char *what, struct text *to)
{
	const struct profile *profile = report->profile;
	const struct health *health = &report->health;
	char text[UNITS_ROOM];

	text_format(to, "%s of %s.%s", what, profile->producer, profile->port);
	text_format(to, "%s%s, run %s\n", *profile->signal ? ", " : "", profile->signal, report->run_id);
	text_add(to, "\nCompleteness\n============\n\n");
	add_warnings(text_str(&health->warnings), to);
	add_fact(to, "event", profile->event);
	add_fact(to, "samples", units_count(text, profile->samples));
	if (profile->has_weight && strcmp(profile->unit, "count") != 0) {
		add_fact(to, "weight", units_weight(text, profile->weight, profile->unit));
	}
	add_pct(to, "rooted stacks", health->rooted_pct);
	add_pct(to, "unknown frames", health->unknown_pct);
	add_pct(to, "unnamed leaves", health->unknown_leaf_pct);
	add_number(to, "truncated", health->truncated);
	add_number(to, "lost", (double)health->lost);
	add_number(to, "throttled", health->throttled);
	add_fact(to, "outside window", units_count(text, profile->outside));
}
