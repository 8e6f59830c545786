/* SPDX-License-Identifier: MIT */
/* Events that are counted: see counters.h. */
#include "counters.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Ratios that people read: the second is divided by the first. */
static const uint64_t ratios[][2] = {
	{ PERF_COUNT_HW_CPU_CYCLES, PERF_COUNT_HW_INSTRUCTIONS },
	{ PERF_COUNT_HW_CACHE_REFERENCES, PERF_COUNT_HW_CACHE_MISSES },
	{ PERF_COUNT_HW_BRANCH_INSTRUCTIONS, PERF_COUNT_HW_BRANCH_MISSES },
};

static int real_open(void *ctx, const struct perf_event_attr *attr, int32_t tid, int group_fd)
{
	long fd = syscall(SYS_perf_event_open, attr, tid, -1, group_fd, PERF_FLAG_FD_CLOEXEC);

	(void)ctx;
	return fd >= 0 ? (int)fd : -errno;
}

static bool real_read(void *ctx, int fd, struct counter_value *ret)
{
	uint64_t words[3];

	(void)ctx;
	if (read(fd, words, sizeof(words)) != (ssize_t)sizeof(words)) {
		return false;
	}
	*ret = (struct counter_value){ words[0], words[1], words[2] };
	return true;
}

static bool has(const struct counters *counters, const char *name)
{
	for (uint32_t i = 0; i < counters->count; i++) {
		if (strcmp(counters->items[i].spec.name, name) == 0) {
			return true;
		}
	}
	return false;
}

int counters_parse(struct counters *counters, const char *const *words, uint32_t word_count,
		   struct perf_refusal *refusal)
{
	memset(counters, 0, sizeof(*counters));
	counters->open = real_open;
	counters->read = real_read;
	for (uint32_t i = 0; i < word_count; i++) {
		struct perf_event_spec spec;
		int rc = perf_spec_parse(words[i], &spec);

		if (rc != 0) {
			return perf_event_refuse_word("counters", words[i], rc, refusal);
		}
		if (has(counters, spec.name)) {
			continue;
		}
		if (counters->count == COUNTERS_MAX) {
			return perf_refusal_set(refusal, PFC_EINVAL, "there are more than 32",
						"count the others in another run", "counters");
		}
		counters->items[counters->count++] = (struct counter){ .spec = spec, .partner = -1 };
	}
	counters_pair(counters);
	return PFC_OK;
}

static int32_t find_hardware(const struct counters *counters, uint64_t config)
{
	for (uint32_t i = 0; i < counters->count; i++) {
		if (counters->items[i].spec.type == PERF_TYPE_HARDWARE &&
		    counters->items[i].spec.config == config) {
			return (int32_t)i;
		}
	}
	return -1;
}

void counters_pair(struct counters *counters)
{
	for (size_t i = 0; i < sizeof(ratios) / sizeof(ratios[0]); i++) {
		int32_t first = find_hardware(counters, ratios[i][0]);
		int32_t second = find_hardware(counters, ratios[i][1]);

		if (first >= 0 && second >= 0) { /* the leader is opened first */
			counters->items[first > second ? first : second].partner =
				first > second ? second : first;
		}
	}
}

static void make_attr(const struct counters *counters, const struct counter *counter, bool is_member,
		      struct perf_event_attr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->size = sizeof(*ret);
	ret->type = counter->spec.type;
	ret->config = counter->spec.config;
	ret->read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
	ret->disabled = !is_member; /* a member runs as its leader does */
	ret->inherit = 1;
	ret->exclude_kernel = !counters->kernel;
	ret->exclude_hv = 1;
	ret->exclude_guest = 1;
}

/* With its leader where both fit on the CPU's counters, else alone. */
static int open_one(struct counters *counters, struct counter *counter, size_t thread, int32_t tid)
{
	int leader = counter->partner >= 0 ? counters->items[counter->partner].fds[thread] : -1;
	struct perf_event_attr attr;
	int fd = -EINVAL;

	if (leader >= 0) {
		make_attr(counters, counter, true, &attr);
		fd = counters->open(counters->ctx, &attr, tid, leader);
	}
	if (fd == -EINVAL) {
		make_attr(counters, counter, false, &attr);
		fd = counters->open(counters->ctx, &attr, tid, -1);
	}
	return fd;
}

static bool is_missing(int error)
{
	return error == -ENOENT || error == -EOPNOTSUPP || error == -ENODEV || error == -ENXIO ||
	       error == -EINVAL || error == -EBUSY;
}

static void note_missing(struct counters *counters, struct counter *counter)
{
	size_t used = strlen(counters->missing);

	counter->is_off = true;
	snprintf(counters->missing + used, sizeof(counters->missing) - used, "%s%s", used ? ", " : "",
		 counter->spec.name);
}

static int open_counter(struct counters *counters, struct counter *counter, const struct perf_attach *attach,
			struct perf_refusal *refusal)
{
	for (size_t i = 0; i < attach->thread_count && !counter->is_off; i++) {
		const struct perf_attach_thread *thread = &attach->threads[i];

		if (thread->is_suspect) {
			continue;
		}
		counter->fds[i] = open_one(counters, counter, i, thread->tid);
		if (counter->fds[i] >= 0 || counter->fds[i] == -ESRCH) {
			continue;
		}
		if (!is_missing(counter->fds[i])) {
			return perf_refusal_explain(-counter->fds[i], counter->spec.name, thread->tid, -1,
						    refusal);
		}
		note_missing(counters, counter);
	}
	return PFC_OK;
}

