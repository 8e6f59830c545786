/* SPDX-License-Identifier: MIT */
/*
 * The text on a "profcore.memory/1" artifact: what was read of it, and the sections that are made of that. Growth by function joins
 * its table `faults` with the page-fault stacks of the same stage.
 */
#ifndef PLUGINS_REPORT_MEMORY_H
#define PLUGINS_REPORT_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <profcore/profcore.h>

#include "lib/cols.h"
#include "lib/names.h"
#include "lib/profile.h"
#include "lib/text.h"

#define MEMORY_KINDS 8

struct memory_point {
	uint64_t time_ns, rss, anon, file, shmem, swap, minor, major;
	uint32_t processes;
};

struct memory_process {
	int32_t pid;
	uint32_t name; /* in names */
	uint64_t first_rss, last_rss, peak_rss, first_anon, last_anon, pss, minor, major;
	bool is_born, is_ended, has_first;
};

struct memory_kind {
	uint64_t count, size, rss, pss, anon, huge, swap;
};

struct memory_group {
	uint64_t rows;
	int64_t first_current, last_current, peak_current, peak, limit, oom_kills, limit_events, high_events,
		pressure_ns;
};

struct memory_report {
	const struct pfc_host *host;
	const struct pfc_reader *reader;
	const char *run_id;
	char producer[64], port[64];
	bool partial;
	uint64_t lost;
	uint32_t rows; /* longest table */
	struct names names;
	uint32_t *strings; /* row of `strings` to names */
	uint32_t string_count;
	struct memory_point *points;
	size_t point_count;
	struct memory_process *processes;
	size_t process_count;
	struct memory_kind kinds[2][MEMORY_KINDS];
	bool has_kinds[2];
	struct memory_group group;
	uint64_t oom_kills;
	bool cut; /* a chunk could not be read */
};

/** The whole document about the artifact of input `memory`. Returns 0, what memory_read or the host gave. */
int memory_write(const struct pfc_host *host, uint32_t rows, struct text *to);

/** Read the tables. Returns 0, PFC_ENOENT without the table `totals`, PFC_ENOMEM. */
int memory_read(struct memory_report *report);
void memory_finish(struct memory_report *report);

/** A fact as a number; NAN when there is none. As text; "" when there is none. */
double memory_fact(const struct memory_report *report, const char *key);
const char *memory_fact_text(const struct memory_report *report, const char *key);

/** The sections, in the order of the document. Those that can run out of memory return 0 or PFC_ENOMEM. */
void memory_add_head(const struct memory_report *report, struct text *to);
void memory_add_timeline(const struct memory_report *report, struct text *to);
void memory_add_processes(struct memory_report *report, struct text *to);
void memory_add_kinds(const struct memory_report *report, struct text *to);
int memory_add_growth(const struct memory_report *report, struct text *to);
void memory_add_heap(const struct memory_report *report, struct text *to);
void memory_add_coverage(const struct memory_report *report, struct text *to);

/** Parts of the heap's section. */
void memory_add_histograms(const struct memory_report *report, struct text *to);
void memory_add_leaks(const struct memory_report *report, struct text *to);

/** A figure of a column of reals; an estimate of bytes as text; a row of `strings`, "[unknown]" when it is empty. */
double memory_real(const struct cols *cols, uint32_t column, uint64_t row);
const char *memory_estimate(char *to, double value);
const char *memory_name(const struct memory_report *report, uint32_t string);

/** Words on lines of at most 100 columns, the first after `mark`, the others indented as far. */
void memory_add_wrapped(struct text *to, const char *mark, const char *words);

/** RSS at the begin of the window and at its end, and by how much its anonymous part grew. */
const struct memory_point *memory_first(const struct memory_report *report);
const struct memory_point *memory_last(const struct memory_report *report);

#endif
