/* SPDX-License-Identifier: MIT */
/* Reading profcore.syscalls/1 into the model: see syscalls.h. */
#include "syscalls.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "cols.h"
#include "text.h"

#define NAME_CHARS   64
#define TEXT_CHARS   600
#define SLOW_KEPT    1000 /* more are never printed */
#define UNKNOWN_CALL UINT32_MAX

/* One more element, zero-filled; NULL without memory or beyond the limit, which is said. */
static void *grow(struct syscalls_model *model, void *array, uint32_t *count, size_t bytes)
{
	void **at = array;
	void *grown;

	if (*count >= SYSCALLS_ROWS_MAX) {
		model->cut = true;
		return NULL;
	}
	if ((*count & (*count - 1)) == 0) { /* at each power of two the room doubles */
		grown = realloc(*at, (*count ? (size_t)*count * 2 : 1) * bytes);
		if (!grown) {
			return NULL;
		}
		*at = grown;
	}
	memset((char *)*at + *count * bytes, 0, bytes);
	return (char *)*at + (*count)++ * bytes;
}

static char *clean(struct pfc_string raw, size_t chars)
{
	struct text text = { 0 };

	text_clean(&text, raw, chars);
	if (text.failed) {
		text_finish(&text);
		return NULL;
	}
	return text.data ? text.data : strdup("");
}

/* Room for a row that could not be had: memory, unless the table was simply too long. */
static int no_room(const struct syscalls_model *model, uint32_t count)
{
	return count >= SYSCALLS_ROWS_MAX && model->cut ? PFC_OK : PFC_ENOMEM;
}

static uint64_t number(const struct cols *cols, uint32_t column, uint64_t row)
{
	return (uint64_t)cols_int(cols, column, row, 0);
}

/* ---- calls ---- */

static char *name_of(struct pfc_string name, struct pfc_string abi)
{
	struct text text = { 0 };

	text_clean(&text, name, NAME_CHARS);
	if (abi.bytes && !(abi.bytes == 6 && memcmp(abi.data, "native", 6) == 0)) {
		text_add(&text, " (");
		text_clean(&text, abi, 16);
		text_add(&text, ")");
	}
	if (text.failed) {
		text_finish(&text);
		return NULL;
	}
	return text.data ? text.data : strdup("");
}

/* Calls of one name fall together; there are some hundred names. */
static int find_call(struct syscalls_model *model, char *name, uint32_t *ret)
{
	struct syscalls_call *call;

	for (uint32_t i = 0; i < model->call_count; i++) {
		if (strcmp(model->calls[i].name, name) == 0) {
			free(name);
			*ret = i;
			return PFC_OK;
		}
	}
	call = model->call_count < 4096 ? grow(model, &model->calls, &model->call_count, sizeof(*call))
					: NULL;
	if (!call) {
		free(name);
		*ret = UNKNOWN_CALL;
		model->cut = true;
		return model->call_count < 4096 ? PFC_ENOMEM : PFC_OK;
	}
	call->name = name;
	*ret = model->call_count - 1;
	return PFC_OK;
}

/* Which of the model's calls each row of the table is, for the tables that refer to it. */
struct call_ids {
	uint32_t *ids;
	uint32_t count;
};

static int add_call_row(struct syscalls_model *model, const struct cols *names, const struct cols *times,
			uint64_t row, struct call_ids *ids)
{
	char *name = name_of(cols_string(names, 0, row), cols_string(names, 1, row));
	uint32_t *id = grow(model, &ids->ids, &ids->count, sizeof(*id));
	uint64_t max_ns, wait_max_ns;
	struct syscalls_call *call;
	int status;

	if (!name || !id) {
		free(name);
		return id ? PFC_ENOMEM : no_room(model, ids->count);
	}
	status = find_call(model, name, id);
	if (status != PFC_OK || *id == UNKNOWN_CALL) {
		return status;
	}
	call = &model->calls[*id];
	call->calls += number(names, 2, row);
	call->errors += number(names, 3, row);
	call->total_ns += number(names, 4, row);
	max_ns = number(names, 5, row);
	call->max_ns = max_ns > call->max_ns ? max_ns : call->max_ns;
	call->waits += number(times, 0, row);
	call->blocked_ns += number(times, 1, row);
	call->runnable_ns += number(times, 2, row);
	call->zeros += number(times, 4, row);
	wait_max_ns = number(times, 3, row);
	call->wait_max_ns = wait_max_ns > call->wait_max_ns ? wait_max_ns : call->wait_max_ns;
	return PFC_OK;
}

