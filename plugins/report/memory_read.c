/* SPDX-License-Identifier: MIT */
/* The tables of profcore.memory/1 as figures: see memory.h. The artifact is hostile: ids are checked, missing columns are 0. */
#include "memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cols.h"

#define ROWS_MAX (1u << 22)

double memory_fact(const struct memory_report *report, const char *key)
{
	double number;

	return report->reader->fact(report->reader->ctx, key, &number, NULL) == PFC_OK ? number : NAN;
}

const char *memory_fact_text(const struct memory_report *report, const char *key)
{
	const char *text = "";

	return report->reader->fact(report->reader->ctx, key, NULL, &text) == PFC_OK && text ? text : "";
}

/* Room for one more; NULL when memory ran out or the table is longer than anybody needs. */
static void *grow(void **items, size_t *count, size_t bytes)
{
	size_t used = *count;

	if ((used & (used - 1)) == 0) { /* a power of two is full */
		void *more = used < ROWS_MAX ? realloc(*items, (used ? 2 * used : 1) * bytes) : NULL;

		if (!more) {
			return NULL;
		}
		*items = more;
	}
	*count = used + 1;
	return memset((char *)*items + used * bytes, 0, bytes);
}

static int read_strings(struct memory_report *report)
{
	static const char *const names[] = { "text" };
	struct cols cols;

	if (cols_begin(&cols, report->reader, "strings", names, 1) != PFC_OK ||
	    cols.table.row_count > ROWS_MAX) {
		return PFC_OK;
	}
	report->strings = calloc(cols.table.row_count + 1, sizeof(*report->strings));
	if (!report->strings) {
		return PFC_ENOMEM;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows && report->string_count < cols.table.row_count; i++) {
			if (names_raw(&report->names, cols_string(&cols, 0, i),
				      &report->strings[report->string_count++]) != PFC_OK) {
				return PFC_ENOMEM;
			}
		}
	}
	report->cut |= cols.cut;
	return PFC_OK;
}

static uint64_t u64_of(const struct cols *cols, uint32_t column, uint64_t row)
{
	int64_t value = cols_int(cols, column, row, 0);

	return value > 0 ? (uint64_t)value : 0;
}

static int read_totals(struct memory_report *report)
{
	static const char *const names[] = { "time",  "processes", "rss",          "anon",        "file",
					     "shmem", "swap",      "minor_faults", "major_faults" };
	struct cols cols;
	int status = cols_begin(&cols, report->reader, "totals", names, 9);

	while (status == PFC_OK && cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			struct memory_point *point =
				grow((void **)&report->points, &report->point_count, sizeof(*report->points));

			if (!point) {
				return PFC_ENOMEM;
			}
			*point = (struct memory_point){ .time_ns = u64_of(&cols, 0, i),
							.processes = (uint32_t)u64_of(&cols, 1, i),
							.rss = u64_of(&cols, 2, i),
							.anon = u64_of(&cols, 3, i),
							.file = u64_of(&cols, 4, i),
							.shmem = u64_of(&cols, 5, i),
							.swap = u64_of(&cols, 6, i),
							.minor = u64_of(&cols, 7, i),
							.major = u64_of(&cols, 8, i) };
		}
	}
	report->cut |= status == PFC_OK && cols.cut;
	return status;
}

/* The newest of this pid: pids come again. */
static struct memory_process *find(const struct memory_report *report, int32_t pid)
{
	for (size_t i = report->process_count; i-- > 0;) {
		if (report->processes[i].pid == pid) {
			return &report->processes[i];
		}
	}
	return NULL;
}

static struct memory_process *at(struct memory_report *report, int32_t pid)
{
	struct memory_process *process = find(report, pid);

	if (!process) {
		process =
			grow((void **)&report->processes, &report->process_count, sizeof(*report->processes));
		if (process) {
			process->pid = pid;
		}
	}
	return process;
}

static int read_processes(struct memory_report *report)
{
	static const char *const names[] = { "pid", "name" };
	struct cols cols;

	if (cols_begin(&cols, report->reader, "processes", names, 2) != PFC_OK) {
		return PFC_OK;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			struct memory_process *process = at(report, (int32_t)cols_int(&cols, 0, i, 0));
			uint32_t name = cols_id(&cols, 1, i);

			if (!process) {
				return PFC_ENOMEM;
			}
			process->name = name < report->string_count ? report->strings[name] : 0;
		}
	}
	report->cut |= cols.cut;
	return PFC_OK;
}

static int read_samples(struct memory_report *report)
{
	static const char *const names[] = { "pid", "rss", "anon", "minor_faults", "major_faults" };
	struct cols cols;

	if (cols_begin(&cols, report->reader, "samples", names, 5) != PFC_OK) {
		return PFC_OK;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			struct memory_process *process = at(report, (int32_t)cols_int(&cols, 0, i, 0));

			if (!process) {
				return PFC_ENOMEM;
			}
			process->last_rss = u64_of(&cols, 1, i);
			process->last_anon = u64_of(&cols, 2, i);
			process->minor = u64_of(&cols, 3, i);
			process->major = u64_of(&cols, 4, i);
			process->peak_rss =
				process->last_rss > process->peak_rss ? process->last_rss : process->peak_rss;
			if (!process->has_first) {
				process->has_first = true;
				process->first_rss = process->last_rss;
				process->first_anon = process->last_anon;
			}
		}
	}
	report->cut |= cols.cut;
	return PFC_OK;
}

