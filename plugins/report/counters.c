/* SPDX-License-Identifier: MIT */
/* The table of what was counted: from profcore.counters/1, a line an event, with the ratios that people read. */
#include "report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "lib/cols.h"
#include "lib/grid.h"
#include "lib/units.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define ROWS_MAX        1000 /* of an artifact that anybody may have written */
#define NAME_CHARS      64

struct row {
	struct text name;
	bool is_clock;
	uint64_t value, enabled_ns, running_ns;
};

struct table {
	struct row *rows;
	uint32_t count;
	uint64_t window_ns;
};

enum column { EVENT, UNIT, VALUE, ENABLED, RUNNING, COLUMN_COUNT };

double report_scaled(uint64_t value, uint64_t enabled_ns, uint64_t running_ns)
{
	if (running_ns == 0) {
		return NAN;
	}
	return running_ns >= enabled_ns ? (double)value
					: (double)value * ((double)enabled_ns / (double)running_ns);
}

static double scaled(const struct row *row)
{
	return report_scaled(row->value, row->enabled_ns, row->running_ns);
}

static int read_rows(const struct pfc_reader *reader, struct table *table)
{
	static const char *const names[] = { "event", "unit", "value", "enabled_ns", "running_ns" };
	struct cols cols;
	int status = cols_begin(&cols, reader, "counters", names, COLUMN_COUNT);

	table->rows = calloc(ROWS_MAX, sizeof(*table->rows));
	if (table->rows == NULL) {
		return PFC_ENOMEM;
	}
	while (status == PFC_OK && cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows && table->count < ROWS_MAX; i++) {
			struct row *row = &table->rows[table->count++];
			struct pfc_string unit = cols_string(&cols, UNIT, i);

			text_clean(&row->name, cols_string(&cols, EVENT, i), NAME_CHARS);
			row->is_clock = unit.bytes == 2 && memcmp(unit.data, "ns", 2) == 0;
			row->value = (uint64_t)cols_int(&cols, VALUE, i, 0);
			row->enabled_ns = (uint64_t)cols_int(&cols, ENABLED, i, 0);
			row->running_ns = (uint64_t)cols_int(&cols, RUNNING, i, 0);
		}
	}
	return PFC_OK;
}

static double value_of(const struct table *table, const char *name)
{
	for (uint32_t i = 0; i < table->count; i++) {
		if (strcmp(text_str(&table->rows[i].name), name) == 0) {
			return scaled(&table->rows[i]);
		}
	}
	return NAN;
}

/* What an event's count says beside another's; "" when that one was not counted. */
static void add_ratio(const struct table *table, const struct row *row, char *to, size_t to_bytes)
{
	static const struct {
		const char *event, *base;
		double factor;
		const char *words;
	} ratios[] = {
		{ "instructions", "cycles", 1, "per cycle" },
		{ "cache-misses", "cache-references", 100, "% of cache references" },
		{ "branch-misses", "branches", 100, "% of branches" },
	};
	const char *name = text_str(&row->name);
	double seconds = value_of(table, "task-clock") / 1e9;

	to[0] = '\0';
	for (size_t i = 0; i < COUNT_OF(ratios); i++) {
		double ratio = ratios[i].factor * scaled(row) / value_of(table, ratios[i].base);

		if (strcmp(name, ratios[i].event) == 0 && isfinite(ratio)) {
			snprintf(to, to_bytes, "%.2f %s", ratio, ratios[i].words);
			return;
		}
	}
	if (row->is_clock && table->window_ns > 0) {
		snprintf(to, to_bytes, "%.3f CPUs used", scaled(row) / (double)table->window_ns);
	} else if (!row->is_clock && seconds > 0) {
		double rate = scaled(row) / seconds;

		snprintf(to, to_bytes, "%.*f a second of CPU time", rate < 10 ? 2 : 0, rate);
	}
}

static void add_row(const struct table *table, const struct row *row, const struct grid_column *columns,
		    struct text *to)
{
	char value[UNITS_ROOM] = "not counted", share[UNITS_ROOM] = "", ratio[80] = "";
	double count = scaled(row);

	if (isfinite(count) && count < 1e18) {
		if (row->is_clock) {
			units_weight(value, (uint64_t)count, "ns");
		} else {
			units_count(value, (uint64_t)count);
		}
		add_ratio(table, row, ratio, sizeof(ratio));
		snprintf(share, sizeof(share), "%.1f",
			 row->enabled_ns ? 100.0 * (double)row->running_ns / (double)row->enabled_ns : 100.0);
	}
	grid_row(to, columns, 4, (const char *const[]){ value, text_str(&row->name), ratio, share });
}

static void add_missing(const struct pfc_reader *reader, struct text *to)
{
	const char *missing = NULL;

	if (reader->fact(reader->ctx, "missing", NULL, &missing) == PFC_OK && missing && *missing) {
		text_add(to, "Not counted, as this machine lacks them: ");
		text_clean(to, (struct pfc_string){ missing, strlen(missing) }, 400);
		text_add(to, "\n");
	}
}

int report_counters(const struct pfc_reader *reader, uint64_t window_ns, struct text *to)
{
	static const struct grid_column columns[] = { { "count", 18, true },
						      { "event", 28, false },
						      { "which is", 36, false },
						      { "counted %", 9, true } };
	struct table table = { .window_ns = window_ns };
	int status = read_rows(reader, &table);

	if (status == PFC_OK) {
		grid_heading(
			to, "Counters: what took turns is scaled from the share of time that it was counted");
		grid_head(to, columns, COUNT_OF(columns));
		for (uint32_t i = 0; i < table.count; i++) {
			add_row(&table, &table.rows[i], columns, to);
		}
		add_missing(reader, to);
	}
	for (uint32_t i = 0; i < table.count; i++) {
		to->failed |= table.rows[i].name.failed;
		text_finish(&table.rows[i].name);
	}
	free(table.rows);
	return status;
}
