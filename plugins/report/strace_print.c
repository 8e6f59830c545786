/* SPDX-License-Identifier: MIT */
/* The tables of the text on system calls, 100 columns wide. */
#include "strace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/grid.h"
#include "lib/units.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define WIDTH           100u
#define SLOW_INDENT     39u
#define SHOWN_MAX       20u  /* of what takes several lines */
#define SMALL_MIN       100u /* fewer are no pattern */

static double fact(const struct syscalls_model *model, const char *key)
{
	double value = NAN;

	return model->reader->fact(model->reader->ctx, key, &value, NULL) == PFC_OK ? value : NAN;
}

static const char *fact_text(const struct syscalls_model *model, const char *key)
{
	const char *text = NULL;

	return model->reader->fact(model->reader->ctx, key, NULL, &text) == PFC_OK && text ? text : "";
}

static uint64_t positive(double value)
{
	return isfinite(value) && value > 0 && value < 1e18 ? (uint64_t)value : 0;
}

static const char *time_of(char *to, uint64_t ns)
{
	return ns ? units_weight(to, ns, "ns") : strcpy(to, "-");
}

/* "6.91ms", where columns are dear. */
static const char *short_time(char *to, uint64_t ns)
{
	char *space = strchr(time_of(to, ns), ' ');

	if (space) {
		memmove(space, space + 1, strlen(space));
	}
	return to;
}

static const char *pct_of(char *to, uint64_t part, uint64_t whole)
{
	snprintf(to, UNITS_ROOM, "%.1f", units_pct(part, whole));
	return to;
}

/* The micro sign has two bytes: padded by columns. */
static void add_right(struct text *to, const char *text, unsigned columns)
{
	size_t used = text_columns(text);

	text_char(to, ' ', used < columns ? columns - used : 0);
	text_add(to, text);
}

static void add_left_out(struct text *to, uint64_t count, uint64_t shown)
{
	char text[UNITS_ROOM];

	if (count > shown) {
		text_format(to, "(%s more)\n", units_count(text, count - shown));
	}
}

/* ---- completeness ---- */

static void add_line(struct text *to, const char *word, const char *figure)
{
	text_format(to, "  %-14s ", word);
	text_clean(to, (struct pfc_string){ figure, strlen(figure) }, 300);
	text_add(to, "\n");
}

static const char *backend_words(const char *name)
{
	static const char *const words[][2] = {
		{ "bpf", "bpf: counted in the kernel" },
		{ "perf", "perf: two records of the kernel for each call, paired by thread" },
		{ "ptrace", "ptrace: the target is stopped twice at each call" },
	};

	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (strcmp(words[i][0], name) == 0) {
			return words[i][1];
		}
	}
	return *name ? name : "not stated";
}

/* What a ring of io_uring carries are no calls: of these only the calls that set it up and drive it are seen. */
static void warn_of_rings(const struct syscalls_model *model, struct text *to)
{
	char count[UNITS_ROOM];

	for (uint32_t i = 0; i < model->call_count; i++) {
		const struct syscalls_call *call = &model->calls[i];

		if (strncmp(call->name, "io_uring_", 9) == 0 && call->calls &&
		    !isfinite(fact(model, "io_uring_ops"))) {
			text_format(to,
				    "  !! %s was called %s times: the operations of its ring are not among "
				    "the calls below\n",
				    call->name, units_count(count, call->calls));
		}
	}
}

static void add_warnings(const struct syscalls_model *model, struct text *to)
{
	double observed = fact(model, "observed_pct");
	char count[UNITS_ROOM];

	if (isfinite(observed) && observed < 99.5) {
		text_format(to,
			    "  !! only %.1f %% of the window was observed, in %s bursts: all counts below "
			    "are of these\n",
			    observed, units_count(count, positive(fact(model, "bursts"))));
	}
	if (model->about.lost) {
		text_format(to, "  !! %s observations were lost: counts below are too small\n",
			    units_count(count, model->about.lost));
	} else if (model->about.partial) {
		text_add(to, "  !! the stage did not come to its end: what it had not written is missing\n");
	}
	warn_of_rings(model, to);
	if (model->cut) {
		text_add(to, "  !! a part of the artifact could not be read, or was too long\n");
	}
	if (strcmp(fact_text(model, "calls"), "blocked") == 0) {
		text_add(to, "  !! only calls that left the CPU were seen (calls = blocked): calls and "
			     "errors are not counted\n");
	}
}

