/* SPDX-License-Identifier: MIT */
/* Findings on memory: see grown.h. Thresholds are of the whole, none knows a name. */
#include "grown.h"

#include <math.h>
#include <string.h>

#include <profcore/status.h>

#include "lib/cols.h"
#include "lib/growth.h"
#include "lib/units.h"

#define MIB (1024.0 * 1024.0)
/* Below this, or this share of what was there, a program did not grow: caches fill, stacks deepen. */
#define GROWN_LEAST_BYTES (4 * MIB)
#define GROWN_LEAST_PCT   5.0
/* Memory that came in and went: so many times what was kept, and so much a second. */
#define CHURN_TIMES       4
#define CHURN_LEAST_PER_S (8 * MIB)
#define LEAK_VERDICT      1

struct course {
	uint64_t first_ns, last_ns, first_rss, last_rss, first_anon, last_anon, middle_anon, rows;
	uint64_t oom_kills, limit_hits;
	uint64_t processes, ended;
	int64_t limit, peak;
};

static void read_course(const struct pfc_reader *memory, struct course *ret)
{
	static const char *const totals[] = { "time", "processes", "rss", "anon" };
	static const char *const events[] = { "kind", "value" };
	static const char *const group[] = { "limit", "current" };
	static const char *const pids[] = { "pid" };
	struct cols cols;

	memset(ret, 0, sizeof(*ret));
	ret->limit = -1;
	if (cols_begin(&cols, memory, "totals", totals, 4) == PFC_OK) {
		uint64_t half = cols.table.row_count * 2 / 3;

		while (cols_next(&cols)) {
			for (uint64_t i = 0; i < cols.rows; i++) {
				if (cols_int(&cols, 1, i, 0) == 0) {
					continue;
				}
				ret->last_ns = (uint64_t)cols_int(&cols, 0, i, 0);
				ret->last_rss = (uint64_t)cols_int(&cols, 2, i, 0);
				ret->last_anon = (uint64_t)cols_int(&cols, 3, i, 0);
				ret->middle_anon =
					cols.first_row + i <= half ? ret->last_anon : ret->middle_anon;
				if (ret->rows++ == 0) {
					ret->first_ns = ret->last_ns;
					ret->first_rss = ret->last_rss;
					ret->first_anon = ret->last_anon;
				}
			}
		}
	}
	if (cols_begin(&cols, memory, "events", events, 2) == PFC_OK) {
		while (cols_next(&cols)) {
			for (uint64_t i = 0; i < cols.rows; i++) {
				int64_t kind = cols_int(&cols, 0, i, 0), value = cols_int(&cols, 1, i, 0);

				ret->ended += kind == 2;
				ret->oom_kills += kind == 3 && value > 0 ? (uint64_t)value : 0;
				ret->limit_hits += kind == 4 && value > 0 ? (uint64_t)value : 0;
			}
		}
	}
	ret->processes = cols_begin(&cols, memory, "processes", pids, 1) == PFC_OK ? cols.table.row_count : 0;
	if (cols_begin(&cols, memory, "group", group, 2) == PFC_OK) {
		while (cols_next(&cols)) {
			for (uint64_t i = 0; i < cols.rows; i++) {
				ret->limit = cols_int(&cols, 0, i, -1);
				ret->peak = cols_int(&cols, 1, i, -1) > ret->peak ? cols_int(&cols, 1, i, -1)
										  : ret->peak;
			}
		}
	}
}

static void add_name(struct text *to, const struct profile *profile, uint32_t function)
{
	const char *module = profile_function_module(profile, function);

	text_cut(to, profile_function_name(profile, function), 120);
	if (*module && profile->functions[function].named) {
		text_add(to, " (");
		text_cut(to, module, 40);
		text_add(to, ")");
	}
}