static int read_calls(struct syscalls_model *model, struct call_ids *ids)
{
	static const char *const name_columns[] = { "name", "abi", "calls", "errors", "total_ns", "max_ns" };
	static const char *const time_columns[] = { "waits", "blocked_ns", "runnable_ns", "wait_max_ns",
						    "zeros" };
	struct cols names, times;
	int status = cols_begin(&names, model->reader, "calls", name_columns, 6);

	if (status != PFC_OK) {
		return status;
	}
	(void)cols_begin(&times, model->reader, "calls", time_columns, 5);
	while (status == PFC_OK && cols_next(&names)) {
		if (!cols_next(&times) || times.rows < names.rows) {
			model->cut = true;
			break;
		}
		for (uint64_t row = 0; row < names.rows && status == PFC_OK; row++) {
			status = add_call_row(model, &names, &times, row, ids);
		}
	}
	model->cut |= names.cut || times.cut;
	return status;
}

static struct syscalls_call *call_of(const struct syscalls_model *model, const struct call_ids *ids,
				     uint32_t row)
{
	return row < ids->count && ids->ids[row] < model->call_count ? &model->calls[ids->ids[row]] : NULL;
}

static int add_bucket(struct syscalls_model *model, struct syscalls_histogram *to,
		      const struct syscalls_bucket *bucket)
{
	struct syscalls_bucket *place;

	for (uint32_t i = 0; i < to->count; i++) {
		if (to->buckets[i].low_ns == bucket->low_ns) {
			to->buckets[i].count += bucket->count;
			return PFC_OK;
		}
	}
	if (to->count >= 1024) { /* ours have 320 */
		model->cut = true;
		return PFC_OK;
	}
	place = grow(model, &to->buckets, &to->count, sizeof(*place));
	if (!place) {
		return PFC_ENOMEM;
	}
	*place = *bucket;
	return PFC_OK;
}

static int read_latencies(struct syscalls_model *model, const struct call_ids *ids)
{
	static const char *const columns[] = { "call", "what", "low_ns", "high_ns", "count" };
	struct cols cols;
	int status = PFC_OK;

	(void)cols_begin(&cols, model->reader, "latencies", columns, 5);
	while (status == PFC_OK && cols_next(&cols)) {
		for (uint64_t row = 0; row < cols.rows && status == PFC_OK; row++) {
			struct syscalls_call *call = call_of(model, ids, cols_id(&cols, 0, row));
			struct syscalls_bucket bucket = { number(&cols, 2, row), number(&cols, 3, row),
							  number(&cols, 4, row) };
			struct pfc_string what = cols_string(&cols, 1, row);
			bool is_wait = what.bytes == 4 && memcmp(what.data, "wait", 4) == 0;

			if (call) {
				status = add_bucket(model, is_wait ? &call->wait_times : &call->call_times,
						    &bucket);
			}
		}
	}
	model->cut |= cols.cut;
	return status;
}

/* The most frequent error of each call. Processes are not added up: the top of one of them stands for all. */
static int read_errors(struct syscalls_model *model, const struct call_ids *ids)
{
	static const char *const columns[] = { "call", "error", "count" };
	struct cols cols;

	(void)cols_begin(&cols, model->reader, "errors", columns, 3);
	while (cols_next(&cols)) {
		for (uint64_t row = 0; row < cols.rows; row++) {
			struct syscalls_call *call = call_of(model, ids, cols_id(&cols, 0, row));
			uint64_t count = number(&cols, 2, row);

			if (call && count > call->error_count) {
				free(call->error);
				call->error = clean(cols_string(&cols, 1, row), 24);
				call->error_count = count;
				if (!call->error) {
					return PFC_ENOMEM;
				}
			}
		}
	}
	model->cut |= cols.cut;
	return PFC_OK;
}