static void add_own_cost(const struct syscalls_model *model, struct text *to)
{
	char line[200], own[UNITS_ROOM], each[UNITS_ROOM], less[UNITS_ROOM];
	uint64_t own_ns = positive(fact(model, "own_ns"));
	uint64_t call_ns = positive(fact(model, "own_call_ns"));
	uint64_t latency_ns = positive(fact(model, "own_latency_ns"));

	if (!own_ns && !call_ns) {
		add_line(to, "own cost", "not measured");
		return;
	}
	snprintf(line, sizeof(line), "%s in all", time_of(own, own_ns));
	if (call_ns) {
		snprintf(line + strlen(line), sizeof(line) - strlen(line), ", %s for each call",
			 time_of(each, call_ns));
	}
	if (latency_ns) {
		snprintf(line + strlen(line), sizeof(line) - strlen(line),
			 "; %s of it taken off each latency below", time_of(less, latency_ns));
	}
	add_line(to, "own cost", line);
}

static void add_count(const struct syscalls_model *model, struct text *to, const char *word, const char *key)
{
	double value = fact(model, key);
	char text[UNITS_ROOM];

	add_line(to, word, isfinite(value) ? units_count(text, positive(value)) : "not stated");
}

static void add_head(const struct syscalls_model *model, struct text *to)
{
	char text[UNITS_ROOM], kinds[UNITS_ROOM], line[160];
	uint64_t calls = 0;

	for (uint32_t i = 0; i < model->call_count; i++) {
		calls += model->calls[i].calls;
	}
	text_format(to, "System calls and waits of %s.%s, run %s\n", model->about.producer, model->about.port,
		    model->run_id);
	text_add(to, "\nCompleteness\n============\n\n");
	add_warnings(model, to);
	add_line(to, "back-end", backend_words(fact_text(model, "backend")));
	snprintf(line, sizeof(line), "%s of %s kinds, by %u threads", units_count(text, calls),
		 units_count(kinds, model->call_count), model->thread_count);
	add_line(to, "calls", line);
	if (model->window_ns) {
		add_line(to, "window", units_weight(text, model->window_ns, "ns"));
	}
	add_line(to, "lost", units_count(text, model->about.lost));
	add_count(model, to, "unmatched", "unmatched");
	add_count(model, to, "unfinished", "unfinished");
	add_count(model, to, "32-bit calls", "compat_calls");
	add_line(to, "io_uring ops",
		 isfinite(fact(model, "io_uring_ops"))
			 ? units_count(text, positive(fact(model, "io_uring_ops")))
			 : "not counted by this back-end");
	add_own_cost(model, to);
}

/* ---- calls ---- */

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
	const char *cells[] = { pct_of(pct, call->total_ns, whole_ns),
				short_time(total, call->total_ns),
				units_count(calls, call->calls),
				call->errors ? units_count(errors, call->errors) : "",
				short_time(mean, call->total_ns / call->calls),
				short_time(p50, syscalls_quantile(&call->call_times, 0.5, call->max_ns)),
				short_time(p99, syscalls_quantile(&call->call_times, 0.99, call->max_ns)),
				short_time(max, call->max_ns),
				call->blocked_ns ? pct_of(blocked, call->blocked_ns, call->total_ns) : "",
				call->error ? call->error : "",
				call->name };

	grid_row(to, columns, count, cells);
}

static void add_calls(struct syscalls_model *model, struct text *to)
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
	add_left_out(to, kinds, shown);
	add_right(to, "100", 5);
	add_right(to, short_time(total, whole_ns), 8);
	text_format(to, "  %9s  %7s  in all\n", units_count(count, calls), units_count(failed, errors));
}

static void add_call_waits(struct syscalls_model *model, struct text *to)
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
			pct_of(pct, call->blocked_ns, whole_ns),
			time_of(total, call->blocked_ns),
			units_count(waits, call->waits),
			time_of(mean, call->blocked_ns / call->waits),
			time_of(p50, syscalls_quantile(&call->wait_times, 0.5, call->wait_max_ns)),
			time_of(p99, syscalls_quantile(&call->wait_times, 0.99, call->wait_max_ns)),
			time_of(max, call->wait_max_ns),
			time_of(queued, call->runnable_ns),
			call->name
		};

		grid_row(to, columns, COUNT_OF(columns), cells);
		shown++;
	}
	add_left_out(to, kinds, shown);
}

