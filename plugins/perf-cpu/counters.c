/* SPDX-License-Identifier: MIT */
/* Events that are counted: see counters.h. */
#include "counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/perf/budget.h"
#include "lib/perf/procfs.h"

static int real_open(void *ctx, const struct perf_event_attr *attr, int32_t pid, int32_t cpu, int group_fd,
		     unsigned long flags)
{
	long fd = syscall(SYS_perf_event_open, attr, pid, cpu, group_fd, flags | PERF_FLAG_FD_CLOEXEC);

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

void counters_init(struct counters *counters)
{
	memset(counters, 0, sizeof(*counters));
	counters->open = real_open;
	counters->read = real_read;
	counters->user = true;
}

static void make_attr(const struct counters *counters, const struct counter *counter,
		      const struct perf_attach *attach, bool is_member, struct perf_event_attr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->size = sizeof(*ret);
	ret->type = counter->spec.type;
	ret->config = counter->spec.config;
	ret->config1 = counter->spec.config1;
	ret->config2 = counter->spec.config2;
	ret->read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
	ret->disabled = !is_member; /* a member runs as its leader does */
	ret->inherit = attach->scope == PERF_SCOPE_THREADS;
	ret->exclude_kernel = !counters->kernel || counter->spec.only_user;
	ret->exclude_user = !counters->user || counter->spec.only_kernel;
	ret->exclude_hv = 1;
	ret->exclude_guest = 1;
}

/* Some PMUs cannot leave anything out (msr, power, uncore ones): they count user and kernel code, and say EINVAL else. */
static int open_plain(struct counters *counters, const struct counter *counter, struct perf_event_attr *attr,
		      int32_t pid, int32_t cpu, int group_fd, unsigned long flags)
{
	int fd = counters->open(counters->ctx, attr, pid, cpu, group_fd, flags);

	if (fd == -EINVAL && counter->spec.type >= PERF_TYPE_MAX && !counter->spec.is_modified) {
		attr->exclude_kernel = attr->exclude_user = attr->exclude_hv = attr->exclude_guest = 0;
		fd = counters->open(counters->ctx, attr, pid, cpu, group_fd, flags);
	}
	return fd;
}

/* With its leader where both fit on the CPU's counters, else alone. */
static int open_one(struct counters *counters, struct counter *counter, const struct perf_attach *attach,
		    size_t place, int folder_fd)
{
	bool is_group = attach->scope == PERF_SCOPE_GROUP;
	bool is_threads = attach->scope == PERF_SCOPE_THREADS;
	int32_t pid = is_threads ? attach->threads[place].tid : is_group ? folder_fd : -1;
	int32_t cpu = is_threads ? -1 : attach->rings[place].cpu;
	unsigned long flags = is_group ? PERF_FLAG_PID_CGROUP : 0;
	int leader = counter->leader >= 0 ? counters->items[counter->leader].fds[place] : -1;
	struct perf_event_attr attr;
	int fd = -EINVAL;

	if (leader >= 0) {
		make_attr(counters, counter, attach, true, &attr);
		fd = open_plain(counters, counter, &attr, pid, cpu, leader, flags);
	}
	if (fd == -EINVAL) {
		make_attr(counters, counter, attach, false, &attr);
		fd = open_plain(counters, counter, &attr, pid, cpu, -1, flags);
		counter->is_parted = counter->is_parted || (leader >= 0 && fd >= 0);
	}
	return fd;
}

static bool is_missing(int error)
{
	return error == -ENOENT || error == -EOPNOTSUPP || error == -ENODEV || error == -ENXIO ||
	       error == -EINVAL || error == -EBUSY;
}

static void add_name(char *to, size_t to_bytes, const char *name)
{
	size_t used = strlen(to);

	snprintf(to + used, to_bytes - used, "%s%s", used ? ", " : "", name);
}

/* Not on this machine at all, or not for a process: named with the reason, and never a zero. */
static void set_missing(struct counters *counters, struct counter *counter)
{
	char text[160];

	snprintf(text, sizeof(text), "%s%s", counter->name,
		 counter->spec.is_absent    ? " (no such PMU)"
		 : counter->spec.cpumask[0] ? " (counts for whole CPUs only)"
					    : "");
	counter->is_off = true;
	add_name(counters->missing, sizeof(counters->missing), text);
}

/* Whether an event is opened at a place: one that counts for a set of CPUs is opened on one CPU of each set. */
static bool is_place_of(const struct counter *counter, const struct perf_attach *attach, size_t place)
{
	struct perf_id_list cpus = { 0 };
	bool is_in = counter->spec.cpumask[0] == '\0';

	if (!is_in && perf_procfs_parse_cpus(counter->spec.cpumask, &cpus) == 0) {
		for (size_t i = 0; i < cpus.count; i++) {
			is_in = is_in || cpus.items[i] == attach->rings[place].cpu;
		}
	}
	free(cpus.items);
	return is_in;
}

static int open_counter(struct counters *counters, struct counter *counter, const struct perf_attach *attach,
			int folder_fd, struct perf_refusal *refusal)
{
	if (counter->spec.is_absent || (counter->spec.cpumask[0] && attach->scope != PERF_SCOPE_CPUS)) {
		set_missing(counters, counter);
	}
	for (size_t i = 0; i < counters->place_count && !counter->is_off; i++) {
		bool is_thread = attach->scope == PERF_SCOPE_THREADS;

		if ((is_thread && attach->threads[i].is_suspect) || !is_place_of(counter, attach, i)) {
			continue;
		}
		counter->fds[i] = open_one(counters, counter, attach, i, folder_fd);
		if (counter->fds[i] >= 0 || counter->fds[i] == -ESRCH) {
			continue;
		}
		if (!is_missing(counter->fds[i])) {
			return perf_refusal_explain(-counter->fds[i], counter->name,
						    is_thread ? attach->threads[i].tid : 0,
						    is_thread ? -1 : attach->rings[i].cpu, refusal);
		}
		set_missing(counters, counter);
	}
	if (counter->is_parted && counter->is_explicit) {
		add_name(counters->parted, sizeof(counters->parted), counter->name);
	}
	return PFC_OK;
}

static int make_places(struct counters *counters, struct counter *counter)
{
	counter->fds = malloc((counters->place_count + 1) * sizeof(*counter->fds));
	if (!counter->fds) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < counters->place_count; i++) {
		counter->fds[i] = -1;
	}
	return 0;
}

