/* SPDX-License-Identifier: MIT */
/*
 * Long waits that a thread ended, by who waited where and who ended it where. Rows of `long_waits` are joined to their stacks and to the
 * waker's; a waker that had just waited itself is followed one step further.
 */
#include "strace_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "lib/cols.h"

#define ROWS_MAX   (1u << 18) /* later ones are left out, which the text says */
#define PATHS_MOST 4u

struct row {
	uint64_t time_ns, blocked_ns, woken_ns, lock;
	int32_t tid, waker_tid;
	uint32_t stack, waker_stack;
	char name[24], waker[24];
};

/* Rows of one pair of stacks. */
struct group {
	const struct row *first; /* stands for all */
	const struct row *longest;
	uint64_t total_ns, count, locks;
};

struct rows {
	struct row *rows;
	uint32_t count;
	uint64_t all;
};

static void copy_word(char to[24], struct pfc_string from)
{
	struct text text = { 0 };

	text_clean(&text, from, 20);
	strncpy(to, text_str(&text), 23);
	text_finish(&text);
}

static int read_rows(const struct syscalls_model *model, const struct strace_links *links, struct rows *ret)
{
	static const char *const columns[] = { "time", "blocked_ns", "woken", "tid",
					       "lock", "waker_tid",  "name",  "waker" };
	struct cols cols;
	uint64_t most;

	if (cols_begin(&cols, model->reader, "long_waits", columns, 8) != PFC_OK) {
		return PFC_OK;
	}
	ret->all = cols.table.row_count;
	most = ret->all < ROWS_MAX ? ret->all : ROWS_MAX;
	ret->rows = calloc(most ? most : 1, sizeof(*ret->rows));
	if (!ret->rows) {
		return PFC_ENOMEM;
	}
	while (cols_next(&cols)) {
		for (uint64_t i = 0; i < cols.rows && ret->count < most; i++) {
			struct row *row = &ret->rows[ret->count++];

			row->time_ns = (uint64_t)cols_int(&cols, 0, i, 0);
			row->blocked_ns = (uint64_t)cols_int(&cols, 1, i, 0);
			row->woken_ns = (uint64_t)cols_int(&cols, 2, i, 0);
			row->tid = (int32_t)cols_int(&cols, 3, i, 0);
			row->lock = (uint64_t)cols_int(&cols, 4, i, 0);
			row->waker_tid = (int32_t)cols_int(&cols, 5, i, 0);
			copy_word(row->name, cols_string(&cols, 6, i));
			copy_word(row->waker, cols_string(&cols, 7, i));
			row->stack = strace_stack_at(&links->off_cpu, row->time_ns, row->tid);
			row->waker_stack = row->waker_tid > 0 ? strace_stack_at(&links->wakers, row->woken_ns,
										row->waker_tid)
							      : 0;
		}
	}
	return PFC_OK;
}