static void read_pss(struct memory_report *report)
{
	static const char *const names[] = { "pid", "pss" };
	struct cols cols;

	if (cols_begin(&cols, report->reader, "pss", names, 2) != PFC_OK) {
		return;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			struct memory_process *process = find(report, (int32_t)cols_int(&cols, 0, i, 0));

			if (process) {
				process->pss = u64_of(&cols, 1, i);
			}
		}
	}
}

static void read_events(struct memory_report *report)
{
	static const char *const names[] = { "pid", "kind", "value" };
	struct cols cols;

	if (cols_begin(&cols, report->reader, "events", names, 3) != PFC_OK) {
		return;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			struct memory_process *process = find(report, (int32_t)cols_int(&cols, 0, i, 0));
			int64_t kind = cols_int(&cols, 1, i, 0);

			if (kind == 3) {
				report->oom_kills += u64_of(&cols, 2, i);
			} else if (process && kind == 1) {
				process->is_born = true;
			} else if (process && kind == 2) {
				process->is_ended = true;
			}
		}
	}
}

static void read_group(struct memory_report *report)
{
	static const char *const names[] = { "current",      "peak",        "limit",        "oom_kills",
					     "limit_events", "high_events", "pressure_some" };
	struct memory_group *group = &report->group;
	int64_t first[7] = { 0 };
	struct cols cols;

	*group = (struct memory_group){ .peak = -1,
					.limit = -1,
					.oom_kills = -1,
					.limit_events = -1,
					.high_events = -1,
					.pressure_ns = -1 };
	if (cols_begin(&cols, report->reader, "group", names, 7) != PFC_OK) {
		return;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			int64_t v[7];

			for (uint32_t c = 0; c < 7; c++) {
				v[c] = cols_int(&cols, c, i, -1);
				first[c] = group->rows ? first[c] : v[c];
			}
			group->rows++;
			group->first_current = first[0];
			group->last_current = v[0];
			group->peak_current = v[0] > group->peak_current ? v[0] : group->peak_current;
			group->peak = v[1];
			group->limit = v[2];
			group->oom_kills = v[3] < 0 ? -1 : v[3] - first[3];
			group->limit_events = v[4] < 0 ? -1 : v[4] - first[4];
			group->high_events = v[5] < 0 ? -1 : v[5] - first[5];
			group->pressure_ns = v[6] < 0 ? -1 : v[6] - first[6];
		}
	}
}

static void read_kinds(struct memory_report *report)
{
	static const char *const names[] = {
		"moment", "kind", "count", "size", "rss", "pss", "anon", "swap"
	};
	struct cols cols;

	if (cols_begin(&cols, report->reader, "mappings", names, 8) != PFC_OK) {
		return;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			uint64_t moment = u64_of(&cols, 0, i), kind = u64_of(&cols, 1, i);
			struct memory_kind *to;

			if (moment > 1 || kind >= MEMORY_KINDS) {
				continue;
			}
			to = &report->kinds[moment][kind];
			report->has_kinds[moment] = true;
			to->count += u64_of(&cols, 2, i);
			to->size += u64_of(&cols, 3, i);
			to->rss += u64_of(&cols, 4, i);
			to->pss += u64_of(&cols, 5, i);
			to->anon += u64_of(&cols, 6, i);
			to->swap += u64_of(&cols, 7, i);
		}
	}
}

int memory_read(struct memory_report *report)
{
	struct pfc_artifact about = { .struct_size = sizeof(about) };
	int status = names_init(&report->names, report->host->now(report->host->ctx));

	if (report->reader->describe(report->reader->ctx, &about) == PFC_OK) {
		snprintf(report->producer, sizeof(report->producer), "%s", about.producer);
		snprintf(report->port, sizeof(report->port), "%s", about.port);
		report->partial = about.partial != 0;
		report->lost = about.lost;
	}
	status = status ? status : read_strings(report);
	status = status ? status : read_totals(report);
	status = status ? status : read_processes(report);
	status = status ? status : read_samples(report);
	if (status == PFC_OK) {
		read_pss(report);
		read_events(report);
		read_group(report);
		read_kinds(report);
	}
	return status;
}

const struct memory_point *memory_first(const struct memory_report *report)
{
	static const struct memory_point none;

	for (size_t i = 0; i < report->point_count; i++) {
		if (report->points[i].processes) {
			return &report->points[i];
		}
	}
	return &none;
}

const struct memory_point *memory_last(const struct memory_report *report)
{
	for (size_t i = report->point_count; i-- > 0;) {
		if (report->points[i].processes) {
			return &report->points[i];
		}
	}
	return memory_first(report);
}

void memory_finish(struct memory_report *report)
{
	names_finish(&report->names);
	free(report->strings);
	free(report->points);
	free(report->processes);
}
