/* SPDX-License-Identifier: MIT */
/* Files, peers and locks. */
#include "strace_words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_MIN 100u /* fewer are no pattern */

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
			strace_time(total, file->total_ns),
			strace_time(off, file->blocked_ns),
			strace_time(max, file->max_ns),
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
	strace_add_left_out(to, count, shown);
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
		const char *cells[] = { strace_time(total, file->total_ns),
					strace_time(off, file->blocked_ns),
					strace_time(max, file->max_ns),
					units_count(calls, file->others),
					file->errors ? units_count(errors, file->errors) : "",
					file->name };

		grid_row(to, columns, COUNT_OF(columns), cells);
	}
	strace_add_left_out(to, count, shown);
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
			    units_count(total, all), strace_time(time, file->total_ns));
		text_cut(to, file->name, 55);
		text_add(to, "\n");
	}
}

void strace_add_files(struct syscalls_model *model, struct text *to)
{
	if (model->file_count) {
		qsort(model->files, model->file_count, sizeof(*model->files), more_file_time);
	}
	add_files(model, KIND_FILE, "Files, pipes and what else a descriptor was, by time", to);
	add_files(model, KIND_PEER, "Sockets by peer, by time", to);
	add_small(model, to);
	add_locks(model, to);
	if (!model->has_files || (model->file_count == 0 && model->call_count)) {
		text_add(to, "\nFiles and peers: not recorded (calls = all does).\n");
	}
}
