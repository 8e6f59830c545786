/* SPDX-License-Identifier: MIT */
/*
 * perf-cpu: where the target spends CPU time. The kernel samples (lib/perf) into rings; the window's loop
 * (drain.c) feeds them to the host's stack service, which knows all about stacks and symbols. This file is the life cycle.
 */
#include <profcore/ext/draft/stacks.h>
#include <profcore/profcore.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapt.h"
#include "lib/perf/attach.h"
#include "callgraph.h"
#include "counters.h"
#include "drain.h"
#include "lib/perf/event.h"
#include "lib/perf/procfs.h"
#include "lib/perf/ring.h"

PFC_MANIFEST("manifest.ini");

#define PORT "stacks"
/* Passes over the target's threads; one that creates threads faster than we list them never ends otherwise. */
#define PASS_LIMIT 20
/* Threads whose stacks are looked at before the window: some 20 us each. */
#define POPULATE_THREADS 2000
/* Too little CPU time to compare samples with: a hundred samples at the default frequency. */
#define SEEN_MIN_NS   100000000ull
#define SEEN_WARN_PCT 90.0

struct perf_cpu {
	const struct pfc_host *host;
	struct perf_event_wish wish;
	struct callgraph callgraph;
	struct pfc_value events; /* the option's words */
	struct counters counters;
	struct perf_event event;
	struct perf_ring *rings;
	uint32_t ring_count;
	char *group; /* folder of the target's control group; NULL */
	struct perf_attach attach;
	struct perf_attach
		small; /* the same threads with smaller copies of their stacks; empty where that is not done */
	struct adapt adapt;
	struct drain drain;
};

static int32_t fail(const struct perf_cpu *self, const struct perf_refusal *refusal)
{
	const struct pfc_host *host = self->host;

	return host->fail(host->ctx, refusal->status, refusal->what, refusal->why,
			  refusal->hint[0] ? refusal->hint : NULL);
}

static void log_text(const struct perf_cpu *self, uint32_t level, const char *text)
{
	self->host->log(self->host->ctx, level, text);
}

static void read_thread_names(struct perf_cpu *self)
{
	struct pfc_value names = { .struct_size = sizeof(names) };

	if (self->host->option(self->host->ctx, "only_threads", &names) == PFC_OK) {
		self->drain.filter.patterns = names.items;
		self->drain.filter.pattern_count = names.item_count;
	}
}

static int32_t perf_cpu_create(const struct pfc_host *host, void **ret_self)
{
	struct perf_cpu *self = calloc(1, sizeof(*self));

	if (!self) {
		return host->fail(host->ctx, PFC_ENOMEM, "create perf-cpu", "out of memory", NULL);
	}
	self->host = host;
	self->events.struct_size = sizeof(self->events);
	if (host->option(host->ctx, "event", &self->events) != PFC_OK) {
		self->events.item_count = 0;
	}
	self->wish.name = "auto";
	self->wish.frequency_hz = (uint64_t)pfc_option_int(host, "frequency", 997);
	self->wish.max_stack = (uint32_t)pfc_option_int(host, "max_stack", 127);
	self->wish.kernel = strcmp(pfc_option_text(host, "kernel", "yes"), "no") != 0;
	self->wish.user = strcmp(pfc_option_text(host, "kernel", "yes"), "only") != 0;
	read_thread_names(self);
	if (self->wish.frequency_hz == 0) { /* a host that does not check ranges */
		self->wish.frequency_hz = 997;
	}
	*ret_self = self;
	return PFC_OK;
}

/* The target as it is now, or a failure that says so. */
static int32_t get_target(const struct perf_cpu *self, struct pfc_target *ret)
{
	const struct pfc_host *host = self->host;

	memset(ret, 0, sizeof(*ret));
	ret->struct_size = sizeof(*ret);
	if (host->target(host->ctx, ret) != PFC_OK) {
		return host->fail(host->ctx, PFC_ETARGET, "find what to sample", "the run has no target",
				  "add a [target] section with pid, process or command");
	}
	if (ret->pid_count == 0) {
		return host->fail(host->ctx, PFC_ETARGET, "find what to sample", "the target has no process",
				  "check that it still runs");
	}
	return PFC_OK;
}