static void add_other_waits(const struct syscalls_model *model, struct text *to)
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
		const char *cells[] = { time_of(total, wait->total_ns), units_count(count, wait->count),
					time_of(mean, wait->total_ns / wait->count),
					time_of(max, wait->max_ns), wait->cause };

		grid_row(to, columns, COUNT_OF(columns), cells);
	}
}

/* ---- slow calls ---- */

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

static void add_slow_call(const struct syscalls_model *model, const struct syscalls_slow *one,
			  struct text *to)
{
	double at_s = model->t0_ns ? ((double)one->time_ns - (double)model->t0_ns) / 1e9 : 0;
	char text[UNITS_ROOM];

	text_format(to, "%7.3f", at_s);
	add_right(to, time_of(text, one->duration_ns), 10);
	add_right(to, time_of(text, one->blocked_ns), 10);
	text_format(to, "  %8d  ", one->tid);
	add_wrapped(to, one->text, SLOW_INDENT, WIDTH - SLOW_INDENT, 3);
	if (*one->target && !strstr(one->text, one->target)) {
		text_char(to, ' ', SLOW_INDENT);
		text_add(to, "on ");
		text_cut(to, one->target, WIDTH - SLOW_INDENT - 3);
		text_add(to, "\n");
	}
	if (*one->waker) {
		text_char(to, ' ', SLOW_INDENT);
		text_format(to, "woken by %s\n", one->waker);
	}
}

static void add_slow(const struct syscalls_model *model, struct text *to)
{
	char slow[UNITS_ROOM], count[UNITS_ROOM], title[120];
	uint32_t shown = model->slow_count < SHOWN_MAX ? model->slow_count : SHOWN_MAX;

	if (shown == 0) {
		return;
	}
	snprintf(title, sizeof(title), "Slowest calls, of %s that took %s or longer",
		 units_count(count, model->slow_total), time_of(slow, positive(fact(model, "slow_ns"))));
	grid_heading(to, title);
	text_add(to, "   at s      took   off CPU       tid  call\n");
	text_add(to, "-------  --------  --------  --------  "
		     "-------------------------------------------------------------\n");
	for (uint32_t i = 0; i < shown; i++) {
		add_slow_call(model, &model->slow[i], to);
	}
	add_left_out(to, model->slow_total, shown);
}

/* ---- files and peers ---- */

enum file_kind {
	KIND_FILE,
	KIND_PEER,
	KIND_LOCK,
};

static enum file_kind kind_of(const struct syscalls_file *file)
{
	static const char *const heads[] = { "TCP ", "UDP ", "unix:", "RAW ", "UDPLITE ", "socket:" };

	if (strncmp(file->name, "futex ", 6) == 0) {
		return KIND_LOCK;
	}
	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		if (strncmp(file->name, heads[i], strlen(heads[i])) == 0) {
			return KIND_PEER;
		}
	}
	return KIND_FILE;
}

static int more_file_time(const void *a, const void *b)
{
	const struct syscalls_file *x = a;
	const struct syscalls_file *y = b;

	return x->total_ns != y->total_ns ? (x->total_ns < y->total_ns ? 1 : -1) : strcmp(x->name, y->name);
}

static void add_files(const struct syscalls_model *model, enum file_kind kind, const char *title,
		      struct text *to)
{
	static const struct grid_column columns[] = { { "total", 7, true },   { "off CPU", 7, true },
						      { "max", 7, true },     { "reads", 8, true },
						      { "read", 8, true },    { "writes", 8, true },
						      { "written", 8, true }, { "syncs", 6, true },
						      { "name", 25, false } };
	uint32_t shown = 0, count = 0;

	for (uint32_t i = 0; i < model->file_count; i++) {
		const struct syscalls_file *file = &model->files[i];
		char total[UNITS_ROOM], off[UNITS_ROOM], max[UNITS_ROOM], reads[UNITS_ROOM],
			read_bytes[UNITS_ROOM], writes[UNITS_ROOM], written[UNITS_ROOM], syncs[UNITS_ROOM];

		if (kind_of(file) != kind || count++ >= SHOWN_MAX) {
			continue;
		}
		if (shown++ == 0) {
			grid_heading(to, title);
			grid_head(to, columns, COUNT_OF(columns));
		}
		const char *cells[] = {
			time_of(total, file->total_ns),
			time_of(off, file->blocked_ns),
			time_of(max, file->max_ns),
			file->reads ? units_count(reads, file->reads) : "",
			file->reads ? units_weight(read_bytes, file->read_bytes, "bytes") : "",
			file->writes ? units_count(writes, file->writes) : "",
			file->writes ? units_weight(written, file->written_bytes, "bytes") : "",
			file->syncs ? units_count(syncs, file->syncs) : "",
			file->name
		};

		if (text_columns(file->name) <= 25) {
			grid_row(to, columns, COUNT_OF(columns), cells);
		} else { /* a name that is too long has a line of its own */
			cells[COUNT_OF(cells) - 1] = "";
			grid_row(to, columns, COUNT_OF(columns), cells);
			text_add(to, "         ");
			text_cut(to, file->name, WIDTH - 9);
			text_add(to, "\n");
		}
	}
	add_left_out(to, count, shown);
}

