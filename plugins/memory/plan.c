/* SPDX-License-Identifier: MIT */
/* The capability plan: see plan.h. */
#include "plan.h"

#include <stdio.h>
#include <string.h>

#define LINE_COLUMNS 82 /* of 100, "profcore: memory: " stands before */
#define LEAD_COLUMNS 5

static char *next_line(struct plan *plan, bool is_seen)
{
	if (plan->count == PLAN_LINES) {
		return NULL;
	}
	plan->lines[plan->count].is_seen = is_seen;
	return plan->lines[plan->count++].text;
}

void plan_sees(struct plan *plan, const char *what, const char *cost)
{
	char *line = next_line(plan, true);

	if (line) {
		snprintf(line, PLAN_LINE_BYTES, "%s%s%s", what, cost ? "; costs " : "", cost ? cost : "");
	}
}

void plan_lacks(struct plan *plan, const char *what, const char *why, const char *remedy)
{
	char *line = next_line(plan, false);

	if (line) {
		snprintf(line, PLAN_LINE_BYTES, "%s: %s%s%s", what, why, remedy ? "; try: " : "",
			 remedy ? remedy : "");
	}
}

/* A line of the terminal's, with the rest of it on lines of their own, further in. */
static void say(const struct pfc_host *host, const char *first, const char *text)
{
	char line[LINE_COLUMNS + 1];
	const char *lead = first;

	while (*text) {
		int lead_bytes = snprintf(line, sizeof(line), "%-*s", LEAD_COLUMNS, lead);
		size_t room = sizeof(line) - 1 - (size_t)lead_bytes, bytes = strlen(text);

		if (bytes > room) {
			for (bytes = room; bytes > 0 && text[bytes] != ' ';) {
				bytes--;
			}
			bytes = bytes ? bytes : room; /* one long word */
		}
		snprintf(line + lead_bytes, sizeof(line) - (size_t)lead_bytes, "%.*s", (int)bytes, text);
		host->log(host->ctx, PFC_LOG_NOTICE, line);
		text += bytes;
		text += *text == ' ';
		lead = "";
	}
}

void plan_log(const struct plan *plan, const struct pfc_host *host)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		say(host, plan->lines[i].is_seen ? "sees" : "not", plan->lines[i].text);
	}
}

void plan_keep(const struct plan *plan, const struct pfc_writer *writer)
{
	char key[32], text[PLAN_LINE_BYTES + 16];

	for (uint32_t i = 0; i < plan->count; i++) {
		snprintf(key, sizeof(key), "plan.%02u", i + 1);
		snprintf(text, sizeof(text), "%s %s", plan->lines[i].is_seen ? "sees" : "lacks",
			 plan->lines[i].text);
		writer->fact_text(writer->ctx, key, text);
	}
}