/* Whether the target's root process may be sampled, which being allowed to sample ourselves does not tell. */
static int32_t probe_target(const struct perf_cpu *self)
{
	struct perf_event_attr attr;
	struct pfc_target target;
	struct perf_refusal refusal;
	int32_t rc = get_target(self, &target);
	int fd;

	if (rc != PFC_OK) {
		return rc;
	}
	perf_event_fill(&self->event, &attr);
	fd = perf_event_open(&attr, target.pids[0], -1);
	if (fd < 0) {
		perf_refusal_explain(-fd, self->event.name, target.pids[0], -1, &refusal);
		return fail(self, &refusal);
	}
	close(fd);
	return PFC_OK;
}

/* auto gives up copies of the stack where the kernel does not make them. */
static int choose_event(struct perf_cpu *self, struct perf_refusal *refusal)
{
	struct perf_refusal second;
	int rc;

	callgraph_wish(&self->callgraph, &self->wish);
	rc = perf_event_choose_first(&self->wish, self->events.items, self->events.item_count, &self->event,
				     refusal);
	if (rc == PFC_ENOTSUP && self->callgraph.is_auto && self->callgraph.mode == CALLGRAPH_DWARF) {
		struct callgraph callgraph = self->callgraph;

		callgraph_fall_back(&callgraph, "this kernel does not copy user stacks");
		callgraph_wish(&callgraph, &self->wish);
		if (perf_event_choose_first(&self->wish, self->events.items, self->events.item_count,
					    &self->event, &second) == 0) {
			self->callgraph = callgraph;
			return 0;
		}
	}
	return rc;
}

static int parse_counters(struct perf_cpu *self, struct perf_refusal *refusal)
{
	struct pfc_value words = { .struct_size = sizeof(words) };

	if (self->host->option(self->host->ctx, "counters", &words) != PFC_OK) {
		words.item_count = 0;
	}
	return counters_parse(&self->counters, words.items, words.item_count, refusal);
}

static int32_t perf_cpu_probe(void *ctx)
{
	struct perf_cpu *self = ctx;
	const struct pfc_stacks *stacks = self->host->extension(self->host->ctx, PFC_EXT_STACKS);
	struct perf_refusal refusal;
	int32_t rc;

	if (!stacks) {
		return self->host->fail(self->host->ctx, PFC_ENOTSUP, "find the stack service",
					"this host has no " PFC_EXT_STACKS, "use a newer profcore");
	}
	rc = callgraph_choose(self->host, stacks, &self->callgraph);
	if (rc != PFC_OK) {
		return rc;
	}
	if (choose_event(self, &refusal) != 0) {
		return fail(self, &refusal);
	}
	if (self->callgraph.note[0]) {
		log_text(self, PFC_LOG_WARNING, self->callgraph.note);
	}
	if (self->event.note[0]) {
		log_text(self, self->wish.kernel && !self->event.kernel ? PFC_LOG_WARNING : PFC_LOG_INFO,
			 self->event.note);
	}
	if (parse_counters(self, &refusal) != PFC_OK) {
		return fail(self, &refusal);
	}
	return probe_target(self);
}

/* The online CPUs that the option names; all without it. */
static int32_t pick_cpus(const struct perf_cpu *self, struct perf_id_list *cpus)
{
	const struct pfc_host *host = self->host;
	const char *text = pfc_option_text(host, "cpus", "");
	struct perf_id_list wanted = { NULL, 0, 0 };
	int error;

	if (text[0] == '\0') {
		return PFC_OK;
	}
	error = perf_procfs_parse_cpus(text, &wanted);
	if (error == 0) {
		perf_id_list_intersect(cpus, &wanted);
	}
	free(wanted.items);
	if (error == -ENOMEM) {
		return host->fail(host->ctx, PFC_ENOMEM, "read the list of CPUs", "out of memory", NULL);
	}
	if (error || cpus->count == 0) {
		return host->fail(host->ctx, PFC_EINVAL, "cpus",
				  error ? "this is no list of CPUs" : "none of them is online",
				  "write cpus = 0-3,8; see cat /sys/devices/system/cpu/online");
	}
	return PFC_OK;
}

