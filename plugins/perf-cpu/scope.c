/* SPDX-License-Identifier: MIT */
/* On what the events are opened: see scope.h. */
#include "scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/perf/budget.h"
#include "lib/perf/procfs.h"

/* Passes over the target's threads; one that creates threads faster than we list them never ends otherwise. */
#define PASS_LIMIT 20
/* More events than this are not opened, whatever the limit: each takes some 2 KiB of the kernel and 10 us. */
#define EVENTS_MAX 32768

/* Passes until no thread is new. */
static int32_t open_threads(struct perf_cpu *self, struct perf_attach *attach, struct perf_refusal *refusal)
{
	struct pfc_target target;
	size_t added;

	do {
		int32_t rc = prepare_target(self, &target);

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

int32_t scope_open_like(struct perf_cpu *self, struct perf_attach *attach, enum perf_scope scope,
			struct perf_refusal *refusal)
{
	refusal->status = PFC_OK;
	switch (scope) {
	case PERF_SCOPE_GROUP:
		return perf_attach_group(attach, self->group, refusal);
	case PERF_SCOPE_CPUS:
		return perf_attach_cpus(attach, refusal);
	default:
		return open_threads(self, attach, refusal);
	}
}

static size_t count_threads(const struct pfc_target *target)
{
	struct perf_id_list tids = { NULL, 0, 0 };
	size_t count;

	for (uint32_t i = 0; i < target->pid_count; i++) {
		(void)perf_procfs_threads(target->pids[i], &tids);
	}
	count = tids.count;
	free(tids.items);
	return count;
}

/* Descriptors for an event on each thread and CPU, the second set and the counters; whether they may be had. */
static bool fits(const struct perf_cpu *self, size_t threads, uint64_t *ret_wanted, uint64_t *ret_limit)
{
	uint32_t sets = self->callgraph.mode == CALLGRAPH_DWARF && !self->callgraph.is_fixed ? 2 : 1;
	size_t counters = (size_t)self->counters.count * threads;

	*ret_wanted = perf_budget_wanted(threads, self->ring_count * sets, counters);
	*ret_limit = perf_budget_limit(*ret_wanted);
	return *ret_wanted <= *ret_limit && *ret_wanted <= EVENTS_MAX;
}

/* The CPUs, for what the target does there. The kernel then tells of forks in the rings. */
static int32_t open_for_members(struct perf_cpu *self, const struct pfc_target *target,
				struct perf_refusal *refusal)
{
	int32_t rc;

	self->attach.event.task = true;
	rc = scope_open_like(self, &self->attach, PERF_SCOPE_CPUS, refusal);
	if (rc == PFC_OK && members_init(&self->drain.members, target->pids, target->pid_count) != 0) {
		rc = perf_refusal_set(refusal, PFC_ENOMEM, "out of memory", "",
				      "list of the target's processes");
	}
	self->attach.event.task = rc == PFC_OK;
	return rc;
}

static int32_t open_processes(struct perf_cpu *self, const struct pfc_target *target,
			      struct perf_refusal *refusal)
{
	const char *wish = pfc_option_text(self->host, "scope", "auto");
	size_t threads = count_threads(target);
	uint64_t wanted, limit;
	char text[512];
	int32_t rc;

	if (strcmp(wish, "cpus") == 0) {
		return open_for_members(self, target, refusal);
	}
	if (fits(self, threads, &wanted, &limit) || strcmp(wish, "threads") == 0) {
		return scope_open_like(self, &self->attach, PERF_SCOPE_THREADS, refusal);
	}
	rc = open_for_members(self, target, refusal);
	if (rc != PFC_OK) {
		snprintf(text, sizeof(text),
			 "the CPUs cannot be sampled as a whole (%.300s), continuing without that: an event "
			 "on "
			 "each thread",
			 refusal->why);
		perf_cpu_log(self, PFC_LOG_WARNING, text);
		return scope_open_like(self, &self->attach, PERF_SCOPE_THREADS, refusal);
	}
	snprintf(text, sizeof(text),
		 "%zu threads on %u CPUs need %llu descriptors (the limit is %llu): sampling whatever runs "
		 "on the CPUs instead and "
		 "dropping what is not the target's",
		 threads, self->ring_count, (unsigned long long)wanted,
		 (unsigned long long)(limit < EVENTS_MAX ? limit : EVENTS_MAX));
	perf_cpu_log(self, PFC_LOG_WARNING, text);
	return PFC_OK;
}

/* A control group where that is refused: its threads have to do. */
static int32_t open_group(struct perf_cpu *self, const struct pfc_target *target,
			  struct perf_refusal *refusal)
{
	char text[400];

	self->group = strdup(target->cgroup_path);
	if (self->group && scope_open_like(self, &self->attach, PERF_SCOPE_GROUP, refusal) == PFC_OK) {
		return PFC_OK;
	}
	snprintf(text, sizeof(text),
		 "the control group cannot be sampled as a whole (%.250s), continuing with the threads that "
		 "are there now",
		 self->group ? refusal->why : "out of memory");
	perf_cpu_log(self, PFC_LOG_WARNING, text);
	return open_processes(self, target, refusal);
}

static void log_attached(const struct perf_cpu *self)
{
	const struct perf_attach *attach = &self->attach;
	const char *graph = callgraph_name(&self->callgraph);
	char text[256];

	if (attach->scope != PERF_SCOPE_THREADS) {
		snprintf(text, sizeof(text), "sampling %s of %s on %u CPUs, call graphs by %s",
			 attach->event.name,
			 attach->scope == PERF_SCOPE_GROUP ? "the whole control group" : "all that runs",
			 attach->cpu_count, graph);
		perf_cpu_log(self, PFC_LOG_INFO, text);
		return;
	}
	snprintf(text, sizeof(text),
		 "sampling %s of %zu threads on %u CPUs, call graphs by %s (%u passes, %zu came late)",
		 attach->event.name, attach->thread_count, attach->cpu_count, graph, attach->passes,
		 attach->undecided);
	perf_cpu_log(self, PFC_LOG_INFO, text);
	if (attach->refused) {
		snprintf(text, sizeof(text), "%zu threads cannot be sampled (%s), continuing without them",
			 attach->refused, strerror(attach->refused_error));
		perf_cpu_log(self, PFC_LOG_WARNING, text);
	}
}

int32_t scope_open(struct perf_cpu *self, struct perf_refusal *refusal)
{
	struct pfc_target target;
	int32_t rc;

	refusal->status = PFC_OK;
	rc = prepare_target(self, &target);
	if (rc != PFC_OK) {
		return rc;
	}
	if (target.kind && strcmp(target.kind, "system") == 0) {
		rc = scope_open_like(self, &self->attach, PERF_SCOPE_CPUS, refusal);
	} else if (target.cgroup_path && target.cgroup_path[0]) {
		rc = open_group(self, &target, refusal);
	} else {
		rc = open_processes(self, &target, refusal);
	}
	if (rc == PFC_OK) {
		log_attached(self);
	}
	return rc;
}
