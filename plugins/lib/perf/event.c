/* SPDX-License-Identifier: MIT */
/* The choice of event: see event.h. */
#include "event.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "pmu.h"
#include "procfs.h"
#include "spec.h"

#define NS_PER_S 1000000000ull

int perf_event_refuse_word(const char *option, const char *word, int error, struct perf_refusal *refusal)
{
	char names[448] = "perf's words: ";

	if (perf_pmu_is(word)) {
		strcpy(names, "PMU/TERM=NUMBER,.../ or PMU/EVENT/: ");
		perf_pmu_names(word, PERF_PMU_FOLDER, names + strlen(names), sizeof(names) - strlen(names));
		return perf_refusal_set(refusal, PFC_EINVAL,
					error == -ERANGE   ? "a number has more bits than its term takes"
					: error == -ENOKEY ? "the PMU knows no such event or term"
							   : "no such event",
					names, "%s = %.64s", option, word);
	}
	if (error == -EINVAL) {
		perf_spec_names(names + strlen(names), sizeof(names) - strlen(names) - 32);
		strcat(names, ", rNNN, PMU/.../, SYSTEM:TRACEPOINT");
		return perf_refusal_set(refusal, PFC_EINVAL, "no such event", names, "%s = %.64s", option,
					word);
	}
	if (error == -EACCES) {
		return perf_refusal_set(
			refusal, PFC_EPERM, "tracefs may not be read, and it has the tracepoint's number",
			"run as root; see ls /sys/kernel/tracing/events", "%s = %.64s", option, word);
	}
	return perf_refusal_set(refusal, PFC_ENOTSUP, "this kernel shows no such tracepoint",
				"see ls /sys/kernel/tracing/events; if that is empty: mount -t tracefs nodev "
				"/sys/kernel/tracing",
				"%s = %.64s", option, word);
}

int perf_event_open(const struct perf_event_attr *attr, int32_t pid, int32_t cpu)
{
	long fd = syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd >= 0 ? (int)fd : -errno;
}

int perf_event_open_group(struct perf_event_attr *attr, int32_t folder_fd, int32_t cpu)
{
	long fd;

	attr->inherit = 0;
	fd = syscall(SYS_perf_event_open, attr, folder_fd, cpu, -1,
		     PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC);
	return fd >= 0 ? (int)fd : -errno;
}

void perf_event_fill(const struct perf_event *event, struct perf_event_attr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->size = sizeof(*ret);
	ret->type = event->type;
	ret->config = event->config;
	ret->config1 = event->config1;
	ret->config2 = event->config2;
	ret->sample_type = PERF_SAMPLE_FIELDS | event->more_fields;
	if (event->callchain) {
		ret->sample_type |= PERF_SAMPLE_CALLCHAIN;
		ret->sample_max_stack = (uint16_t)event->max_stack;
	}
	if (event->user_stack_bytes) {
		ret->sample_type |= PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER;
		ret->sample_stack_user = event->user_stack_bytes;
		ret->exclude_callchain_user = 1;
	}
	if (event->branch_stack) {
		ret->sample_type |= PERF_SAMPLE_BRANCH_STACK;
		ret->branch_sample_type = PERF_SAMPLE_BRANCH_USER | PERF_SAMPLE_BRANCH_CALL_STACK;
		ret->exclude_callchain_user = 1;
	}
	if (ret->sample_type & PERF_SAMPLE_REGS_USER) {
		ret->sample_regs_user = PERF_USER_REGS;
	}
	ret->context_switch = event->switches;
	ret->read_format = event->has_lost ? PERF_FORMAT_LOST : 0;
	ret->disabled = 1;
	ret->inherit = 1;
	ret->sample_id_all = 1;
	ret->exclude_kernel = !event->kernel;
	ret->exclude_user = !event->user;
	ret->exclude_hv = 1;
	ret->exclude_guest = 1;
	ret->exclude_idle = 1; /* a CPU that does nothing uses no CPU time */
	ret->precise_ip = event->precise & 3u;
	ret->task = event->task;
	ret->watermark = 1;
	ret->use_clockid = 1;
	ret->clockid = CLOCK_MONOTONIC;
	if (event->period) {
		ret->sample_period = event->period;
	} else {
		ret->freq = 1;
		ret->sample_freq = event->frequency_hz;
	}
}

