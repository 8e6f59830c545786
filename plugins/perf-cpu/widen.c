/* SPDX-License-Identifier: MIT */
/* Short lives: see widen.h. */
#include "widen.h"

#include <string.h>

/* Too little CPU time to judge by, and the part of it that must be seen. */
#define LEAST_NS  100000000ull
#define SEEN_PART 2
/* Reading the counts takes a microsecond for each event. */
#define THREADS_MAX 256

void widen_prepare(struct perf_cpu *self)
{
	struct perf_event event = self->event;
	struct perf_refusal refusal;

	if (self->attach.scope != PERF_SCOPE_THREADS || self->attach.thread_count > THREADS_MAX ||
	    !event.is_clock || !event.kernel || !event.user ||
	    strcmp(pfc_option_text(self->host, "scope", "auto"), "auto") != 0) {
		return;
	}
	event.task = true;
	perf_attach_init(&self->wide, &event, self->rings, self->ring_count);
	if (perf_attach_cpus(&self->wide, &refusal) != 0) {
		perf_attach_close(&self->wide);
	}
}

bool widen_is_due(uint64_t weight, uint64_t counted)
{
	return counted >= LEAST_NS && weight < counted / SEEN_PART;
}

/* What was counted before the switch stays with the sets that counted it. */
static int switch_to_cpus(struct perf_cpu *self)
{
	struct drain *drain = &self->drain;
	struct pfc_target target;
	int rc;

	if (prepare_target(self, &target) != PFC_OK ||
	    members_init(&drain->members, target.pids, target.pid_count) != 0) {
		return 0;
	}
	perf_attach_disable(drain->attach);
	rc = drain_all(drain);
	self->weight_before = drain->weight;
	drain->adapt = NULL;
	drain->attach = &self->wide;
	perf_attach_enable(&self->wide);
	perf_cpu_log(self, PFC_LOG_WARNING,
		     "most of the target's CPU time is in threads that live shorter than a sampling period: "
		     "sampling whatever "
		     "runs on the CPUs from now on, and dropping what is not the target's");
	return rc;
}

int widen_step(struct perf_cpu *self)
{
	uint64_t counted = 0, counted_small = 0;
	int64_t lost;

	if (self->wide.thread_count == 0 || self->drain.attach == &self->wide) {
		return 0;
	}
	perf_attach_count(&self->attach, &counted, &lost);
	if (self->adapt.small) {
		perf_attach_count(&self->small, &counted_small, &lost);
	}
	return widen_is_due(self->drain.weight, counted + counted_small) ? switch_to_cpus(self) : 0;
}