/* ---- waits, threads ---- */

static int add_wait(struct syscalls_model *model, const struct cols *cols, uint64_t row)
{
	char *cause = clean(cols_string(cols, 0, row), 24);
	struct syscalls_wait *wait = NULL;
	uint64_t max_ns = number(cols, 3, row);

	if (!cause) {
		return PFC_ENOMEM;
	}
	for (uint32_t i = 0; i < model->wait_count && !wait; i++) {
		wait = strcmp(model->waits[i].cause, cause) == 0 ? &model->waits[i] : NULL;
	}
	if (wait) {
		free(cause);
	} else if (model->wait_count >= 64) { /* ours have five */
		free(cause);
		model->cut = true;
		return PFC_OK;
	} else {
		wait = grow(model, &model->waits, &model->wait_count, sizeof(*wait));
		if (!wait) {
			free(cause);
			return PFC_ENOMEM;
		}
		wait->cause = cause;
	}
	wait->count += number(cols, 1, row);
	wait->total_ns += number(cols, 2, row);
	wait->max_ns = max_ns > wait->max_ns ? max_ns : wait->max_ns;
	return PFC_OK;
}

static int read_waits(struct syscalls_model *model)
{
	static const char *const columns[] = { "cause", "count", "total_ns", "max_ns" };
	struct cols cols;
	int status = PFC_OK;

	(void)cols_begin(&cols, model->reader, "waits", columns, 4);
	while (status == PFC_OK && cols_next(&cols)) {
		for (uint64_t row = 0; row < cols.rows && status == PFC_OK; row++) {
			status = add_wait(model, &cols, row);
		}
	}
	model->cut |= cols.cut;
	return status;
}

static int add_thread(struct syscalls_model *model, const struct cols *who, const struct cols *when,
		      uint64_t row)
{
	struct syscalls_thread *thread = grow(model, &model->threads, &model->thread_count, sizeof(*thread));

	if (!thread) {
		return no_room(model, model->thread_count);
	}
	thread->pid = (int32_t)cols_int(who, 0, row, 0);
	thread->tid = (int32_t)cols_int(who, 1, row, 0);
	thread->name = clean(cols_string(who, 2, row), 24);
	thread->wall_ns = number(who, 3, row);
	thread->residue_ns = cols_int(who, 4, row, 0);
	thread->calls = number(who, 5, row);
	thread->is_complete = cols_int(who, 6, row, 0) != 0;
	thread->on_cpu_ns = number(when, 0, row);
	thread->run_queue_ns = number(when, 1, row);
	thread->preempted_ns = number(when, 2, row);
	thread->syscall_ns = number(when, 3, row);
	thread->fault_ns = number(when, 4, row);
	thread->other_ns = number(when, 5, row);
	return thread->name ? PFC_OK : PFC_ENOMEM;
}

static int read_threads(struct syscalls_model *model)
{
	static const char *const who_columns[] = { "pid",        "tid",   "name",    "wall_ns",
						   "residue_ns", "calls", "complete" };
	static const char *const when_columns[] = { "on_cpu_ns",        "run_queue_ns",
						    "preempted_ns",     "blocked_syscall_ns",
						    "blocked_fault_ns", "blocked_other_ns" };
	struct cols who, when;
	int status = PFC_OK;

	(void)cols_begin(&who, model->reader, "threads", who_columns, 7);
	(void)cols_begin(&when, model->reader, "threads", when_columns, 6);
	while (status == PFC_OK && cols_next(&who)) {
		if (!cols_next(&when) || when.rows < who.rows) {
			model->cut = true;
			break;
		}
		for (uint64_t row = 0; row < who.rows && status == PFC_OK; row++) {
			status = add_thread(model, &who, &when, row);
		}
	}
	model->cut |= who.cut || when.cut;
	return status;
}