static void event_init(const struct perf_event_spec *def, const struct perf_event_wish *wish,
		       struct perf_event *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->name = def->name;
	ret->type = def->type;
	ret->config = def->config;
	ret->config1 = def->config1;
	ret->config2 = def->config2;
	ret->is_clock = def->is_clock;
	ret->kernel = wish->kernel && !def->only_user;
	ret->user = wish->user && !def->only_kernel;
	ret->is_narrowed = def->only_user || def->only_kernel;
	ret->precise = def->precise;
	ret->branch_stack = wish->branch_stack;
	ret->callchain = wish->callchain;
	ret->has_lost = true;
	ret->more_fields = wish->more_fields;
	ret->max_stack = wish->max_stack;
	ret->user_stack_bytes = wish->user_stack_bytes;
	ret->frequency_hz = wish->frequency_hz;
	/* A clock's rate is exact by its period; the kernel's frequency control was seen to drift with cpu-clock. */
	ret->period = def->is_clock ? (NS_PER_S + wish->frequency_hz / 2) / wish->frequency_hz : 0;
	if (wish->period) {
		ret->period = wish->period;
	} else if (def->type == PERF_TYPE_TRACEPOINT) { /* each one, as perf does */
		ret->period = 1;
	}
}

static void note_add(struct perf_event *event, const char *text)
{
	size_t used = strlen(event->note);

	snprintf(event->note + used, sizeof(event->note) - used, "%s%s", used ? "; " : "", text);
}

static void clamp_stack(struct perf_event *event)
{
	int64_t limit = perf_procfs_number("/proc/sys/kernel/perf_event_max_stack", 127);
	char text[128];

	if (event->callchain && (int64_t)event->max_stack > limit && limit > 0) {
		snprintf(text, sizeof(text), "stacks are cut at %lld frames (kernel.perf_event_max_stack)",
			 (long long)limit);
		note_add(event, text);
		event->max_stack = (uint32_t)limit;
	}
}

/* Open on ourselves, giving up one by one what an older kernel or a missing privilege denies. 0 or -errno of the last try. */
static int try_open(struct perf_event *event)
{
	struct perf_event_attr attr;
	int fd;

	perf_event_fill(event, &attr);
	fd = perf_event_open(&attr, 0, -1);
	if (fd == -EINVAL && event->has_lost) {
		event->has_lost = false;
		perf_event_fill(event, &attr);
		fd = perf_event_open(&attr, 0, -1);
	}
	while ((fd == -EOPNOTSUPP || fd == -EINVAL) && event->precise) {
		event->precise--;
		perf_event_fill(event, &attr);
		fd = perf_event_open(&attr, 0, -1);
		if (fd >= 0) {
			note_add(event, "the exact instruction (:p) is not given here as asked, continuing "
					"with less");
		}
	}
	if ((fd == -EACCES || fd == -EPERM) && event->kernel && event->user) {
		event->kernel = false;
		perf_event_fill(event, &attr);
		fd = perf_event_open(&attr, 0, -1);
		if (fd >= 0) {
			note_add(event, "kernel code is not sampled: that needs CAP_PERFMON or "
					"kernel.perf_event_paranoid <= 1");
		}
	}
	if (fd < 0) {
		return fd;
	}
	close(fd);
	return 0;
}

/* Some virtual machines open hardware events that never count. */
static bool does_count(const struct perf_event *event)
{
	struct perf_event_attr attr;
	uint64_t value[2] = { 0, 0 };
	struct timespec begin, now;
	ssize_t got;
	int fd;

	perf_event_fill(event, &attr);
	attr.inherit = 0;
	attr.read_format = 0;
	fd = perf_event_open(&attr, 0, -1);
	if (fd < 0) {
		return false;
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * (long long)NS_PER_S + now.tv_nsec - begin.tv_nsec < 300000);
	got = read(fd, value, sizeof(value));
	close(fd);
	return got >= (ssize_t)sizeof(value[0]) && value[0] > 0;
}

/* Events that any running program makes: where they stay 0, the machine does not count. */
static bool always_counts(const struct perf_event_spec *spec)
{
	return spec->type == PERF_TYPE_HARDWARE &&
	       (spec->config == PERF_COUNT_HW_CPU_CYCLES || spec->config == PERF_COUNT_HW_INSTRUCTIONS);
}

/* One word. Returns 0, or refusal->status: PFC_ENOTSUP where the machine lacks it. */
static int choose_spec(const struct perf_event_spec *spec, const struct perf_event_wish *wish,
		       struct perf_event *ret, struct perf_refusal *refusal)
{
	struct perf_event event;
	int rc;

