/* SPDX-License-Identifier: MIT */
/* Options, and what they come to on this machine: see perf_cpu.h. */
#include <string.h>

#include "perf_cpu.h"

#define FREQUENCY_HZ 997

struct pfc_value settings_value(const struct pfc_host *host, const char *key)
{
	struct pfc_value value = { .struct_size = sizeof(value) };

	if (host->option(host->ctx, key, &value) != PFC_OK) {
		memset(&value, 0, sizeof(value));
	}
	return value;
}

int32_t settings_read(struct perf_cpu *self)
{
	const struct pfc_host *host = self->host;
	struct pfc_value period = settings_value(host, "period");
	struct pfc_value names = settings_value(host, "only_threads");

	self->wish.name = "auto";
	self->wish.frequency_hz = (uint64_t)pfc_option_int(host, "frequency", FREQUENCY_HZ);
	self->wish.period = period.integer > 0 ? (uint64_t)period.integer : 0;
	if (self->wish.period && settings_value(host, "frequency").is_set) {
		return host->fail(host->ctx, PFC_EINVAL, "frequency and period",
				  "both say how often to sample", "set one of them");
	}
	self->wish.max_stack = (uint32_t)pfc_option_int(host, "max_stack", 127);
	self->wish.kernel = strcmp(pfc_option_text(host, "kernel", "yes"), "no") != 0;
	self->wish.user = strcmp(pfc_option_text(host, "kernel", "yes"), "only") != 0;
	self->drain.filter.patterns = names.items;
	self->drain.filter.pattern_count = names.item_count;
	self->drain.leave_holes = strcmp(pfc_option_text(host, "stack_holes", "read"), "leave") == 0;
	if (self->wish.frequency_hz == 0) { /* a host that does not check ranges */
		self->wish.frequency_hz = FREQUENCY_HZ;
	}
	counters_init(&self->wanted);
	counters_init(&self->counters);
	return PFC_OK;
}

/* The events that are to be sampled, the first that there is. Beside several, all are counted. */
static int read_lists(struct perf_cpu *self, struct perf_refusal *refusal)
{
	struct pfc_value events = settings_value(self->host, "events");
	struct pfc_value counters = settings_value(self->host, "counters");
	bool is_auto = events.item_count == 0 || strcmp(events.items[0], "auto") == 0;
	uint32_t skip = is_auto && events.item_count ? 1 : 0;
	int rc = PFC_OK;

	if (!is_auto) {
		rc = counters_parse(&self->wanted, "events", events.items, events.item_count, refusal);
	}
	if (rc == PFC_OK && events.item_count > 1) {
		rc = counters_parse(&self->counters, "events", events.items + skip, events.item_count - skip,
				    refusal);
	}
	if (rc == PFC_OK) {
		rc = counters_parse(&self->counters, "counters", counters.items, counters.item_count,
				    refusal);
	}
	counters_pair(&self->counters);
	self->counters.user = self->wish.user;
	return rc;
}

static int choose_first(const struct perf_cpu *self, const struct perf_event_wish *wish,
			struct perf_event *ret, struct perf_refusal *refusal)
{
	const char *names[COUNTERS_MAX];

	for (uint32_t i = 0; i < self->wanted.count; i++) {
		names[i] = self->wanted.items[i].name;
	}
	return perf_event_choose_first(wish, names, self->wanted.count, ret, refusal);
}

/* auto gives up copies of the stack where the kernel does not make them. */
static int choose_event(struct perf_cpu *self, struct perf_refusal *refusal)
{
	struct perf_refusal second;
	int rc;

	callgraph_wish(&self->callgraph, &self->wish);
	rc = choose_first(self, &self->wish, &self->event, refusal);
	if (rc == PFC_ENOTSUP && self->callgraph.is_auto && self->callgraph.mode == CALLGRAPH_DWARF) {
		struct callgraph callgraph = self->callgraph;

		callgraph_fall_back(&callgraph, "this kernel does not copy user stacks");
		callgraph_wish(&callgraph, &self->wish);
		if (choose_first(self, &self->wish, &self->event, &second) == 0) {
			self->callgraph = callgraph;
			return 0;
		}
	}
	return rc;
}

int32_t settings_probe(struct perf_cpu *self)
{
	const struct pfc_stacks *stacks = self->host->extension(self->host->ctx, PFC_EXT_STACKS);
	struct perf_refusal refusal;
	bool is_less;
	int32_t rc;

	if (!stacks) {
		return self->host->fail(self->host->ctx, PFC_ENOTSUP, "find the stack service",
					"this host has no " PFC_EXT_STACKS, "use a newer profcore");
	}
	rc = callgraph_choose(self->host, stacks, &self->callgraph);
	if (rc != PFC_OK) {
		return rc;
	}
	if (read_lists(self, &refusal) != PFC_OK || choose_event(self, &refusal) != 0) {
		return perf_cpu_fail(self, &refusal);
	}
	if (self->callgraph.note[0]) {
		perf_cpu_log(self, PFC_LOG_WARNING, self->callgraph.note);
	}
	is_less = self->event.is_substitute ||
		  (self->wish.kernel && !self->event.kernel && !self->event.is_narrowed);
	if (self->event.note[0]) {
		perf_cpu_log(self, is_less ? PFC_LOG_WARNING : PFC_LOG_INFO, self->event.note);
	}
	return PFC_OK;
}
