/* SPDX-License-Identifier: MIT */
/* After the window: what was lost, how complete it is, the counters. See perf_cpu.h. */
#include <stdio.h>
#include <sys/resource.h>

#include "lib/perf/procfs.h"
#include "perf_cpu.h"

/* Too little CPU time to compare samples with: a hundred samples at the default frequency. */
#define SEEN_MIN_NS   100000000ull
#define SEEN_WARN_PCT 90.0

/* Whether the events on the CPUs took over. */
static bool is_wide(const struct perf_cpu *self)
{
	return self->drain.attach == &self->wide;
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
	/* On whole CPUs the event counted others too: the samples that were kept say what the target's part was. */
	if (self->attach.scope == PERF_SCOPE_CPUS) {
		total.value = self->drain.weight;
	} else if (is_wide(self)) {
		total.value = counted + self->drain.weight - self->weight_before;
	}
	return counters_write(&self->counters, &self->event, &total, writer);
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

static const char *scope_name(enum perf_scope scope)
{
	return scope == PERF_SCOPE_THREADS ? "threads" : scope == PERF_SCOPE_GROUP ? "control group" : "CPUs";
}

static void state_how(const struct perf_cpu *self, const struct pfc_writer *writer)
{
	writer->fact_text(writer->ctx, "event", self->event.name);
	writer->fact_text(writer->ctx, "code",
			  !self->event.user    ? "kernel"
			  : self->event.kernel ? "user and kernel"
					       : "user");
	writer->fact_text(writer->ctx, "scope",
			  is_wide(self) ? "threads, then CPUs" : scope_name(self->attach.scope));
	if (self->event.note[0]) {
		writer->fact_text(writer->ctx, "event_note", self->event.note);
	}
	if (!self->wish.period) {
		writer->fact_number(writer->ctx, "frequency_hz", (double)self->event.frequency_hz);
	}
	if (self->event.period) {
		writer->fact_number(writer->ctx, "period", (double)self->event.period);
	}
	if (self->event.precise) {
		writer->fact_number(writer->ctx, "precise", self->event.precise);
	}
	writer->fact_text(writer->ctx, "call_graph", callgraph_name(&self->callgraph));
}

static void state_stacks(const struct perf_cpu *self, const struct pfc_writer *writer)
{
	const struct drain *drain = &self->drain;

	if (self->callgraph.mode != CALLGRAPH_DWARF) {
		return;
	}
	writer->fact_number(writer->ctx, "stack_bytes", drain->attach->event.user_stack_bytes);
	writer->fact_number(writer->ctx, "stack_bytes_switches", self->adapt.switches);
	writer->fact_number(writer->ctx, "stack_holes", (double)drain->populate.holes);
	writer->fact_number(writer->ctx, "stack_holes_refused", (double)drain->populate.refused);
	writer->fact_number(writer->ctx, "samples_32bit", (double)drain->compat);
}

/* The kernel lowers its limit by itself when sampling takes too long; that is not put back. */
static void state_rate(const struct perf_cpu *self, const struct pfc_writer *writer)
{
	int64_t now = perf_procfs_number("/proc/sys/kernel/perf_event_max_sample_rate", self->max_rate);

	writer->fact_number(writer->ctx, "throttled", (double)self->drain.throttled);
	if (now != self->max_rate) {
		writer->fact_number(writer->ctx, "max_rate_before", (double)self->max_rate);
		writer->fact_number(writer->ctx, "max_rate_after", (double)now);
	}
}

static void state_facts(const struct perf_cpu *self)
{
	const struct pfc_host *host = self->host;
	const struct drain *drain = &self->drain;
	const struct pfc_writer *writer;

	if (host->output(host->ctx, PORT, &writer) != PFC_OK) {
		return;
	}
	state_how(self, writer);
	state_stacks(self, writer);
	state_rate(self, writer);
	writer->fact_number(writer->ctx, "min_rooted", pfc_option_real(host, "min_rooted", 90));
	if (pfc_option_text(host, "only_symbols", "")[0]) {
		writer->fact_text(writer->ctx, "only_symbols", pfc_option_text(host, "only_symbols", ""));
	}
	if (drain->filter.pattern_count) {
		writer->fact_number(writer->ctx, "filtered", (double)drain->filter.dropped);
		writer->fact_number(writer->ctx, "filtered_unnamed", (double)drain->filter.unnamed);
	}
	if (drain->members.state) {
		writer->fact_number(writer->ctx, "of_others", (double)drain->members.others);
	}
	writer->fact_number(writer->ctx, "collector_cpu_s", (double)self->own_cpu_ns / 1e9);
	writer->fact_number(writer->ctx, "longest_gap_ms", (double)drain->longest_gap_ns / 1e6);
	writer->fact_number(writer->ctx, "cpus", self->ring_count);
	writer->fact_number(writer->ctx, "lost", (double)drain->lost);
	for (uint32_t i = 0; i < self->ring_count; i++) {
		char key[32];

		snprintf(key, sizeof(key), "lost_cpu%d", self->rings[i].cpu);
		if (self->rings[i].lost) {
			writer->fact_number(writer->ctx, key, (double)self->rings[i].lost);
		}
	}
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
	char text[320];

	if (!self->event.is_clock || !self->event.kernel || !self->event.user || counted < SEEN_MIN_NS ||
	    self->attach.scope == PERF_SCOPE_CPUS || is_wide(self)) {
		return;
	}
	if (host->output(host->ctx, PORT, &writer) == PFC_OK) {
		writer->fact_number(writer->ctx, "cpu_seconds", (double)counted / 1e9);
		writer->fact_number(writer->ctx, "seen_pct", seen_pct);
		writer->fact_number(writer->ctx, "effective_hz",
				    (double)self->drain.seen * 1e9 / (double)counted);
	}
	if (seen_pct < SEEN_WARN_PCT) {
		snprintf(text, sizeof(text),
			 "the samples cover %.0f %% of the CPU time that the target used: threads that live "
			 "shorter than "
			 "a sampling period are never seen, continuing without them (scope = cpus sees them; "
			 "a higher "
			 "frequency sees more)",
			 seen_pct);
		perf_cpu_log(self, PFC_LOG_WARNING, text);
	}
}

/* The host lets a collector go first, for its rings; naming functions is no reason to. */
static void stand_back(void)
{
	if (getpriority(PRIO_PROCESS, 0) < 0) {
		(void)setpriority(PRIO_PROCESS, 0, 0);
	}
}

int32_t finish_all(struct perf_cpu *self)
{
	struct drain *drain = &self->drain;
	const struct pfc_host *host = self->host;
	uint64_t counted, counted_small = 0;
	int64_t lost, lost_small = 0;
	int32_t rc;

	stand_back();
	perf_attach_count(&self->attach, &counted, &lost);
	if (self->adapt.small) {
		perf_attach_count(&self->small, &counted_small, &lost_small);
		counted += counted_small;
		lost += lost >= 0 ? lost_small : 0;
	}
	if (is_wide(self)) {
		perf_attach_count(&self->wide, &counted_small, &lost_small);
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