/* An address is a lock to its own process only; the artifact has them by process. */
static void add_locks(const struct syscalls_model *model, struct text *to)
{
	static const struct grid_column columns[] = { { "total", 8, true },  { "off CPU", 8, true },
						      { "max", 8, true },    { "calls", 10, true },
						      { "errors", 9, true }, { "lock", 24, false } };
	uint32_t shown = 0, count = 0;

	for (uint32_t i = 0; i < model->file_count; i++) {
		const struct syscalls_file *file = &model->files[i];
		char total[UNITS_ROOM], off[UNITS_ROOM], max[UNITS_ROOM], calls[UNITS_ROOM],
			errors[UNITS_ROOM];

		if (kind_of(file) != KIND_LOCK || count++ >= SHOWN_MAX) {
			continue;
		}
		if (shown++ == 0) {
			grid_heading(to, "Locks (futex) by address, by time");
			grid_head(to, columns, COUNT_OF(columns));
		}
		const char *cells[] = { time_of(total, file->total_ns),
					time_of(off, file->blocked_ns),
					time_of(max, file->max_ns),
					units_count(calls, file->others),
					file->errors ? units_count(errors, file->errors) : "",
					file->name };

		grid_row(to, columns, COUNT_OF(columns), cells);
	}
	add_left_out(to, count, shown);
}

/* Reads and writes that carry next to nothing: each pays for a whole call. */
static void add_small(const struct syscalls_model *model, struct text *to)
{
	bool has_any = false;

	for (uint32_t i = 0; i < model->file_count; i++) {
		const struct syscalls_file *file = &model->files[i];
		uint64_t all = file->reads + file->writes;
		char small[UNITS_ROOM], total[UNITS_ROOM], time[UNITS_ROOM];

		if (file->small < SMALL_MIN || file->small * 2 < all) {
			continue;
		}
		if (!has_any) {
			grid_heading(to, "Many small reads and writes: 64 bytes or less");
			has_any = true;
		}
		text_format(to, "%s of %s, %s in all: ", units_count(small, file->small),
			    units_count(total, all), time_of(time, file->total_ns));
		text_cut(to, file->name, 55);
		text_add(to, "\n");
	}
}

/* ---- books ---- */

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
		row[i + 1] = parts[i] ? pct_of(cells[i], parts[i], thread->wall_ns) : "";
	}
	snprintf(cells[6], UNITS_ROOM, "%.1f%s",
		 thread->wall_ns ? 100.0 * (double)thread->residue_ns / (double)thread->wall_ns : 0,
		 thread->is_complete ? "" : "?");
	snprintf(tid, sizeof(tid), "%d", thread->tid);
	row[0] = time_of(wall, thread->wall_ns);
	row[7] = cells[6];
	row[8] = thread->tid ? tid : "";
	row[9] = thread->name;
	grid_row(to, columns, count, row);
}

static void add_books(struct syscalls_model *model, struct text *to)
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
	add_left_out(to, model->thread_count, shown);
	add_book(&all, columns, COUNT_OF(columns), to);
	if (!all.is_complete) {
		text_add(to, "(?: this back-end does not see every change of state: the residue is what it "
			     "did not see)\n");
	}
}

void strace_print(struct syscalls_model *model, struct text *to)
{
	add_head(model, to);
	add_calls(model, to);
	add_call_waits(model, to);
	add_other_waits(model, to);
	add_slow(model, to);
	if (model->file_count) {
		qsort(model->files, model->file_count, sizeof(*model->files), more_file_time);
	}
	add_files(model, KIND_FILE, "Files, pipes and what else a descriptor was, by time", to);
	add_files(model, KIND_PEER, "Sockets by peer, by time", to);
	add_small(model, to);
	add_locks(model, to);
	if (!model->has_files || (model->file_count == 0 && model->call_count)) {
		text_add(to, "\nFiles and peers: this back-end did not record them.\n");
	}
	add_books(model, to);
}