static int check_budget(const struct counters *counters, const struct perf_attach *attach,
			struct perf_refusal *refusal)
{
	size_t sampling = attach->thread_count * attach->cpu_count + attach->fds_elsewhere;

	return perf_budget_check(counters->place_count * counters->count, 1, sampling, refusal);
}

int counters_open(struct counters *counters, const struct perf_attach *attach, struct perf_refusal *refusal)
{
	bool is_thread = attach->scope == PERF_SCOPE_THREADS;
	int folder_fd = -1;
	int rc;

	counters->place_count = is_thread ? attach->thread_count : attach->cpu_count;
	counters->kernel = attach->event.kernel || attach->event.is_narrowed;
	for (size_t i = 0; is_thread && i < attach->thread_count; i++) {
		counters->late += attach->threads[i].is_suspect;
	}
	rc = check_budget(counters, attach, refusal);
	if (rc == PFC_OK && attach->scope == PERF_SCOPE_GROUP) {
		folder_fd = open(attach->group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (folder_fd < 0) {
			return perf_refusal_set(refusal, PFC_ETARGET, strerror(errno), "",
						"open the control group");
		}
	}
	for (uint32_t c = 0; c < counters->count && rc == PFC_OK; c++) {
		if (make_places(counters, &counters->items[c]) < 0) {
			rc = perf_refusal_set(refusal, PFC_ENOMEM, "out of memory", "",
					      "counters of the target");
			break;
		}
		rc = open_counter(counters, &counters->items[c], attach, folder_fd, refusal);
	}
	if (folder_fd >= 0) {
		close(folder_fd);
	}
	return rc;
}

static void close_places(struct counters *counters, struct counter *counter)
{
	for (size_t i = 0; counter->fds && i < counters->place_count; i++) {
		if (counter->fds[i] >= 0) {
			close(counter->fds[i]);
		}
	}
	free(counter->fds);
	counter->fds = NULL;
}

void counters_renew(struct counters *counters, const struct perf_attach *attach)
{
	struct perf_refusal refusal;

	for (uint32_t c = 0; c < counters->count; c++) {
		struct counter *counter = &counters->items[c];
		struct counter_value value;

		if (counters_sum(counters, c, &value)) {
			counter->past[0] = value.value;
			counter->past[1] = value.enabled_ns;
			counter->past[2] = value.running_ns;
		}
		close_places(counters, counter);
	}
	counters->missing[0] = counters->parted[0] = '\0';
	if (counters_open(counters, attach, &refusal) == PFC_OK) {
		counters_control(counters, true);
	}
}

void counters_control(const struct counters *counters, bool is_on)
{
	for (uint32_t c = 0; c < counters->count; c++) {
		const struct counter *counter = &counters->items[c];

		for (size_t i = 0; counter->fds && i < counters->place_count; i++) {
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
	struct counter_value sum = { item->past[0], item->past[1], item->past[2] };
	bool any = sum.enabled_ns > 0;

	for (size_t i = 0; item->fds && !item->is_off && i < counters->place_count; i++) {
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

static bool is_counted(const struct counters *counters, const char *name)
{
	for (uint32_t i = 0; i < counters->count; i++) {
		if (!counters->items[i].is_off && strcmp(counters->items[i].name, name) == 0) {
			return true;
		}
	}
	return false;
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

	if (status == 0 && !is_counted(counters, sampled->name)) {
		status = write_row(writer, (uint32_t)number, sampled->name, sampled->is_clock, total);
	}
	for (uint32_t i = 0; i < counters->count && status == 0; i++) {
		struct counter_value value;

		if (counters_sum(counters, i, &value)) {
			status = write_row(writer, (uint32_t)number, counters->items[i].name,
					   counters->items[i].spec.is_clock, &value);
		}
	}
	if (status == 0) {
		writer->fact_text(writer->ctx, "missing", counters->missing);
		if (counters->parted[0]) {
			writer->fact_text(writer->ctx, "parted", counters->parted);
		}
		writer->fact_number(writer->ctx, "threads_late", (double)counters->late);
		writer->fact_text(writer->ctx, "code", counters->kernel ? "user and kernel" : "user");
		status = writer->commit(writer->ctx);
	}
	return status;
}

void counters_close(struct counters *counters)
{
	for (uint32_t c = 0; c < counters->count; c++) {
		close_places(counters, &counters->items[c]);
	}
	counters->count = 0;
}