static int32_t open_rings(struct perf_cpu *self)
{
	struct perf_id_list cpus = { NULL, 0, 0 };
	struct perf_refusal refusal;
	char text[160];
	int32_t rc = PFC_OK;
	int error = perf_procfs_online_cpus(&cpus);

	if (error == 0) {
		self->rings = calloc(cpus.count, sizeof(*self->rings));
	}
	if (!self->rings) {
		rc = self->host->fail(self->host->ctx, error ? PFC_EIO : PFC_ENOMEM, "list the online CPUs",
				      error ? strerror(-error) : "out of memory",
				      "check that /sys is mounted");
		goto out;
	}
	rc = pick_cpus(self, &cpus);
	for (size_t i = 0; i < cpus.count && rc == PFC_OK; i++) {
		if (perf_ring_open(cpus.items[i], self->callgraph.ring_bytes, &self->rings[i], &refusal) !=
		    0) {
			rc = fail(self, &refusal);
			goto out;
		}
		self->ring_count++;
	}
	if (rc == PFC_OK && self->rings[0].data_bytes < self->callgraph.ring_bytes) {
		snprintf(text, sizeof(text),
			 "locked memory is short (kernel.perf_event_mlock_kb), continuing without the full "
			 "ring: %llu "
			 "KiB for each CPU",
			 (unsigned long long)self->rings[0].data_bytes / 1024);
		log_text(self, PFC_LOG_WARNING, text);
	}
out:
	free(cpus.items);
	return rc;
}

static void log_attached(const struct perf_cpu *self)
{
	const struct perf_attach *attach = &self->attach;
	char text[256];

	if (attach->group) {
		snprintf(text, sizeof(text),
			 "sampling %s of the whole control group on %u CPUs, call graphs by %s",
			 attach->event.name, attach->cpu_count, callgraph_name(&self->callgraph));
		log_text(self, PFC_LOG_INFO, text);
		return;
	}
	snprintf(text, sizeof(text),
		 "sampling %s of %zu threads on %u CPUs, call graphs by %s (%u passes, %zu came late)",
		 attach->event.name, attach->thread_count, attach->cpu_count,
		 callgraph_name(&self->callgraph), attach->passes, attach->undecided);
	log_text(self, PFC_LOG_INFO, text);
	if (attach->refused) {
		snprintf(text, sizeof(text), "%zu threads cannot be sampled (%s), continuing without them",
			 attach->refused, strerror(attach->refused_error));
		log_text(self, PFC_LOG_WARNING, text);
	}
}

/* One event a CPU for a target that is a control group; false where that is refused: then its threads have to do. */
static bool open_on_group(struct perf_cpu *self, struct perf_attach *attach)
{
	struct pfc_target target;
	struct perf_refusal refusal;
	char text[400];

	if (get_target(self, &target) != PFC_OK || target.cgroup_path == NULL ||
	    target.cgroup_path[0] == '\0') {
		return false;
	}
	if (!self->group) {
		self->group = strdup(target.cgroup_path);
	}
	if (self->group && perf_attach_group(attach, self->group, &refusal) == 0) {
		return true;
	}
	snprintf(text, sizeof(text),
		 "the control group cannot be sampled as a whole (%.250s), continuing with the threads that "
		 "are there now",
		 self->group ? refusal.why : "out of memory");
	log_text(self, PFC_LOG_WARNING, text);
	return false;
}