static int by_pair(const void *a, const void *b)
{
	const struct row *x = *(const struct row *const *)a;
	const struct row *y = *(const struct row *const *)b;

	if (x->stack != y->stack) {
		return x->stack < y->stack ? -1 : 1;
	}
	if (x->waker_stack != y->waker_stack) {
		return x->waker_stack < y->waker_stack ? -1 : 1;
	}
	return x->lock != y->lock ? (x->lock < y->lock ? -1 : 1)
				  : (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

static int heavier(const void *a, const void *b)
{
	const struct group *x = a;
	const struct group *y = b;

	return x->total_ns != y->total_ns
		       ? (x->total_ns < y->total_ns ? 1 : -1)
		       : (x->first->time_ns > y->first->time_ns) - (x->first->time_ns < y->first->time_ns);
}

/* The waker's own last long wait that ended within this wait: what it in turn had waited for. */
static const struct row *before(const struct rows *rows, const struct row *of)
{
	const struct row *found = NULL;

	for (uint32_t i = 0; i < rows->count; i++) {
		const struct row *row = &rows->rows[i];

		if (row->tid == of->waker_tid && row->time_ns <= of->woken_ns &&
		    row->time_ns + of->blocked_ns > of->woken_ns &&
		    (!found || row->time_ns > found->time_ns)) {
			found = row;
		}
	}
	return found;
}

static void add_line(struct text *to, const char *word, const struct strace_sampled *from, uint32_t stack,
		     const char *otherwise)
{
	struct text way = { 0 };

	text_format(to, "%22s", word);
	if (strace_add_way(from, stack, PATHS_MOST, &way) == 0) {
		text_add(&way, otherwise);
	}
	text_cut(to, text_str(&way), WIDTH - 22);
	text_add(to, "\n");
	to->failed |= way.failed;
	text_finish(&way);
}

static void add_group(const struct rows *rows, const struct strace_links *links, const struct group *group,
		      struct text *to)
{
	char total[UNITS_ROOM], count[UNITS_ROOM], max[UNITS_ROOM], lock[64] = "";
	const struct row *row = group->longest;
	const struct row *earlier = before(rows, row);

	if (group->locks > 1) {
		snprintf(lock, sizeof(lock), ", %llu locks, one is 0x%llx", (unsigned long long)group->locks,
			 (unsigned long long)row->lock);
	} else if (row->lock) {
		snprintf(lock, sizeof(lock), ", lock 0x%llx", (unsigned long long)row->lock);
	}
	strace_add_right(to, strace_time(total, group->total_ns), 9);
	text_format(to, "  %s in %s waits, longest %s%s\n", row->name, units_count(count, group->count),
		    strace_time(max, row->blocked_ns), lock);
	add_line(to, "waits in ", &links->off_cpu, row->stack, "(its stack was not taken)");
	text_format(to, "%*s", 11, "");
	text_format(to, "woken by %s (thread %d)\n", row->waker, row->waker_tid);
	add_line(to, "in ", &links->wakers, row->waker_stack, "(its stack was not taken)");
	if (earlier) {
		text_format(to, "%*swhich had itself waited %s in %s", 11, "",
			    strace_time(max, earlier->blocked_ns), earlier->name);
		text_format(to, earlier->waker[0] ? ", woken by %s\n" : "\n", earlier->waker);
		add_line(to, "in ", &links->off_cpu, earlier->stack, "(its stack was not taken)");
	}
}

static uint32_t make_groups(const struct rows *rows, const struct row **order, struct group *groups)
{
	uint32_t wanted = 0, count = 0;

	for (uint32_t i = 0; i < rows->count; i++) {
		if (rows->rows[i].waker_tid > 0) {
			order[wanted++] = &rows->rows[i];
		}
	}
	qsort(order, wanted, sizeof(const struct row *), by_pair);
	for (uint32_t i = 0; i < wanted; i++) {
		const struct row *row = order[i];
		struct group *group = count ? &groups[count - 1] : NULL;

		if (!group || group->first->stack != row->stack ||
		    group->first->waker_stack != row->waker_stack) {
			group = &groups[count++];
			*group = (struct group){ .first = row, .longest = row };
		}
		group->locks += group->count == 0 || order[i - 1]->lock != row->lock;
		group->total_ns += row->blocked_ns;
		group->count++;
		group->longest = row->blocked_ns > group->longest->blocked_ns ? row : group->longest;
	}
	qsort(groups, count, sizeof(*groups), heavier);
	return count;
}

int strace_add_long_waits(const struct syscalls_model *model, const struct strace_links *links,
			  struct text *to)
{
	struct rows rows = { 0 };
	const struct row **order;
	struct group *groups;
	char count[UNITS_ROOM], least[UNITS_ROOM], title[120];
	uint32_t group_count;
	int status = read_rows(model, links, &rows);

	if (status != PFC_OK || rows.count == 0) {
		free(rows.rows);
		return status;
	}
	order = calloc(rows.count, sizeof(const struct row *));
	groups = calloc(rows.count, sizeof(*groups));
	if (order && groups && (group_count = make_groups(&rows, order, groups)) > 0) {
		snprintf(title, sizeof(title), "Who ended the waits of %s and more, by both stacks",
			 strace_time(least, strace_positive(strace_fact(model, "min_wait_ns"))));
		grid_heading(to, title);
		for (uint32_t i = 0; i < group_count && i < 12; i++) {
			add_group(&rows, links, &groups[i], to);
		}
		strace_add_left_out(to, group_count, group_count < 12 ? group_count : 12);
		if (rows.all > rows.count) {
			text_format(to, "(of the first %s waits)\n", units_count(count, rows.count));
		}
	}
	status = order && groups ? PFC_OK : PFC_ENOMEM;
	free(order);
	free(groups);
	free(rows.rows);
	return status;
}
