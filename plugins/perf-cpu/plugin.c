/* SPDX-License-Identifier: MIT */
/*
 * perf-cpu: where the target spends CPU time. The kernel samples (lib/perf) into rings; the window's loop (drain.c) feeds them to
 * the host's stack service, which knows all about stacks and symbols. This file is the life cycle.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "perf_cpu.h"

PFC_MANIFEST("manifest.ini");

int32_t perf_cpu_fail(const struct perf_cpu *self, const struct perf_refusal *refusal)
{
	const struct pfc_host *host = self->host;

	return host->fail(host->ctx, refusal->status, refusal->what, refusal->why,
			  refusal->hint[0] ? refusal->hint : NULL);
}

void perf_cpu_log(const struct perf_cpu *self, uint32_t level, const char *text)
{
	self->host->log(self->host->ctx, level, text);
}

static int32_t perf_cpu_create(const struct pfc_host *host, void **ret_self)
{
	struct perf_cpu *self = calloc(1, sizeof(*self));
	int32_t rc;

	if (!self) {
		return host->fail(host->ctx, PFC_ENOMEM, "create perf-cpu", "out of memory", NULL);
	}
	self->host = host;
	rc = settings_read(self);
	if (rc != PFC_OK) {
		free(self);
		return rc;
	}
	*ret_self = self;
	return PFC_OK;
}

/* Whether the target's root process may be sampled, which being allowed to sample ourselves does not tell. */
static int32_t probe_target(const struct perf_cpu *self)
{
	struct perf_event_attr attr;
	struct pfc_target target;
	struct perf_refusal refusal;
	int32_t rc = prepare_target(self, &target);
	int fd;

	if (rc != PFC_OK) {
		return rc;
	}
	perf_event_fill(&self->event, &attr);
	fd = perf_event_open(&attr, target.pids[0], -1);
	if (fd < 0) {
		perf_refusal_explain(-fd, self->event.name, target.pids[0], -1, &refusal);
		return perf_cpu_fail(self, &refusal);
	}
	close(fd);
	return PFC_OK;
}

static int32_t perf_cpu_probe(void *ctx)
{
	struct perf_cpu *self = ctx;
	int32_t rc = settings_probe(self);

	return rc == PFC_OK ? probe_target(self) : rc;
}

static int32_t perf_cpu_prepare(void *ctx)
{
	return prepare_all(ctx);
}

static uint64_t own_cpu_ns(void)
{
	struct timespec used = { 0, 0 };

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static int32_t perf_cpu_start(void *ctx, uint64_t t0_ns)
{
	struct perf_cpu *self = ctx;

	self->adapt.start_ns = t0_ns;
	self->own_cpu_ns = own_cpu_ns();
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
	int32_t rc;

	perf_attach_disable(self->drain.attach);
	counters_control(&self->counters, false);
	rc = drain_all(&self->drain);
	self->own_cpu_ns = own_cpu_ns() - self->own_cpu_ns;
	return rc;
}

static int32_t perf_cpu_finish(void *ctx)
{
	return finish_all(ctx);
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
	perf_attach_close(&self->wide);
	for (uint32_t i = 0; i < self->ring_count; i++) {
		perf_ring_close(&self->rings[i]);
	}
	free(self->rings);
	counters_close(&self->counters);
	members_finish(&self->drain.members);
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