/* ---- slow calls ---- */

/* Where the slow table's row is, and how long it took: only the slowest are looked at further. */
struct slow_key {
	uint64_t duration_ns;
	uint64_t row;
};

static int slower(const void *a, const void *b)
{
	const struct slow_key *x = a;
	const struct slow_key *y = b;

	return x->duration_ns != y->duration_ns ? (x->duration_ns < y->duration_ns ? 1 : -1)
						: (x->row > y->row) - (x->row < y->row);
}

static int by_row(const void *a, const void *b)
{
	const struct slow_key *x = a;
	const struct slow_key *y = b;

	return (x->row > y->row) - (x->row < y->row);
}

/* The rows of the slowest calls, in the table's order. */
static int pick_slow(struct syscalls_model *model, struct slow_key **ret, uint32_t *ret_count)
{
	static const char *const columns[] = { "duration_ns" };
	struct slow_key *keys = NULL;
	uint32_t count = 0;
	struct cols cols;

	(void)cols_begin(&cols, model->reader, "slow", columns, 1);
	model->slow_total = cols.table.row_count;
	while (cols_next(&cols)) {
		for (uint64_t row = 0; row < cols.rows; row++) {
			struct slow_key *key = grow(model, &keys, &count, sizeof(*key));

			if (!key && no_room(model, count) != PFC_OK) {
				free(keys);
				return PFC_ENOMEM;
			}
			if (key) {
				*key = (struct slow_key){ number(&cols, 0, row), cols.first_row + row };
			}
		}
	}
	if (count) {
		qsort(keys, count, sizeof(*keys), slower);
		count = count < SLOW_KEPT ? count : SLOW_KEPT;
		count = count < model->rows ? count : model->rows;
		qsort(keys, count, sizeof(*keys), by_row);
	}
	*ret = keys;
	*ret_count = count;
	return PFC_OK;
}

static char *call_text(const struct cols *words, uint64_t row, int64_t result)
{
	struct pfc_string error = cols_string(words, 2, row);
	struct text text = { 0 };

	text_clean(&text, cols_string(words, 0, row), NAME_CHARS);
	text_add(&text, "(");
	text_clean(&text, cols_string(words, 1, row), TEXT_CHARS);
	text_add(&text, ") = ");
	if (error.bytes) {
		text_clean(&text, error, 24);
	} else if (result > INT32_MAX) { /* an address */
		text_format(&text, "0x%llx", (unsigned long long)result);
	} else {
		text_format(&text, "%lld", (long long)result);
	}
	if (text.failed) {
		text_finish(&text);
		return NULL;
	}
	return text.data;
}

static int add_slow(struct syscalls_model *model, const struct cols *figures, const struct cols *words,
		    uint64_t row)
{
	struct syscalls_slow *slow = grow(model, &model->slow, &model->slow_count, sizeof(*slow));

	if (!slow) {
		return PFC_ENOMEM;
	}
	slow->time_ns = number(figures, 0, row);
	slow->duration_ns = number(figures, 1, row);
	slow->blocked_ns = number(figures, 2, row);
	slow->pid = (int32_t)cols_int(figures, 3, row, 0);
	slow->tid = (int32_t)cols_int(figures, 4, row, 0);
	slow->text = call_text(words, row, cols_int(figures, 5, row, 0));
	slow->target = clean(cols_string(words, 3, row), 200);
	slow->waker = clean(cols_string(words, 4, row), 24);
	return slow->text && slow->target && slow->waker ? PFC_OK : PFC_ENOMEM;
}