/* Passes until no thread is new. Returns 0, what get_target returned, or refusal->status. */
static int32_t open_events(struct perf_cpu *self, struct perf_attach *attach, struct perf_refusal *refusal)
{
	struct pfc_target target;
	size_t added;

	refusal->status = PFC_OK;
	if (open_on_group(self, attach)) {
		return PFC_OK;
	}
	do {
		int32_t rc = get_target(self, &target);

		if (rc != PFC_OK) {
			return rc;
		}
		if (perf_attach_pass(attach, target.pids, target.pid_count, &added, refusal) != 0) {
			return refusal->status;
		}
	} while (added && attach->passes < PASS_LIMIT);
	perf_attach_seal(attach);
	return PFC_OK;
}

/* The second set of events. Where there is no room for it, the size of the copies stays as it is. */
static void open_small(struct perf_cpu *self)
{
	struct perf_event event = self->event;
	struct perf_refusal refusal;

	if (self->callgraph.mode != CALLGRAPH_DWARF || self->callgraph.is_fixed) {
		return;
	}
	event.user_stack_bytes = ADAPT_SMALL_BYTES;
	perf_attach_init(&self->small, &event, self->rings, self->ring_count);
	self->small.fds_elsewhere = self->attach.thread_count * self->ring_count;
	if (open_events(self, &self->small, &refusal) != PFC_OK || self->small.thread_count == 0) {
		perf_attach_close(&self->small);
		log_text(self, PFC_LOG_INFO,
			 "no second set of events: all samples copy their stacks in full size");
		return;
	}
	self->adapt = (struct adapt){ .large = &self->attach, .small = &self->small, .drain = &self->drain };
	self->drain.adapt = &self->adapt;
}

static int32_t attach_target(struct perf_cpu *self)
{
	struct perf_refusal refusal;
	int32_t rc;

	perf_attach_init(&self->attach, &self->event, self->rings, self->ring_count);
	rc = open_events(self, &self->attach, &refusal);
	if (rc != PFC_OK) {
		return refusal.status ? fail(self, &refusal) : rc;
	}
	if (self->attach.thread_count == 0) {
		return self->host->fail(self->host->ctx, PFC_ETARGET, "attach to the target",
					"all of its threads have ended", "check that it still runs");
	}
	log_attached(self);
	open_small(self);
	for (size_t i = 0;
	     self->callgraph.mode == CALLGRAPH_DWARF && i < self->attach.thread_count && i < POPULATE_THREADS;
	     i++) {
		perf_populate_thread(&self->drain.populate, self->attach.threads[i].pid,
				     self->attach.threads[i].tid);
	}
	return PFC_OK;
}

/* What cannot be counted is said and left out: the samples are what the run is for. */
static void open_counters(struct perf_cpu *self)
{
	struct perf_refusal refusal;
	char text[640];

	if (self->counters.count && self->attach.group) {
		log_text(self, PFC_LOG_WARNING,
			 "counters of a control group are not there yet, continuing without them");
		counters_close(&self->counters);
		return;
	}
	if (counters_open(&self->counters, &self->attach, &refusal) != PFC_OK) {
		snprintf(text, sizeof(text), "%s: %s, continuing without counters", refusal.what,
			 refusal.why);
		log_text(self, PFC_LOG_WARNING, text);
		counters_close(&self->counters);
	} else if (self->counters.missing[0]) {
		snprintf(text, sizeof(text), "this machine does not count %s, continuing without them",
			 self->counters.missing);
		log_text(self, PFC_LOG_WARNING, text);
	}
}

/* The sampled event took no turns with others: its times are the window's. */
static int write_counters(struct perf_cpu *self, uint64_t counted)
{
	struct pfc_window window = { .struct_size = sizeof(window) };
	struct counter_value total = { counted, 0, 0 };
	const struct pfc_writer *writer;

	if (self->host->window(self->host->ctx, &window) == PFC_OK && window.t1_ns > window.t0_ns) {
		total.enabled_ns = total.running_ns = window.t1_ns - window.t0_ns;
	}

	if (self->host->output(self->host->ctx, "counters", &writer) != PFC_OK) {
		return PFC_OK;
	}
	return counters_write(&self->counters, &self->event, &total, writer);
}

