/* SPDX-License-Identifier: MIT */
#include "health.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <profcore/status.h>

#include "units.h"

/* Below these, a profile still shows where time goes, but shares of single functions can be far off. */
#define ROOTED_ENOUGH_PCT    95.0
#define ROOTED_LEAST_PCT     90.0 /* unless the collector states min_rooted */
#define UNKNOWN_TOO_MUCH_PCT 5.0
#define SAMPLES_FOR_SHARE    30u  /* as in the core: below, not even a warning can be drawn from a share */
#define SAMPLES_ENOUGH       100u /* at 100 samples the 95 % interval of a half is about +-10 points */

static double fact(const struct pfc_reader *reader, const char *key)
{
	double value = NAN;

	return reader->fact(reader->ctx, key, &value, NULL) == PFC_OK ? value : NAN;
}

/* By the core, where a container was restarted or made anew in the window. */
static void warn_of_restarts(struct health *health, const struct pfc_reader *reader)
{
	double lives = fact(reader, "target.generations");

	if (lives > 1) {
		text_format(&health->warnings,
			    "The target began anew in the window: these are %.0f lives of it, one after the "
			    "other.\n",
			    lives);
	}
}

static void warn_of_losses(struct health *health, const struct profile *profile)
{
	struct text *to = &health->warnings;
	char count[UNITS_ROOM], samples[UNITS_ROOM];

	if (health->partial) {
		text_add(to, "The data is PARTIAL: the collector was stopped early or lost samples.\n");
	}
	if (health->lost) {
		text_format(to, "%s samples were LOST (%s kept): shares are of what was kept.\n",
			    units_count(count, health->lost), units_count(samples, profile->samples));
	}
	if (health->throttled > 0) {
		text_format(to,
			    "The kernel throttled sampling %.0f times: busy moments are under-represented.\n",
			    health->throttled);
	}
	if (profile->cut || profile->dropped_rows || profile->bad_ids) {
		text_format(
			to,
			"The artifact is damaged: %s%" PRIu64 " bad references, %" PRIu64 " rows not read.\n",
			profile->cut ? "unreadable chunks, " : "", profile->bad_ids, profile->dropped_rows);
	}
}

static void warn_of_quality(struct health *health, const struct profile *profile)
{
	struct text *to = &health->warnings;
	char count[UNITS_ROOM];

	if (!profile->has_frames) {
		text_add(to,
			 "There are no symbols (the collector did not finish): names are module+address.\n");
	}
	if (profile->samples < SAMPLES_FOR_SHARE) {
		/* A share of so few says nothing; that they are few is said below. */
	} else if (health->rooted_pct < health->min_rooted_pct) {
		text_format(to,
			    "Only %.1f %% of the stacks reach their thread's start, less than min_rooted = "
			    "%.0f %%: DO NOT TRUST "
			    "totals.\n",
			    health->rooted_pct, health->min_rooted_pct);
	} else if (health->rooted_pct < ROOTED_ENOUGH_PCT) {
		text_format(to,
			    "Only %.1f %% of the stacks reach their thread's start: totals are too low.\n",
			    health->rooted_pct);
	}
	if (profile->has_frames && profile->samples >= SAMPLES_FOR_SHARE &&
	    health->unknown_leaf_pct > UNKNOWN_TOO_MUCH_PCT) {
		text_format(to, "%.1f %% of the samples end in code without a name.\n",
			    health->unknown_leaf_pct);
	}
	if (profile->samples < SAMPLES_ENOUGH) {
		health->few_only = to->bytes == 0 && !profile->window_ignored;
		text_format(to, "Only %s sample%s: shares are rough.\n", units_count(count, profile->samples),
			    profile->samples == 1 ? "" : "s");
	}
	if (profile->window_ignored) {
		text_add(to, "The samples are from another run: they are not cut to this run's window.\n");
	}
}

static void say_only(const struct profile *profile, struct text *to)
{
	char pct[UNITS_ROOM];
	double whole = (double)profile->weight + (double)profile->other_weight;

	if (profile->only_symbols[0]) {
		text_format(to, "only stacks with %s: %s %% of all", profile->only_symbols,
			    units_pct_text(pct, whole > 0 ? 100.0 * (double)profile->weight / whole : 0));
	}
}

int health_read(const struct profile *profile, const struct pfc_reader *reader, struct health *ret)
{
	struct health health = {
		.rooted_pct = fact(reader, "rooted_pct"),
		.unknown_pct = fact(reader, "unknown_pct"),
		.throttled = fact(reader, "throttled"),
		.truncated = fact(reader, "not_rooted"),
		.frequency_hz = fact(reader, "frequency_hz"),
		.lost = profile->lost,
		.partial = profile->partial,
	};
	double lost = fact(reader, "lost");
	double min_rooted = fact(reader, "min_rooted");

	health.min_rooted_pct = isfinite(min_rooted) ? min_rooted : ROOTED_LEAST_PCT;

	if (lost > (double)health.lost && lost < 1e18) {
		health.lost = (uint64_t)lost;
	}
	health.unknown_leaf_pct = units_pct(profile->unknown_leaf, profile->samples);
	say_only(profile, &health.only);
	warn_of_restarts(&health, reader);
	warn_of_losses(&health, profile);
	warn_of_quality(&health, profile);
	if (health.warnings.failed || health.only.failed) {
		health_finish(&health);
		return PFC_ENOMEM;
	}
	*ret = health;
	return PFC_OK;
}

static void add_pct(struct text *to, const char *word, double pct)
{
	char text[UNITS_ROOM];

	if (isfinite(pct)) {
		text_format(to, "%s %s %%, ", word, units_pct_text(text, pct));
	} else {
		text_format(to, "%s not stated, ", word);
	}
}

/* What cut the stacks, as the stack service names it, worst first. */
static const struct {
	const char *key;
	const char *words;
} causes[] = {
	{ "truncated.stack_copy", "stack longer than the copy" },
	{ "truncated.no_cfi", "code without call frame information" },
	{ "truncated.unmapped", "address in no mapping" },
	{ "truncated.broken", "rules that lead nowhere" },
	{ "truncated.depth", "too many frames" },
	{ "user_truncated", "cut by the kernel or the CPU" },
	{ "kernel_truncated", "kernel part cut" },
};

void health_truncation(const struct pfc_reader *reader, struct text *to)
{
	const char *separator = "";
	char count[UNITS_ROOM];

	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
		double value = fact(reader, causes[i].key);

		if (value >= 1 && value < 1e18) {
			text_format(to, "%s%s %s", separator, units_count(count, (uint64_t)value),
				    causes[i].words);
			separator = ", ";
		}
	}
}

void health_line(const struct health *health, struct text *to)
{
	char count[UNITS_ROOM];

	add_pct(to, "rooted", health->rooted_pct);
	add_pct(to, "unknown frames", health->unknown_pct);
	add_pct(to, "unnamed leaves", health->unknown_leaf_pct);
	if (isfinite(health->truncated)) {
		text_format(to, "truncated %.0f, ", health->truncated);
	}
	text_format(to, "lost %s", units_count(count, health->lost));
	if (isfinite(health->throttled)) {
		text_format(to, ", throttled %.0f", health->throttled);
	}
	if (health->only.bytes) {
		text_format(to, "; %s", text_str(&health->only));
	}
}

void health_finish(struct health *health)
{
	text_finish(&health->only);
	text_finish(&health->warnings);
}