static int slower_call(const void *a, const void *b)
{
	const struct syscalls_slow *x = a;
	const struct syscalls_slow *y = b;

	return x->duration_ns != y->duration_ns ? (x->duration_ns < y->duration_ns ? 1 : -1)
						: (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

static int read_slow(struct syscalls_model *model)
{
	static const char *const figure_columns[] = { "time", "duration_ns", "blocked_ns",
						      "pid",  "tid",         "result" };
	static const char *const word_columns[] = { "name", "arguments", "error", "target", "waker" };
	struct slow_key *keys = NULL;
	struct cols figures, words;
	uint32_t count = 0, next = 0;
	int status = pick_slow(model, &keys, &count);

	(void)cols_begin(&figures, model->reader, "slow", figure_columns, 6);
	(void)cols_begin(&words, model->reader, "slow", word_columns, 5);
	while (status == PFC_OK && next < count && cols_next(&figures) && cols_next(&words)) {
		uint64_t end = figures.first_row + (figures.rows < words.rows ? figures.rows : words.rows);

		for (; next < count && keys[next].row < end && status == PFC_OK; next++) {
			status = add_slow(model, &figures, &words, keys[next].row - figures.first_row);
		}
	}
	free(keys);
	if (status == PFC_OK && model->slow_count) {
		qsort(model->slow, model->slow_count, sizeof(*model->slow), slower_call);
	}
	return status;
}

/* ---- files ---- */

/*
 * "TCP 10.0.0.1:40122->10.0.0.2:80" has a new name with each connection. What stays is the service: "TCP to 10.0.0.2:80", or
 * at the service itself ("10.0.0.2:80<-10.0.0.1:40122") "TCP at 10.0.0.2:80". Likewise of UDP: each question to a name server has a
 * socket of its own.
 */
static char *peer_name(char *name)
{
	char *to = strstr(name, "->");
	char *from = strstr(name, "<-");
	struct text text = { 0 };

	if ((!to && !from) || (strncmp(name, "TCP ", 4) != 0 && strncmp(name, "UDP ", 4) != 0)) {
		return name;
	}
	if (to) {
		text_format(&text, "%.3s to %s", name, to + 2);
	} else {
		text_format(&text, "%.3s at ", name);
		text_bytes(&text, name + 4, (size_t)(from - name - 4));
	}
	free(name);
	if (text.failed) {
		text_finish(&text);
		return NULL;
	}
	return text.data;
}

static int compare_files(const void *a, const void *b)
{
	return strcmp(((const struct syscalls_file *)a)->name, ((const struct syscalls_file *)b)->name);
}

/* Rows of one name fall together, whoever used it. */
static void merge_files(struct syscalls_model *model)
{
	uint32_t kept = 0;

	if (model->file_count == 0) {
		return;
	}
	qsort(model->files, model->file_count, sizeof(*model->files), compare_files);
	for (uint32_t i = 1; i < model->file_count; i++) {
		struct syscalls_file *to = &model->files[kept];
		struct syscalls_file *from = &model->files[i];

		if (strcmp(to->name, from->name) != 0) {
			model->files[++kept] = *from;
			continue;
		}
		to->reads += from->reads;
		to->writes += from->writes;
		to->syncs += from->syncs;
		to->others += from->others;
		to->errors += from->errors;
		to->read_bytes += from->read_bytes;
		to->written_bytes += from->written_bytes;
		to->small += from->small;
		to->sync_writes += from->sync_writes;
		to->total_ns += from->total_ns;
		to->blocked_ns += from->blocked_ns;
		to->max_ns = from->max_ns > to->max_ns ? from->max_ns : to->max_ns;
		free(from->name);
	}
	model->file_count = kept + 1;
}

static int add_file(struct syscalls_model *model, const struct cols *what, const struct cols *figures,
		    uint64_t row)
{
	struct syscalls_file *file = grow(model, &model->files, &model->file_count, sizeof(*file));

	if (!file) {
		return no_room(model, model->file_count);
	}
	file->name = clean(cols_string(what, 0, row), 400);
	if (file->name) {
		file->name = peer_name(file->name);
	}
	file->reads = number(what, 1, row);
	file->writes = number(what, 2, row);
	file->syncs = number(what, 3, row);
	file->others = number(what, 4, row);
	file->errors = number(what, 5, row);
	file->read_bytes = number(figures, 0, row);
	file->written_bytes = number(figures, 1, row);
	file->small = number(figures, 2, row);
	file->total_ns = number(figures, 3, row);
	file->blocked_ns = number(figures, 4, row);
	file->max_ns = number(figures, 5, row);
	file->sync_writes = number(figures, 6, row);
	return file->name ? PFC_OK : PFC_ENOMEM;
}

static int read_files(struct syscalls_model *model)
{
	static const char *const what_columns[] = { "name", "reads", "writes", "syncs", "others", "errors" };
	static const char *const figure_columns[] = { "read_bytes", "written_bytes", "small",      "total_ns",
						      "blocked_ns", "max_ns",        "sync_writes" };
	struct cols what, figures;
	int status = PFC_OK;

	model->has_files = cols_begin(&what, model->reader, "files", what_columns, 6) == PFC_OK;
	(void)cols_begin(&figures, model->reader, "files", figure_columns, 7);
	while (status == PFC_OK && cols_next(&what)) {
		if (!cols_next(&figures) || figures.rows < what.rows) {
			model->cut = true;
			break;
		}
		for (uint64_t row = 0; row < what.rows && status == PFC_OK; row++) {
			status = add_file(model, &what, &figures, row);
		}
	}
	model->cut |= what.cut || figures.cut;
	if (status == PFC_OK) {
		merge_files(model);
	}
	return status;
}

/* ---- the whole ---- */

int syscalls_read(struct syscalls_model *model)
{
	struct call_ids ids = { NULL, 0 };
	int status = read_calls(model, &ids);

	if (status == PFC_OK) {
		status = read_latencies(model, &ids);
	}
	if (status == PFC_OK) {
		status = read_errors(model, &ids);
	}
	free(ids.ids);
	if (status == PFC_OK) {
		status = read_waits(model);
	}
	if (status == PFC_OK) {
		status = read_threads(model);
	}
	if (status == PFC_OK) {
		status = read_slow(model);
	}
	return status == PFC_OK ? read_files(model) : status;
}

void syscalls_finish(struct syscalls_model *model)
{
	for (uint32_t i = 0; i < model->call_count; i++) {
		free(model->calls[i].name);
		free(model->calls[i].error);
		free(model->calls[i].call_times.buckets);
		free(model->calls[i].wait_times.buckets);
	}
	for (uint32_t i = 0; i < model->wait_count; i++) {
		free(model->waits[i].cause);
	}
	for (uint32_t i = 0; i < model->thread_count; i++) {
		free(model->threads[i].name);
	}
	for (uint32_t i = 0; i < model->slow_count; i++) {
		free(model->slow[i].text);
		free(model->slow[i].target);
		free(model->slow[i].waker);
	}
	for (uint32_t i = 0; i < model->file_count; i++) {
		free(model->files[i].name);
	}
	free(model->calls);
	free(model->waits);
	free(model->threads);
	free(model->slow);
	free(model->files);
}

static int lower(const void *a, const void *b)
{
	const struct syscalls_bucket *x = a;
	const struct syscalls_bucket *y = b;

	return (x->low_ns > y->low_ns) - (x->low_ns < y->low_ns);
}

uint64_t syscalls_quantile(struct syscalls_histogram *histogram, double share, uint64_t max_ns)
{
	uint64_t total = 0, seen = 0, middle = 0;

	if (histogram->count == 0) {
		return 0;
	}
	qsort(histogram->buckets, histogram->count, sizeof(*histogram->buckets), lower);
	for (uint32_t i = 0; i < histogram->count; i++) {
		total += histogram->buckets[i].count;
	}
	for (uint32_t i = 0; i < histogram->count; i++) {
		const struct syscalls_bucket *bucket = &histogram->buckets[i];

		seen += bucket->count;
		if (seen > 0 && (double)seen >= share * (double)total) {
			middle = bucket->high_ns > bucket->low_ns && bucket->high_ns != UINT64_MAX
					 ? bucket->low_ns + (bucket->high_ns - bucket->low_ns) / 2
					 : bucket->low_ns;
			break;
		}
	}
	return max_ns && middle > max_ns ? max_ns : middle;
}