static int32_t open_session(struct perf_cpu *self)
{
	const struct pfc_host *host = self->host;
	struct pfc_stacks_config config;
	struct drain *drain = &self->drain;
	int32_t rc;

	drain->host = host;
	drain->stacks = host->extension(host->ctx, PFC_EXT_STACKS);
	drain->attach = &self->attach;
	drain->rings = self->rings;
	drain->ring_count = self->ring_count;
	memset(&config, 0, sizeof(config));
	config.struct_size = sizeof(config);
	config.port = PORT;
	config.event = self->event.name;
	config.weight_unit = self->event.is_clock ? "ns" : "count";
	rc = drain->stacks ? drain->stacks->open(drain->stacks->ctx, &config, &drain->session) : PFC_ENOTSUP;
	return rc == PFC_OK ? PFC_OK
			    : host->fail(host->ctx, rc, "open the stack service",
					 drain->stacks ? "it could not begin its output"
						       : "the host does not give it",
					 NULL);
}

static int32_t perf_cpu_prepare(void *ctx)
{
	struct perf_cpu *self = ctx;
	int32_t rc = open_rings(self);

	if (rc == PFC_OK) {
		rc = attach_target(self);
	}
	if (rc == PFC_OK) {
		open_counters(self);
		rc = open_session(self);
	}
	return rc;
}

static int32_t perf_cpu_start(void *ctx, uint64_t t0_ns)
{
	struct perf_cpu *self = ctx;

	self->adapt.start_ns = t0_ns;
	counters_control(&self->counters, true);
	perf_attach_enable(&self->attach);
	return PFC_OK;
}

static int32_t perf_cpu_run(void *ctx)
{
	struct perf_cpu *self = ctx;

	return drain_until_stop(&self->drain);
}

static int32_t perf_cpu_stop(void *ctx, uint64_t t1_ns)
{
	struct perf_cpu *self = ctx;

	perf_attach_disable(self->drain.attach);
	counters_control(&self->counters, false);
	return drain_all(&self->drain);
}

/* What was lost: the kernel's count by event where it has one, else what the rings said. */
static void count_losses(struct perf_cpu *self, int64_t exact)
{
	const struct pfc_host *host = self->host;
	struct drain *drain = &self->drain;

	if (exact >= 0) {
		drain->lost = (uint64_t)exact;
	}
	for (uint32_t i = 0; i < self->ring_count; i++) {
		drain->garbled += self->rings[i].corrupt;
	}
	if (drain->lost) {
		host->loss(host->ctx, PORT, "ring_full", drain->lost);
	}
	if (drain->garbled) {
		host->loss(host->ctx, PORT, "garbled", drain->garbled);
	}
	host->metric(host->ctx, "lost", (double)drain->lost);
}

static void state_facts(struct perf_cpu *self)
{
	const struct pfc_host *host = self->host;
	const struct pfc_writer *writer;

	if (host->output(host->ctx, PORT, &writer) != PFC_OK) {
		return;
	}
	writer->fact_text(writer->ctx, "event", self->event.name);
	writer->fact_text(writer->ctx, "code",
			  !self->event.user    ? "kernel"
			  : self->event.kernel ? "user and kernel"
					       : "user");
	writer->fact_number(writer->ctx, "frequency_hz", (double)self->event.frequency_hz);
	if (self->event.period) {
		writer->fact_number(writer->ctx, "period", (double)self->event.period);
	}
	if (self->drain.filter.pattern_count) {
		writer->fact_number(writer->ctx, "filtered", (double)self->drain.filter.dropped);
		writer->fact_number(writer->ctx, "filtered_unnamed", (double)self->drain.filter.unnamed);
	}
	writer->fact_text(writer->ctx, "call_graph", callgraph_name(&self->callgraph));
	if (self->callgraph.mode == CALLGRAPH_DWARF) {
		writer->fact_number(writer->ctx, "stack_bytes", self->drain.attach->event.user_stack_bytes);
		writer->fact_number(writer->ctx, "stack_bytes_switches", self->adapt.switches);
		writer->fact_number(writer->ctx, "stack_holes", (double)self->drain.populate.holes);
		writer->fact_number(writer->ctx, "stack_holes_refused", (double)self->drain.populate.refused);
		writer->fact_number(writer->ctx, "samples_32bit", (double)self->drain.compat);
	}
	writer->fact_number(writer->ctx, "cpus", self->ring_count);
	writer->fact_number(writer->ctx, "throttled", (double)self->drain.throttled);
	writer->fact_number(writer->ctx, "lost", (double)self->drain.lost);
	writer->fact_number(writer->ctx, "threads_refused", (double)self->attach.refused);
}

