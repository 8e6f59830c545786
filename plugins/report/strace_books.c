/* SPDX-License-Identifier: MIT */
/* Where the time of each thread went. */
#include "strace_words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int busier(const void *a, const void *b)
{
	const struct syscalls_thread *x = a;
	const struct syscalls_thread *y = b;
	uint64_t mine = x->on_cpu_ns + x->run_queue_ns + x->preempted_ns;
	uint64_t yours = y->on_cpu_ns + y->run_queue_ns + y->preempted_ns;

	if (mine != yours) {
		return mine < yours ? 1 : -1;
	}
	return (x->tid > y->tid) - (x->tid < y->tid);
}

static void add_book(const struct syscalls_thread *thread, const struct grid_column *columns, unsigned count,
		     struct text *to)
{
	char tid[UNITS_ROOM], wall[UNITS_ROOM], cells[7][UNITS_ROOM];
	uint64_t parts[] = { thread->on_cpu_ns,  thread->run_queue_ns, thread->preempted_ns,
			     thread->syscall_ns, thread->fault_ns,     thread->other_ns };
	const char *row[10];

	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		row[i + 1] = parts[i] ? strace_pct(cells[i], parts[i], thread->wall_ns) : "";
	}
	snprintf(cells[6], UNITS_ROOM, "%.1f%s",
		 thread->wall_ns ? 100.0 * (double)thread->residue_ns / (double)thread->wall_ns : 0,
		 thread->is_complete ? "" : "?");
	snprintf(tid, sizeof(tid), "%d", thread->tid);
	row[0] = strace_time(wall, thread->wall_ns);
	row[7] = cells[6];
	row[8] = thread->tid ? tid : "";
	row[9] = thread->name;
	grid_row(to, columns, count, row);
}

void strace_add_books(struct syscalls_model *model, struct text *to)
{
	static const struct grid_column columns[] = { { "wall", 7, true },    { "on CPU", 6, true },
						      { "queued", 6, true },  { "preempt", 7, true },
						      { "in call", 7, true }, { "fault", 6, true },
						      { "other", 6, true },   { "residue", 8, true },
						      { "tid", 8, true },     { "thread", 17, false } };
	struct syscalls_thread all = { .is_complete = true };
	char name[64];
	uint32_t shown;

	if (model->thread_count == 0) {
		return;
	}
	all.is_complete = true;
	for (uint32_t i = 0; i < model->thread_count; i++) {
		const struct syscalls_thread *one = &model->threads[i];

		all.wall_ns += one->wall_ns;
		all.on_cpu_ns += one->on_cpu_ns;
		all.run_queue_ns += one->run_queue_ns;
		all.preempted_ns += one->preempted_ns;
		all.syscall_ns += one->syscall_ns;
		all.fault_ns += one->fault_ns;
		all.other_ns += one->other_ns;
		all.residue_ns += one->residue_ns;
		all.is_complete &= one->is_complete;
	}
	snprintf(name, sizeof(name), "all %u threads", model->thread_count);
	all.name = name;
	qsort(model->threads, model->thread_count, sizeof(*model->threads), busier);
	shown = model->thread_count < model->rows ? model->thread_count : model->rows;
	grid_heading(to, "Where the time of each thread went, in % of its wall time");
	grid_head(to, columns, COUNT_OF(columns));
	for (uint32_t i = 0; i < shown; i++) {
		add_book(&model->threads[i], columns, COUNT_OF(columns), to);
	}
	strace_add_left_out(to, model->thread_count, shown);
	add_book(&all, columns, COUNT_OF(columns), to);
	if (!all.is_complete) {
		text_add(to, "(?: this back-end does not see every change of state: the residue is what it "
			     "did not see)\n");
	}
}
