/* SPDX-License-Identifier: MIT */
/* What the tables of the text on system calls share. */
#include "strace_words.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

double strace_fact(const struct syscalls_model *model, const char *key)
{
	double value = NAN;

	return model->reader->fact(model->reader->ctx, key, &value, NULL) == PFC_OK ? value : NAN;
}

const char *strace_fact_text(const struct syscalls_model *model, const char *key)
{
	const char *text = NULL;

	return model->reader->fact(model->reader->ctx, key, NULL, &text) == PFC_OK && text ? text : "";
}

uint64_t strace_positive(double value)
{
	return isfinite(value) && value > 0 && value < 1e18 ? (uint64_t)value : 0;
}

const char *strace_time(char *to, uint64_t ns)
{
	return ns ? units_weight(to, ns, "ns") : strcpy(to, "-");
}

/* "6.91ms", where columns are dear. */
const char *strace_short_time(char *to, uint64_t ns)
{
	char *space = strchr(strace_time(to, ns), ' ');

	if (space) {
		memmove(space, space + 1, strlen(space));
	}
	return to;
}

const char *strace_pct(char *to, uint64_t part, uint64_t whole)
{
	snprintf(to, UNITS_ROOM, "%.1f", units_pct(part, whole));
	return to;
}

/* The micro sign has two bytes: padded by columns. */
void strace_add_right(struct text *to, const char *text, unsigned columns)
{
	size_t used = text_columns(text);

	text_char(to, ' ', used < columns ? columns - used : 0);
	text_add(to, text);
}

void strace_add_left_out(struct text *to, uint64_t count, uint64_t shown)
{
	char text[UNITS_ROOM];

	if (count > shown) {
		text_format(to, "(%s more)\n", units_count(text, count - shown));
	}
}
