/* SPDX-License-Identifier: MIT */
/* What every text begins with: what it is about, and how far it can be trusted. */
#include "report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <profcore/status.h>

#include "lib/units.h"

#define WRAP_COLUMNS 80

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

/* A sentence, broken at spaces to stay within the width. */
static void add_wrapped(struct text *to, const char *word, const char *sentence)
{
	char part[WRAP_COLUMNS + 1];

	while (*sentence) {
		size_t length = strlen(sentence);

		if (length > WRAP_COLUMNS) {
			length = WRAP_COLUMNS;
			while (length > WRAP_COLUMNS / 2 && sentence[length] != ' ') {
				length--;
			}
		}
		snprintf(part, sizeof(part), "%.*s", (int)length, sentence);
		add_fact(to, word, part);
		word = "";
		sentence += length;
		sentence += strspn(sentence, " ");
	}
}

/* One fact a line; a line that is too long is cut. */
static void add_lines(struct text *to, const char *word, const char *lines)
{
	struct text line = { 0 };

	while (*lines) {
		const char *end = strchrnul(lines, '\n');

		text_clean(&line, (struct pfc_string){ lines, (uint64_t)(end - lines) }, WRAP_COLUMNS);
		add_fact(to, word, text_str(&line));
		line.bytes = 0; /* its room is used again */
		word = "";
		lines = *end ? end + 1 : end;
	}
	to->failed |= line.failed;
	text_finish(&line);
}

static void add_pct(struct text *to, const char *word, double pct)
{
	char text[UNITS_ROOM];

	units_pct_text(text, pct);
	strcat(text, " %");
	add_fact(to, word, isfinite(pct) ? text : "not stated");
}

/* Frames without a name; those whose function can at least be told from others. */
static void add_unknown(const struct report *report, struct text *to)
{
	char pct[UNITS_ROOM], placed_pct[UNITS_ROOM];
	char line[192];
	double placed = NAN;

	(void)report->reader->fact(report->reader->ctx, "unknown_placed_pct", &placed, NULL);
	if (!isfinite(report->health.unknown_pct) || !isfinite(placed)) {
		add_pct(to, "unknown frames", report->health.unknown_pct);
		return;
	}
	units_pct_text(pct, report->health.unknown_pct);
	units_pct_text(placed_pct, placed);
	snprintf(line, sizeof(line), "%s %% (%s %% in functions of which only the place is known)", pct,
		 placed_pct);
	add_fact(to, "unknown frames", line);
}

static void add_number(struct text *to, const char *word, double value)
{
	char text[UNITS_ROOM];

	add_fact(to, word,
		 isfinite(value) && value >= 0 && value < 1e18 ? units_count(text, (uint64_t)value)
							       : "not stated");
}

/* What a walk by frame pointers would have met; only walks by call frame information can tell. */
static void add_pointers(const struct report *report, struct text *to)
{
	const struct pfc_reader *reader = report->reader;
	char frames_pct[UNITS_ROOM], stacks_pct[UNITS_ROOM];
	char line[192];
	double frames = NAN, stacks = NAN;

	(void)reader->fact(reader->ctx, "frames_with_pointer_pct", &frames, NULL);
	(void)reader->fact(reader->ctx, "stacks_with_pointers_pct", &stacks, NULL);
	if (isfinite(frames) && isfinite(stacks)) {
		units_pct_text(frames_pct, frames);
		units_pct_text(stacks_pct, stacks);
		snprintf(line, sizeof(line),
			 "kept by %s %% of the frames, all the way by %s %% of the stacks", frames_pct,
			 stacks_pct);
		add_fact(to, "frame pointers", line);
	}
}

/* How it was taken, what was left out on purpose, what cut the stacks: each where there is something to say. */
static void add_about(const struct report *report, struct text *to)
{
	struct text line = { 0 };
	const char *note = NULL;
	const char *graph = NULL;
	const char *started = NULL;

	if (report->reader->fact(report->reader->ctx, "call_graph", NULL, &graph) == PFC_OK && graph &&
	    *graph) {
		text_clean(&line, (struct pfc_string){ graph, strlen(graph) }, 32);
		add_fact(to, "call graph by", text_str(&line));
		text_finish(&line);
	}
	if (report->reader->fact(report->reader->ctx, "event_note", NULL, &note) == PFC_OK && note && *note) {
		text_clean(&line, (struct pfc_string){ note, strlen(note) }, 512);
		add_wrapped(to, "note", text_str(&line));
		text_finish(&line);
	}
	if (report->reader->fact(report->reader->ctx, "started_as", NULL, &started) == PFC_OK && started &&
	    *started) {
		add_lines(to, "started as", started);
	}
	if (report->health.only.bytes) {
		add_wrapped(to, "filter", text_str(&report->health.only));
	}
	health_truncation(report->reader, &line);
	if (line.bytes) {
		add_wrapped(to, "cut stacks", text_str(&line));
	}
	to->failed |= line.failed;
	text_finish(&line);
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
	add_about(report, to);
	add_pointers(report, to);
	add_pct(to, "rooted stacks", health->rooted_pct);
	add_unknown(report, to);
	add_pct(to, "unnamed leaves", health->unknown_leaf_pct);
	add_number(to, "truncated", health->truncated);
	add_number(to, "lost", (double)health->lost);
	add_number(to, "throttled", health->throttled);
	add_fact(to, "outside window", units_count(text, profile->outside));
}