/* The page-fault stacks of the stage that made a memory artifact. */
static const struct pfc_reader *faults_of(const struct pfc_host *host, const struct pfc_reader *memory)
{
	struct pfc_artifact about = { .struct_size = sizeof(about) };
	char producer[64];

	if (memory->describe(memory->ctx, &about) != PFC_OK || strlen(about.producer) >= sizeof(producer)) {
		return NULL;
	}
	strcpy(producer, about.producer);
	for (uint32_t i = 0; i < host->input_count(host->ctx, "stacks"); i++) {
		struct pfc_artifact stacks = { .struct_size = sizeof(stacks) };
		const struct pfc_reader *reader;

		if (host->input(host->ctx, "stacks", i, &reader) == PFC_OK &&
		    reader->describe(reader->ctx, &stacks) == PFC_OK &&
		    strcmp(stacks.producer, producer) == 0 && strcmp(stacks.signal, "faults") == 0) {
			return reader;
		}
	}
	return NULL;
}

static double seconds_of(const struct course *course)
{
	return course->last_ns > course->first_ns ? (double)(course->last_ns - course->first_ns) / 1e9 : 0;
}

/*
 * Nothing was left at the end because nobody was: what can be told is who brought memory in. The end of the last process may come too
 * late to be in the table; then nothing is left of what was there a moment ago.
 */
static bool is_over(const struct course *course, const struct growth *growth)
{
	double came = (double)growth_scaled(growth, growth->profile->weight);

	return (course->processes > 0 && course->ended >= course->processes) ||
	       (growth->kept_count == 0 && 4 * (double)course->last_anon > came);
}

/* ", 97 % of what came in was under fill", where all processes ended before the window did. */
static void say_who_brought(struct finding *finding, const struct growth *growth, const struct rank *all)
{
	const struct rank_row *top = all->count ? &all->rows[0] : NULL;

	if (!top || top->led == 0) {
		text_add(&finding->evidence, "; no function can be named for it");
		return;
	}
	text_format(&finding->title, ", %.0f %% of what came in faulted in under ",
		    units_pct(top->led, growth->profile->weight));
	add_name(&finding->title, growth->profile, top->id);
	text_format(&finding->evidence,
		    "; the target ended before the window did, kept or not cannot be told (+- %.1f points)",
		    growth_error_points(top->led, growth->profile->weight, growth->profile->samples));
}

/* "; 97 % of it faulted in under leak_step", with the figures as evidence. */
static void say_who(struct finding *finding, const struct growth *growth, const struct rank *kept)
{
	const struct rank_row *top = kept->count ? &kept->rows[0] : NULL;
	char text[UNITS_ROOM];

	if (!top || top->led == 0) {
		text_add(&finding->evidence, "; no function can be named for it");
		return;
	}
	text_format(&finding->title, ", %.0f %% of it faulted in under ",
		    units_pct(top->led, growth->kept_sum));
	add_name(&finding->title, growth->profile, top->id);
	text_format(&finding->evidence, "; %s of what came in was there at the end, by %s samples",
		    units_weight(text, growth_kept_scaled(growth, growth->kept_sum), "bytes"),
		    units_count((char[UNITS_ROOM]){ 0 }, growth->kept_count));
	text_format(&finding->evidence, " (+- %.1f points)",
		    growth_error_points(top->led, growth->kept_sum, growth->kept_count));
	for (uint32_t i = 1; i < kept->count && i < 3 && units_pct(kept->rows[i].led, growth->kept_sum) >= 5;
	     i++) {
		text_format(&finding->evidence, ", %.0f %% under ",
			    units_pct(kept->rows[i].led, growth->kept_sum));
		add_name(&finding->evidence, growth->profile, kept->rows[i].id);
	}
}

