/* SPDX-License-Identifier: MIT */
/* The capability plan: see plan.h. */
#include "plan.h"

#include <stdio.h>

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

void plan_log(const struct plan *plan, const struct pfc_host *host)
{
	char text[PLAN_LINE_BYTES + 16];

	for (uint32_t i = 0; i < plan->count; i++) {
		snprintf(text, sizeof(text), "%s %s", plan->lines[i].is_seen ? "sees" : "lacks",
			 plan->lines[i].text);
		host->log(host->ctx, PFC_LOG_INFO, text);
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