	if (spec->is_absent || spec->cpumask[0]) {
		return perf_refusal_set(
			refusal, PFC_ENOTSUP,
			spec->is_absent ? "this machine has no such PMU"
					: "its PMU counts for whole sets of CPUs and takes no samples",
			"see ls " PERF_PMU_FOLDER, "event %.64s", spec->name);
	}
	event_init(spec, wish, &event);
	if (!event.kernel && !event.user) {
		return perf_refusal_set(refusal, PFC_EINVAL, "user and kernel code are both left out",
					"take the modifier away, or set kernel = yes", "event %.64s",
					spec->name);
	}
	clamp_stack(&event);
	rc = try_open(&event);
	if (rc == 0 && always_counts(spec) && !does_count(&event)) {
		rc = -ENOENT;
	}
	if (rc < 0) {
		return perf_refusal_explain(-rc, spec->name, 0, -1, refusal);
	}
	*ret = event;
	return 0;
}

/* What every machine has. The note says why it is not what was asked for. */
static int choose_clock(const struct perf_event_wish *wish, const char *note, struct perf_event *ret,
			struct perf_refusal *refusal)
{
	struct perf_event_spec spec;
	int rc;

	(void)perf_spec_parse("cpu-clock", &spec);
	rc = choose_spec(&spec, wish, ret, refusal);
	if (rc == 0) {
		note_add(ret, note);
	}
	return rc;
}

static int choose_auto(const struct perf_event_wish *wish, struct perf_event *ret,
		       struct perf_refusal *refusal)
{
	struct perf_event_spec spec;
	char text[480];

	(void)perf_spec_parse("cycles", &spec);
	if (choose_spec(&spec, wish, ret, refusal) == 0) {
		return 0;
	}
	snprintf(text, sizeof(text), "hardware cycles are not sampled (%s); sampling cpu-clock instead",
		 refusal->why);
	return choose_clock(wish, text, ret, refusal);
}

int perf_event_choose(const struct perf_event_wish *wish, struct perf_event *ret,
		      struct perf_refusal *refusal)
{
	struct perf_event_spec spec;
	int rc;

	if (strcmp(wish->name, "auto") == 0) {
		return choose_auto(wish, ret, refusal);
	}
	rc = perf_spec_parse(wish->name, &spec);
	if (rc != 0) {
		return perf_event_refuse_word("events", wish->name, rc, refusal);
	}
	return choose_spec(&spec, wish, ret, refusal);
}

/* An event of the CPU itself, which virtual machines often lack; one that only the kernel can make is never replaced. */
static bool is_hardware(const char *word)
{
	struct perf_event_spec spec;

	return perf_spec_parse(word, &spec) == 0 &&
	       (spec.type == PERF_TYPE_HARDWARE || spec.type == PERF_TYPE_HW_CACHE ||
		spec.type == PERF_TYPE_RAW || spec.type >= PERF_TYPE_MAX || spec.is_absent);
}

int perf_event_choose_first(const struct perf_event_wish *wish, const char *const *words, uint32_t word_count,
			    struct perf_event *ret, struct perf_refusal *refusal)
{
	struct perf_event_wish one = *wish;
	char lacking[160] = "";
	bool all_hardware = true;
	char text[256];
	int rc = PFC_EINVAL;

	for (uint32_t i = 0; i < word_count; i++) {
		one.name = words[i];
		rc = perf_event_choose(&one, ret, refusal);
		if (rc == 0 && lacking[0]) {
			snprintf(text, sizeof(text), "not on this machine: %s; sampling %s instead", lacking,
				 ret->name);
			note_add(ret, text);
			ret->is_substitute = true;
		}
		if (rc != PFC_ENOTSUP) {
			return rc;
		}
		all_hardware = all_hardware && is_hardware(words[i]);
		snprintf(lacking + strlen(lacking), sizeof(lacking) - strlen(lacking), "%s%s", i ? ", " : "",
			 words[i]);
	}
	if (word_count && all_hardware && !wish->branch_stack) {
		snprintf(text, sizeof(text), "not on this machine: %s; sampling cpu-clock instead", lacking);
		one = *wish;
		one.period = 0; /* it was a number of other events */
		rc = choose_clock(&one, text, ret, refusal);
		ret->is_substitute = rc == 0;
		return rc;
	}
	return word_count ? rc : perf_event_choose(wish, ret, refusal);
}