int counters_open(struct counters *counters, const struct perf_attach *attach, struct perf_refusal *refusal)
{
	counters->thread_count = attach->thread_count;
	counters->kernel = attach->event.kernel;
	for (size_t i = 0; i < attach->thread_count; i++) {
		counters->late += attach->threads[i].is_suspect;
	}
	for (uint32_t c = 0; c < counters->count; c++) {
		struct counter *counter = &counters->items[c];
		int rc;

		counter->fds = malloc((attach->thread_count + 1) * sizeof(*counter->fds));
		if (!counter->fds) {
			return perf_refusal_set(refusal, PFC_ENOMEM, "out of memory", "",
						"counters of the target's threads");
		}
		for (size_t i = 0; i < attach->thread_count; i++) {
			counter->fds[i] = -1;
		}
		rc = open_counter(counters, counter, attach, refusal);
		if (rc != PFC_OK) {
			return rc;
		}
	}
	return PFC_OK;
}

void counters_control(const struct counters *counters, bool is_on)
{
	for (uint32_t c = 0; c < counters->count; c++) {
		const struct counter *counter = &counters->items[c];

		for (size_t i = 0; counter->fds && i < counters->thread_count; i++) {
			if (counter->fds[i] >= 0) {
				(void)ioctl(counter->fds[i],
					    is_on ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0);
			}
		}
	}
}

bool counters_sum(const struct counters *counters, uint32_t counter, struct counter_value *ret)
{
	const struct counter *item = &counters->items[counter];
	struct counter_value sum = { 0, 0, 0 };
	bool any = false;

	for (size_t i = 0; item->fds && !item->is_off && i < counters->thread_count; i++) {
		struct counter_value value;

		if (item->fds[i] < 0 || !counters->read(counters->ctx, item->fds[i], &value)) {
			continue;
		}
		sum.value += value.value;
		sum.enabled_ns += value.enabled_ns;
		sum.running_ns += value.running_ns;
		any = true;
	}
	if (any) {
		*ret = sum;
	}
	return any;
}

#define COLUMN(name_, type_, unit_)                                                                          \
	{                                                                                                    \
		.struct_size = sizeof(struct pfc_column), .type = (type_), .name = (name_), .unit = (unit_)  \
	}

static struct pfc_string string_of(const char *text)
{
	return (struct pfc_string){ text, strlen(text) };
}

static int write_row(const struct pfc_writer *writer, uint32_t table, const char *name, bool is_clock,
		     const struct counter_value *value)
{
	struct pfc_string event = string_of(name);
	struct pfc_string unit = string_of(is_clock ? "ns" : "count");
	const void *cells[] = { &event, &unit, &value->value, &value->enabled_ns, &value->running_ns };

	return writer->append(writer->ctx, table, 1, cells);
}

int counters_write(const struct counters *counters, const struct perf_event *sampled,
		   const struct counter_value *total, const struct pfc_writer *writer)
{
	const struct pfc_column columns[] = { COLUMN("event", PFC_UTF8, ""), COLUMN("unit", PFC_UTF8, ""),
					      COLUMN("value", PFC_U64, "count"),
					      COLUMN("enabled_ns", PFC_U64, "ns"),
					      COLUMN("running_ns", PFC_U64, "ns") };
	const struct pfc_table table = { .struct_size = sizeof(table),
					 .column_count = 5,
					 .name = "counters",
					 .columns = columns,
					 .column_stride = sizeof(columns[0]),
					 .time_column = -1 };
	int32_t number = writer->declare(writer->ctx, &table);
	int status = number < 0 ? number : 0;

	if (status == 0 && !has(counters, sampled->name)) {
		status = write_row(writer, (uint32_t)number, sampled->name, sampled->is_clock, total);
	}
	for (uint32_t i = 0; i < counters->count && status == 0; i++) {
		struct counter_value value;

		if (counters_sum(counters, i, &value)) {
			status = write_row(writer, (uint32_t)number, counters->items[i].spec.name,
					   counters->items[i].spec.is_clock, &value);
		}
	}
	if (status == 0) {
		writer->fact_text(writer->ctx, "missing", counters->missing);
		writer->fact_number(writer->ctx, "threads_late", (double)counters->late);
		writer->fact_text(writer->ctx, "code", counters->kernel ? "user and kernel" : "user");
		status = writer->commit(writer->ctx);
	}
	return status;
}

void counters_close(struct counters *counters)
{
	for (uint32_t c = 0; c < counters->count; c++) {
		struct counter *counter = &counters->items[c];

		for (size_t i = 0; counter->fds && i < counters->thread_count; i++) {
			if (counter->fds[i] >= 0) {
				close(counter->fds[i]);
			}
		}
		free(counter->fds);
		counter->fds = NULL;
	}
	counters->count = 0;
}
