/* SPDX-License-Identifier: MIT */
/* System calls and waits by time. */
#include "strace_words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int more_time(const void *a, const void *b)
{
	const struct syscalls_call *x = a;
	const struct syscalls_call *y = b;

	if (x->total_ns != y->total_ns) {
		return x->total_ns < y->total_ns ? 1 : -1;
	}
	return x->calls != y->calls ? (x->calls < y->calls ? 1 : -1) : strcmp(x->name, y->name);
}

static int more_blocked(const void *a, const void *b)
{
	const struct syscalls_call *x = a;
	const struct syscalls_call *y = b;

	return x->blocked_ns != y->blocked_ns ? (x->blocked_ns < y->blocked_ns ? 1 : -1) : more_time(a, b);
}

static void add_call(struct syscalls_call *call, uint64_t whole_ns, const struct grid_column *columns,
		     unsigned count, struct text *to)
{
	char pct[UNITS_ROOM], total[UNITS_ROOM], calls[UNITS_ROOM], errors[UNITS_ROOM], mean[UNITS_ROOM],
		p50[UNITS_ROOM], p99[UNITS_ROOM], max[UNITS_ROOM], blocked[UNITS_ROOM];
	const char *cells[] = {
		strace_pct(pct, call->total_ns, whole_ns),
		strace_short_time(total, call->total_ns),
		units_count(calls, call->calls),
		call->errors ? units_count(errors, call->errors) : "",
		strace_short_time(mean, call->total_ns / call->calls),
		strace_short_time(p50, syscalls_quantile(&call->call_times, 0.5, call->max_ns)),
		strace_short_time(p99, syscalls_quantile(&call->call_times, 0.99, call->max_ns)),
		strace_short_time(max, call->max_ns),
		call->blocked_ns ? strace_pct(blocked, call->blocked_ns, call->total_ns) : "",
		call->error ? call->error : "",
		call->name
	};

	grid_row(to, columns, count, cells);
}

void strace_add_calls(struct syscalls_model *model, struct text *to)
{
	static const struct grid_column columns[] = {
		{ "time%", 5, true }, { "total", 6, true },      { "calls", 9, true }, { "errors", 7, true },
		{ "mean", 6, true },  { "p50", 6, true },        { "p99", 6, true },   { "max", 6, true },
		{ "off%", 5, true },  { "top error", 9, false }, { "call", 15, false }
	};
	uint64_t whole_ns = 0, calls = 0, errors = 0;
	uint32_t kinds = 0, shown = 0;
	char total[UNITS_ROOM], count[UNITS_ROOM], failed[UNITS_ROOM];

	for (uint32_t i = 0; i < model->call_count; i++) {
		whole_ns += model->calls[i].total_ns;
		calls += model->calls[i].calls;
		errors += model->calls[i].errors;
		kinds += model->calls[i].calls > 0;
	}
	if (calls == 0) {
		return;
	}
	qsort(model->calls, model->call_count, sizeof(*model->calls), more_time);
	grid_heading(to, "System calls by time; off% is the part of it off the CPU");
	grid_head(to, columns, COUNT_OF(columns));
	for (uint32_t i = 0; i < model->call_count && shown < model->rows; i++) {
		if (model->calls[i].calls) {
			add_call(&model->calls[i], whole_ns, columns, COUNT_OF(columns), to);
			shown++;
		}
	}
	strace_add_left_out(to, kinds, shown);
	strace_add_right(to, "100", 5);
	strace_add_right(to, strace_short_time(total, whole_ns), 8);
	text_format(to, "  %9s  %7s  in all\n", units_count(count, calls), units_count(failed, errors));
}

void strace_add_call_waits(struct syscalls_model *model, struct text *to)
{
	static const struct grid_column columns[] = { { "off%", 6, true },   { "off CPU", 9, true },
						      { "waits", 10, true }, { "mean", 8, true },
						      { "p50", 8, true },    { "p99", 8, true },
						      { "max", 8, true },    { "then queued", 11, true },
						      { "call", 16, false } };
	uint64_t whole_ns = 0;
	uint32_t kinds = 0, shown = 0;

	for (uint32_t i = 0; i < model->call_count; i++) {
		whole_ns += model->calls[i].blocked_ns;
		kinds += model->calls[i].waits > 0;
	}
	if (kinds == 0) {
		return;
	}
	qsort(model->calls, model->call_count, sizeof(*model->calls), more_blocked);
	grid_heading(to, "Waits by system call: asleep in it, then waiting for a CPU");
	grid_head(to, columns, COUNT_OF(columns));
	for (uint32_t i = 0; i < model->call_count && shown < model->rows; i++) {
		struct syscalls_call *call = &model->calls[i];
		char pct[UNITS_ROOM], total[UNITS_ROOM], waits[UNITS_ROOM], mean[UNITS_ROOM], p50[UNITS_ROOM],
			p99[UNITS_ROOM], max[UNITS_ROOM], queued[UNITS_ROOM];

		if (call->waits == 0) {
			continue;
		}
		const char *cells[] = {
			strace_pct(pct, call->blocked_ns, whole_ns),
			strace_time(total, call->blocked_ns),
			units_count(waits, call->waits),
			strace_time(mean, call->blocked_ns / call->waits),
			strace_time(p50, syscalls_quantile(&call->wait_times, 0.5, call->wait_max_ns)),
			strace_time(p99, syscalls_quantile(&call->wait_times, 0.99, call->wait_max_ns)),
			strace_time(max, call->wait_max_ns),
			strace_time(queued, call->runnable_ns),
			call->name
		};

		grid_row(to, columns, COUNT_OF(columns), cells);
		shown++;
	}
	strace_add_left_out(to, kinds, shown);
}

void strace_add_other_waits(const struct syscalls_model *model, struct text *to)
{
	static const struct grid_column columns[] = { { "total", 9, true },
						      { "times", 10, true },
						      { "mean", 8, true },
						      { "max", 8, true },
						      { "cause", 24, false } };
	bool has_any = false;

	for (uint32_t i = 0; i < model->wait_count; i++) {
		const struct syscalls_wait *wait = &model->waits[i];
		char total[UNITS_ROOM], count[UNITS_ROOM], mean[UNITS_ROOM], max[UNITS_ROOM];

		if (wait->count == 0) {
			continue;
		}
		if (!has_any) {
			grid_heading(to, "Waits outside system calls");
			grid_head(to, columns, COUNT_OF(columns));
			has_any = true;
		}
		const char *cells[] = { strace_time(total, wait->total_ns), units_count(count, wait->count),
					strace_time(mean, wait->total_ns / wait->count),
					strace_time(max, wait->max_ns), wait->cause };

		grid_row(to, columns, COUNT_OF(columns), cells);
	}
}
