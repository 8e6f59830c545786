/* SPDX-License-Identifier: MIT */
/* Before the window: rings, events, the session with the stack service. See perf_cpu.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/perf/procfs.h"
#include "perf_cpu.h"
#include "scope.h"
#include "widen.h"

/* Threads whose stacks are looked at before the window: some 20 us each. */
#define POPULATE_THREADS 2000

int32_t prepare_target(const struct perf_cpu *self, struct pfc_target *ret)
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
	uint64_t ring_bytes;
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
	ring_bytes = callgraph_ring_bytes(&self->callgraph, &self->event, cpus.count);
	for (size_t i = 0; i < cpus.count && rc == PFC_OK; i++) {
		if (perf_ring_open(cpus.items[i], ring_bytes, &self->rings[i], &refusal) != 0) {
			rc = perf_cpu_fail(self, &refusal);
			goto out;
		}
		self->ring_count++;
	}
	if (rc == PFC_OK && self->rings[0].data_bytes < ring_bytes) {
		snprintf(text, sizeof(text),
			 "locked memory is short (kernel.perf_event_mlock_kb), continuing without the full "
			 "ring: %llu "
			 "KiB for each CPU",
			 (unsigned long long)self->rings[0].data_bytes / 1024);
		perf_cpu_log(self, PFC_LOG_WARNING, text);
	}
out:
	free(cpus.items);
	return rc;
}

/* The second set of events. Where there is no room for it, the size of the copies stays as it is. */
static void open_small(struct perf_cpu *self)
{
	struct perf_event event = self->attach.event;
	struct perf_refusal refusal;

	if (self->callgraph.mode != CALLGRAPH_DWARF || self->callgraph.is_fixed) {
		return;
	}
	event.user_stack_bytes = ADAPT_SMALL_BYTES;
	perf_attach_init(&self->small, &event, self->rings, self->ring_count);
	self->small.fds_elsewhere = self->attach.thread_count * self->ring_count;
	if (scope_open_like(self, &self->small, self->attach.scope, &refusal) != PFC_OK ||
	    self->small.thread_count == 0) {
		perf_attach_close(&self->small);
		perf_cpu_log(self, PFC_LOG_INFO,
			     "no second set of events: all samples copy their stacks in full size");
		return;
	}
	self->adapt = (struct adapt){ .large = &self->attach, .small = &self->small, .drain = &self->drain };
	self->drain.adapt = &self->adapt;
}

static void read_holes(struct perf_cpu *self)
{
	const struct perf_attach *attach = &self->attach;

	if (self->callgraph.mode != CALLGRAPH_DWARF || self->drain.leave_holes ||
	    attach->scope != PERF_SCOPE_THREADS) {
		return;
	}
	for (size_t i = 0; i < attach->thread_count && i < POPULATE_THREADS; i++) {
		perf_populate_thread(&self->drain.populate, attach->threads[i].pid, attach->threads[i].tid);
	}
}

static int32_t attach_target(struct perf_cpu *self)
{
	struct perf_refusal refusal;
	int32_t rc;

	perf_attach_init(&self->attach, &self->event, self->rings, self->ring_count);
	rc = scope_open(self, &refusal);
	if (rc != PFC_OK) {
		return refusal.status ? perf_cpu_fail(self, &refusal) : rc;
	}
	if (self->attach.thread_count == 0) {
		return self->host->fail(self->host->ctx, PFC_ETARGET, "attach to the target",
					"all of its threads have ended", "check that it still runs");
	}
	open_small(self);
	widen_prepare(self);
	read_holes(self);
	return PFC_OK;
}

/* What cannot be counted is said and left out: the samples are what the run is for. */
static void open_counters(struct perf_cpu *self)
{
	struct counters *counters = &self->counters;
	struct perf_refusal refusal;
	char text[900];

	if (counters->count == 0) {
		return;
	}
	if (self->drain.members.state) {
		perf_cpu_log(self, PFC_LOG_WARNING,
			     "counters of single processes need an event for each thread, and there are too "
			     "many threads or "
			     "scope = cpus was asked for: continuing without counters");
		counters_close(counters);
		return;
	}
	if (counters_open(counters, &self->attach, &refusal) != PFC_OK) {
		snprintf(text, sizeof(text), "%s: %s, continuing without counters", refusal.what,
			 refusal.why);
		perf_cpu_log(self, PFC_LOG_WARNING, text);
		counters_close(counters);
		return;
	}
	if (counters->missing[0]) {
		snprintf(text, sizeof(text), "this machine does not count %s, continuing without them",
			 counters->missing);
		perf_cpu_log(self, PFC_LOG_WARNING, text);
	}
	if (counters->parted[0]) {
		snprintf(text, sizeof(text),
			 "the CPU cannot count these in their group, they are counted alone: %s",
			 counters->parted);
		perf_cpu_log(self, PFC_LOG_WARNING, text);
	}
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
	drain->counters = &self->counters;
	drain->step = widen_step;
	drain->self = self;
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

int32_t prepare_all(struct perf_cpu *self)
{
	int32_t rc = open_rings(self);

	self->max_rate = perf_procfs_number("/proc/sys/kernel/perf_event_max_sample_rate", 0);
	if (rc == PFC_OK) {
		rc = attach_target(self);
	}
	if (rc == PFC_OK) {
		open_counters(self);
		rc = open_session(self);
	}
	return rc;
}