/*
 * The events also count, exactly, what they sample. Where the samples' weight falls short of it, CPU time went unseen: an
 * inherited event starts with a whole period to go, so a thread that runs for less than one is never sampled.
 */
static void compare_with_count(struct perf_cpu *self, uint64_t counted)
{
	const struct pfc_host *host = self->host;
	const struct pfc_writer *writer;
	double seen_pct = counted ? 100.0 * (double)self->drain.weight / (double)counted : 0;
	char text[256];

	if (!self->event.is_clock || !self->event.kernel || !self->event.user || counted < SEEN_MIN_NS) {
		return;
	}
	if (host->output(host->ctx, PORT, &writer) == PFC_OK) {
		writer->fact_number(writer->ctx, "cpu_seconds", (double)counted / 1e9);
		writer->fact_number(writer->ctx, "seen_pct", seen_pct);
	}
	if (seen_pct < SEEN_WARN_PCT) {
		snprintf(text, sizeof(text),
			 "the samples cover %.0f %% of the CPU time that the target used: threads that live "
			 "shorter than "
			 "a sampling period are never seen, continuing without them (a higher frequency sees "
			 "more)",
			 seen_pct);
		log_text(self, PFC_LOG_WARNING, text);
	}
}

static int32_t perf_cpu_finish(void *ctx)
{
	struct perf_cpu *self = ctx;
	struct drain *drain = &self->drain;
	const struct pfc_host *host = self->host;
	uint64_t counted, counted_small = 0;
	int64_t lost, lost_small = 0;
	int32_t rc;

	perf_attach_count(&self->attach, &counted, &lost);
	if (self->adapt.small) {
		perf_attach_count(&self->small, &counted_small, &lost_small);
		counted += counted_small;
		lost += lost >= 0 ? lost_small : 0;
	}
	count_losses(self, lost);
	state_facts(self);
	compare_with_count(self, counted);
	host->metric(host->ctx, "samples", (double)drain->stacks->sample_count(drain->session));
	rc = write_counters(self, counted);
	if (rc != PFC_OK) {
		return rc;
	}
	rc = drain->stacks->finish(drain->session);
	if (rc == PFC_ENODATA) {
		return host->fail(
			host->ctx, PFC_ENODATA, "sample the target's CPU time",
			"none of its threads ran on a CPU in the window, as far as the kernel told",
			"was the target idle? put load on it, or make the window longer (run.duration)");
	}
	return rc;
}

static void perf_cpu_destroy(void *ctx)
{
	struct perf_cpu *self = ctx;

	if (!self) {
		return;
	}
	if (self->drain.session) {
		self->drain.stacks->close(self->drain.session);
	}
	perf_attach_close(&self->attach);
	perf_attach_close(&self->small);
	for (uint32_t i = 0; i < self->ring_count; i++) {
		perf_ring_close(&self->rings[i]);
	}
	free(self->rings);
	counters_close(&self->counters);
	free(self->group);
	free(self);
}

const struct pfc_plugin *pfc_plugin_v1(const struct pfc_host *host)
{
	static const struct pfc_plugin plugin = {
		.struct_size = sizeof(plugin),
		.create = perf_cpu_create,
		.probe = perf_cpu_probe,
		.prepare = perf_cpu_prepare,
		.start = perf_cpu_start,
		.run = perf_cpu_run,
		.stop = perf_cpu_stop,
		.finish = perf_cpu_finish,
		.destroy = perf_cpu_destroy,
	};

	return host->struct_size >= PFC_HOST_FOUNDING_BYTES ? &plugin : NULL;
}