static void judge_growth(struct analysis *analysis, const struct course *course, const struct growth *growth,
			 const struct rank *kept, const struct rank *all)
{
	double grown = (double)course->last_anon - (double)course->first_anon;
	bool still = course->last_anon > course->middle_anon + (uint64_t)(grown > 0 ? grown / 10 : 0);
	char a[UNITS_ROOM], b[UNITS_ROOM];
	struct finding *finding;
	double share = NAN;

	if (grown < GROWN_LEAST_BYTES || grown < GROWN_LEAST_PCT / 100 * (double)course->first_anon) {
		return;
	}
	if (kept && kept->count) {
		share = units_pct(kept->rows[0].led, growth->kept_sum);
	} else if (kept && all->count && is_over(course, growth)) {
		share = units_pct(all->rows[0].led, growth->profile->weight);
	}
	finding = finding_add(analysis, "memory_growth", still ? "warning" : "info", share);
	if (!finding) {
		return;
	}
	text_format(&finding->title, "RSS grew %s in the window",
		    units_weight(a,
				 course->last_rss > course->first_rss ? course->last_rss - course->first_rss
								      : (uint64_t)grown,
				 "bytes"));
	text_format(&finding->evidence, "from %s to %s", units_weight(a, course->first_rss, "bytes"),
		    units_weight(b, course->last_rss, "bytes"));
	if (seconds_of(course) > 0) {
		text_format(&finding->evidence, ", %s a second",
			    units_weight(a, (uint64_t)(grown / seconds_of(course)), "bytes"));
	}
	text_add(&finding->evidence,
		 still ? ", and still did at its end" : ", and had stopped before its end");
	if (kept && !kept->count && is_over(course, growth)) {
		say_who_brought(finding, growth, all);
	} else if (kept) {
		say_who(finding, growth, kept);
	} else {
		text_add(&finding->evidence, "; there are no page-fault stacks that could say whose it is");
	}
}

/* Memory that comes and goes costs a page fault a page each time. */
static void judge_churn(struct analysis *analysis, const struct course *course, const struct growth *growth,
			const struct rank *all)
{
	double came = (double)growth_scaled(growth, growth->profile->weight),
	       kept = (double)growth_kept_scaled(growth, growth->kept_sum);
	double seconds = seconds_of(course);
	char text[UNITS_ROOM];
	struct finding *finding;

	if (is_over(course, growth) || seconds <= 0 || all->count == 0 || all->rows[0].led == 0 ||
	    came < CHURN_TIMES * kept || (came - kept) / seconds < CHURN_LEAST_PER_S) {
		return;
	}
	finding = finding_add(analysis, "memory_churn", "warning",
			      units_pct(all->rows[0].led, growth->profile->weight));
	if (finding) {
		text_format(
			&finding->title,
			"%s a second of memory comes in by page faults and goes again, %.0f %% of it under ",
			units_weight(text, (uint64_t)((came - kept) / seconds), "bytes"),
			units_pct(all->rows[0].led, growth->profile->weight));
		add_name(&finding->title, growth->profile, all->rows[0].id);
		text_format(&finding->evidence, "%s came in", units_weight(text, (uint64_t)came, "bytes"));
		text_format(&finding->evidence,
			    ", %s of it was there at the end: allocations so large that they go back to the "
			    "kernel at once, "
			    "or processes that live shortly",
			    units_weight(text, (uint64_t)kept, "bytes"));
	}
}

static void judge_limits(struct analysis *analysis, const struct course *course)
{
	char a[UNITS_ROOM], b[UNITS_ROOM];
	struct finding *finding;

	if (course->oom_kills) {
		finding = finding_add(analysis, "oom_kill", "error", NAN);
		if (finding) {
			text_format(&finding->title,
				    "The kernel killed %s of the target's processes for lack of memory",
				    units_count(a, course->oom_kills));
			text_add(&finding->evidence, "its control group reached its limit");
			if (course->limit >= 0) {
				text_format(&finding->evidence, " of %s",
					    units_weight(a, (uint64_t)course->limit, "bytes"));
			}
		}
	} else if (course->limit_hits && course->limit >= 0) {
		finding = finding_add(analysis, "memory_limit", "warning", NAN);
		if (finding) {
			text_format(&finding->title, "The target's memory limit was hit %s times",
				    units_count(a, course->limit_hits));
			text_format(&finding->evidence, "at most %s of %s",
				    units_weight(a, (uint64_t)course->peak, "bytes"),
				    units_weight(b, (uint64_t)course->limit, "bytes"));
		}
	}
}

