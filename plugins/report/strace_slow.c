/* SPDX-License-Identifier: MIT */
/* The slowest calls, one by one: arguments, stack, and who ended their wait. */
#include "strace_words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_INDENT 39u

/* A text in lines of so many columns, each but the first indented; what does not fit into them ends in an ellipsis. */
static void add_wrapped(struct text *to, const char *text, unsigned indent, unsigned columns, unsigned lines)
{
	for (unsigned line = 1; line < lines && text_columns(text) > columns; line++) {
		size_t bytes = 0;

		for (unsigned column = 0; column < columns; column++) {
			uint32_t point;
			size_t step = text_decode((const unsigned char *)text + bytes, strlen(text + bytes),
						  &point);

			bytes += step ? step : 1;
		}
		text_bytes(to, text, bytes);
		text_add(to, "\n");
		text_char(to, ' ', indent);
		text += bytes;
	}
	text_cut(to, text, columns);
	text_add(to, "\n");
}

/* The program's own functions on its stack, and on that of who ended its wait. */
static void add_ways(const struct syscalls_slow *one, const struct strace_links *links, struct text *to)
{
	uint32_t stack = strace_stack_at(&links->slow, one->time_ns + one->duration_ns, one->tid);
	struct text way = { 0 };

	if (strace_add_way(&links->slow, stack, 5, &way)) {
		text_char(to, ' ', SLOW_INDENT);
		text_add(to, "in ");
		add_wrapped(to, text_str(&way), SLOW_INDENT + 3, WIDTH - SLOW_INDENT - 3, 2);
	}
	to->failed |= way.failed;
	text_finish(&way);
}

static void add_slow_call(const struct syscalls_model *model, const struct syscalls_slow *one,
			  const struct strace_links *links, struct text *to)
{
	double at_s = model->t0_ns ? ((double)one->time_ns - (double)model->t0_ns) / 1e9 : 0;
	char text[UNITS_ROOM];

	text_format(to, "%7.3f", at_s);
	strace_add_right(to, strace_time(text, one->duration_ns), 10);
	strace_add_right(to, strace_time(text, one->blocked_ns), 10);
	text_format(to, "  %8d  ", one->tid);
	add_wrapped(to, one->text, SLOW_INDENT, WIDTH - SLOW_INDENT, 3);
	if (*one->target && !strstr(one->text, one->target)) {
		text_char(to, ' ', SLOW_INDENT);
		text_add(to, "on ");
		text_cut(to, one->target, WIDTH - SLOW_INDENT - 3);
		text_add(to, "\n");
	}
	add_ways(one, links, to);
	if (*one->waker) {
		text_char(to, ' ', SLOW_INDENT);
		text_format(to, "woken by %s\n", one->waker);
	}
}

void strace_add_slow(const struct syscalls_model *model, const struct strace_links *links, struct text *to)
{
	char slow[UNITS_ROOM], count[UNITS_ROOM], title[120];
	uint32_t shown = model->slow_count < SHOWN_MAX ? model->slow_count : SHOWN_MAX;

	if (shown == 0) {
		return;
	}
	snprintf(title, sizeof(title), "Slowest calls, of %s that took %s or longer",
		 units_count(count, model->slow_total),
		 strace_time(slow, strace_positive(strace_fact(model, "slow_ns"))));
	grid_heading(to, title);
	text_add(to, "   at s      took   off CPU       tid  call\n");
	text_add(to, "-------  --------  --------  --------  "
		     "-------------------------------------------------------------\n");
	for (uint32_t i = 0; i < shown; i++) {
		add_slow_call(model, &model->slow[i], links, to);
	}
	strace_add_left_out(to, model->slow_total, shown);
}