/* Text of a row of the artifact's strings, cleaned. */
static void add_string(struct text *to, const struct pfc_reader *memory, uint32_t row)
{
	static const char *const names[] = { "text" };
	struct cols cols;

	if (cols_begin(&cols, memory, "strings", names, 1) != PFC_OK) {
		return;
	}
	while (cols_next(&cols)) {
		if (row >= cols.first_row && row - cols.first_row < cols.rows) {
			text_clean(to, cols_string(&cols, 0, row - cols.first_row), 120);
			return;
		}
	}
}

static double real_of(const struct cols *cols, uint32_t column, uint64_t row)
{
	const struct pfc_column_view *view = &cols->views[column];

	return cols_has(cols, column) && view->type == PFC_F64 && row < view->row_count
		       ? ((const double *)view->data)[row]
		       : 0;
}

static void judge_leaks(struct analysis *analysis, const struct pfc_reader *memory)
{
	static const char *const names[] = { "verdict",   "confidence", "rate",  "rate_low",
					     "rate_high", "function",   "module" };
	struct cols cols;

	if (cols_begin(&cols, memory, "leaks", names, 7) != PFC_OK) {
		return;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows; i++) {
			struct finding *finding;
			char text[UNITS_ROOM];

			if (cols_int(&cols, 0, i, 0) != LEAK_VERDICT ||
			    !(finding = finding_add(analysis, "leak", "warning", real_of(&cols, 1, i)))) {
				continue;
			}
			add_string(&finding->title, memory, cols_id(&cols, 5, i));
			text_format(&finding->title, " leaks %s a second",
				    units_weight(text, (uint64_t)fmax(0, real_of(&cols, 2, i)), "bytes"));
			text_format(
				&finding->evidence,
				"what it allocated and did not free grew all through the window; between %s",
				units_weight(text, (uint64_t)fmax(0, real_of(&cols, 3, i)), "bytes"));
			text_format(&finding->evidence, " and %s a second (95 %%), %.1f %% sure",
				    units_weight(text, (uint64_t)fmax(0, real_of(&cols, 4, i)), "bytes"),
				    real_of(&cols, 1, i));
		}
	}
}

static int judge(struct analysis *analysis, const struct pfc_host *host, const struct pfc_reader *memory,
		 bool *ret_any)
{
	const struct pfc_reader *stacks = faults_of(host, memory);
	struct rank kept = { 0 }, all = { 0 };
	struct growth growth = { 0 };
	struct course course;
	int status = PFC_OK;

	read_course(memory, &course);
	*ret_any |= course.rows > 0;
	if (stacks) {
		status = growth_read(memory, stacks, host->now(host->ctx), &growth);
		stacks = status == PFC_OK && growth.profile->samples ? stacks : NULL;
		status = status == PFC_ENOENT ? PFC_OK : status;
	}
	if (stacks) {
		status = growth_rank(&growth, &kept);
		status = status ? status : rank_functions(growth.profile, &all);
		rank_sort(&kept, RANK_LED);
		rank_sort(&all, RANK_LED);
	}
	if (status == PFC_OK) {
		judge_limits(analysis, &course);
		judge_growth(analysis, &course, &growth, stacks ? &kept : NULL, &all);
		judge_leaks(analysis, memory);
	}
	if (status == PFC_OK && stacks) {
		judge_churn(analysis, &course, &growth, &all);
	}
	rank_finish(&kept);
	rank_finish(&all);
	growth_finish(&growth);
	return status;
}

int grown_judge(struct analysis *analysis, const struct pfc_host *host, bool *ret_any)
{
	int status = PFC_OK;

	for (uint32_t i = 0; i < host->input_count(host->ctx, "memory") && status == PFC_OK; i++) {
		const struct pfc_reader *memory;

		if (host->input(host->ctx, "memory", i, &memory) == PFC_OK) {
			status = judge(analysis, host, memory, ret_any);
		}
	}
	return status;
}
