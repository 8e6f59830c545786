/* SPDX-License-Identifier: MIT */
/*
 * strace: what the target's threads wait for. A back-end observes (backend.h), the account adds up (account.h), tables.c writes,
 * and the host's stack service knows all about stacks. This file is the life cycle.
 */
#include <profcore/profcore.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "fds.h"
#include "tables.h"

PFC_MANIFEST("manifest.ini");

#define FDS_KEPT 4096 /* names of descriptors, about 1 MiB */

static const struct {
	const char *port, *event, *absent;
} stacks_outputs[STACKS_KINDS] = {
	[STACKS_OFF_CPU] = { "stacks", "off-cpu", "no wait lasted min_wait" },
	[STACKS_WAKERS] = { "wakers", "waking", "no wait that lasted min_wait was ended by a thread" },
	[STACKS_SLOW] = { "slow", "slow call", "no call was kept as slow (calls = all, slow)" },
};

struct strace {
	struct tracer tracer;
	const struct backend *backend;
	void *state; /* the back-end's */
	uint64_t t1_ns;
};

static void log_text(const struct strace *self, uint32_t level, const char *text)
{
	self->tracer.host->log(self->tracer.host->ctx, level, text);
}

static int32_t fail(const struct strace *self, const struct refusal *refusal)
{
	const struct pfc_host *host = self->tracer.host;

	return host->fail(host->ctx, refusal->status, refusal->what, refusal->why,
			  refusal->hint[0] ? refusal->hint : NULL);
}

static int32_t strace_create(const struct pfc_host *host, void **ret_self)
{
	struct strace *self = calloc(1, sizeof(*self));
	struct settings *settings;

	if (!self) {
		return host->fail(host->ctx, PFC_ENOMEM, "create strace", "out of memory", NULL);
	}
	self->tracer.host = host;
	settings = &self->tracer.settings;
	settings->calls = (enum calls_mode)pfc_option_int(host, "calls", CALLS_BLOCKED);
	settings->slow_ns = (uint64_t)pfc_option_int(host, "slow", 1000000);
	settings->slow_limit = (uint64_t)pfc_option_int(host, "slow_limit", 100000);
	settings->min_wait_ns = (uint64_t)pfc_option_int(host, "min_wait", 1000000);
	settings->stack_bytes = (uint32_t)pfc_option_int(host, "stack_bytes", 32 << 10);
	settings->stack_rate = (uint32_t)pfc_option_int(host, "stack_rate", 2000);
	settings->threads = (uint32_t)pfc_option_int(host, "threads", 65536);
	settings->ring_bytes = (uint32_t)pfc_option_int(host, "ring", 16 << 20);
	settings->stacks_at_switch = strcmp(pfc_option_text(host, "stack_at", "auto"), "switch") == 0;
	settings->force = pfc_option_int(host, "force", 0) != 0;
	*ret_self = self;
	return PFC_OK;
}

/* The back-end that was asked for, or the first that works; each refusal on the way is said. */
static int32_t choose(struct strace *self)
{
	const char *wanted = pfc_option_text(self->tracer.host, "backend", "auto");
	bool is_auto = strcmp(wanted, "auto") == 0;
	struct refusal refusal;
	char text[900];

	refusal_set(&refusal, PFC_ENOTSUP, "find a back-end", "this build of profcore has none of that name",
		    "see the summary of its build for what was left out");
	for (size_t i = 0; backends[i]; i++) {
		if (!is_auto && strcmp(backends[i]->name, wanted) != 0) {
			continue;
		}
		if (backends[i]->probe(&self->tracer, &refusal) == PFC_OK) {
			self->backend = backends[i];
			if (is_auto &&
			    strcmp(backends[i]->name, "ptrace") == 0) { /* the plan could not know */
				log_text(self, PFC_LOG_WARNING,
					 "backend = auto came to ptrace, which stops the target at each "
					 "call: CPU shares "
					 "that are measured in the same window are those of a slowed target");
			}
			return PFC_OK;
		}
		if (is_auto && backends[i + 1]) {
			snprintf(text, sizeof(text), "%s: %s, continuing without the back-end %s",
				 refusal.what, refusal.why, backends[i]->name);
			log_text(self, PFC_LOG_WARNING, text);
		}
	}
	return fail(self, &refusal);
}

static int32_t strace_probe(void *ctx)
{
	struct strace *self = ctx;
	struct pfc_target target = { .struct_size = sizeof(target) };
	const struct pfc_host *host = self->tracer.host;

	if (host->target(host->ctx, &target) != PFC_OK) {
		return host->fail(host->ctx, PFC_ETARGET, "find what to trace", "the run has no target",
				  "add a [target] section with pid, process, container or command");
	}
	return choose(self);
}

static int32_t open_session(struct strace *self, enum stacks_kind kind)
{
	const struct pfc_host *host = self->tracer.host;
	struct pfc_stacks_config config = { .struct_size = sizeof(config),
					    .port = stacks_outputs[kind].port,
					    .event = stacks_outputs[kind].event,
					    .weight_unit = "ns" };
	int32_t rc =
		self->tracer.stacks->open(self->tracer.stacks->ctx, &config, &self->tracer.sessions[kind]);

	return rc == PFC_OK ? rc
			    : host->fail(host->ctx, rc, "open the stack service",
					 "it could not begin its output", stacks_outputs[kind].port);
}

/* Without the service there are no stacks, but everything else. */
static int32_t open_sessions(struct strace *self)
{
	const struct pfc_host *host = self->tracer.host;
	int32_t rc = PFC_OK;

	self->tracer.stacks = host->extension(host->ctx, PFC_EXT_STACKS);
	if (!self->tracer.stacks) {
		log_text(self, PFC_LOG_WARNING,
			 "this host has no " PFC_EXT_STACKS ", continuing without stacks");
		return PFC_OK;
	}
	for (int kind = 0; kind < STACKS_KINDS && rc == PFC_OK; kind++) {
		rc = open_session(self, (enum stacks_kind)kind);
	}
	return rc;
}

static int32_t strace_prepare(void *ctx)
{
	struct strace *self = ctx;
	const struct pfc_host *host = self->tracer.host;
	struct refusal refusal;
	int32_t rc;

	self->tracer.account = account_create();
	if (!self->tracer.account) {
		return host->fail(host->ctx, PFC_ENOMEM, "prepare the accounts", "out of memory", NULL);
	}
	self->tracer.fds = fds_create(FDS_KEPT);
	rc = tables_open(host, &self->tracer.tables);
	if (rc != PFC_OK) {
		return host->fail(host->ctx, rc, "declare the tables of syscalls", "the host refused them",
				  NULL);
	}
	rc = open_sessions(self);
	if (rc == PFC_OK && self->backend->open(&self->tracer, &self->state, &refusal) != PFC_OK) {
		rc = fail(self, &refusal);
	}
	return rc;
}

static int32_t strace_start(void *ctx, uint64_t t0_ns)
{
	struct strace *self = ctx;

	return self->backend->start(self->state, t0_ns);
}

static int32_t strace_run(void *ctx)
{
	struct strace *self = ctx;

	return self->backend->run(self->state);
}

static int32_t strace_stop(void *ctx, uint64_t t1_ns)
{
	struct strace *self = ctx;

	self->t1_ns = t1_ns;
	return self->backend->stop(self->state, t1_ns);
}

static void state_facts(struct strace *self)
{
	static const char *const words[] = { "off", "blocked", "all" };
	struct tracer *tracer = &self->tracer;
	const struct pfc_host *host = tracer->host;

	tracer_fact_text(tracer, "backend", self->backend->name);
	tracer_fact_text(tracer, "calls", words[tracer->settings.calls]);
	tracer_fact(tracer, "slow_ns", (double)tracer->settings.slow_ns);
	tracer_fact(tracer, "min_wait_ns", (double)tracer->settings.min_wait_ns);
	if (tracer->slow_lost) {
		host->loss(host->ctx, "syscalls", "slow_limit", tracer->slow_lost);
	}
}

/* The books of a target that did nothing at all still have its threads: no row at all means that nothing was seen. */
static int32_t write_tables(struct strace *self)
{
	const struct pfc_host *host = self->tracer.host;
	const struct thread *const *threads;
	const struct cell *const *cells;
	int32_t rc = tables_account(self->tracer.tables, self->tracer.account);

	if (rc != PFC_OK) {
		return host->fail(host->ctx, rc, "write the tables of syscalls", "the host refused them",
				  NULL);
	}
	if (account_threads(self->tracer.account, &threads) + account_cells(self->tracer.account, &cells) ==
	    0) {
		return host->fail(host->ctx, PFC_ENODATA, "trace the target",
				  "no thread of it was seen in the window",
				  "check that it still runs, or make the window longer (run.duration)");
	}
	return PFC_OK;
}

/* These outputs are optional: nothing that waited so long is an answer. */
static int32_t say_absent(struct strace *self, enum stacks_kind kind)
{
	const struct pfc_host *host = self->tracer.host;
	const struct pfc_writer *writer;
	char text[160];

	if (host->output(host->ctx, stacks_outputs[kind].port, &writer) == PFC_OK) {
		snprintf(text, sizeof(text), "%s%s", stacks_outputs[kind].absent,
			 strcmp(self->backend->name, "bpf") == 0
				 ? ""
				 : ", or this back-end could not take its stack");
		writer->fact_text(writer->ctx, "absent", text);
	}
	return PFC_OK;
}

static int32_t finish_session(struct strace *self, enum stacks_kind kind)
{
	const struct pfc_host *host = self->tracer.host;
	int32_t rc = self->tracer.sessions[kind] ? self->tracer.stacks->finish(self->tracer.sessions[kind])
						 : PFC_OK;

	if (rc == PFC_ENODATA) {
		return say_absent(self, kind);
	}
	return rc == PFC_OK
		       ? rc
		       : host->fail(host->ctx, rc, "finish the stacks", "the stack service failed", NULL);
}

static int32_t strace_finish(void *ctx)
{
	struct strace *self = ctx;
	int32_t rc = self->backend->finish(self->state);

	if (rc != PFC_OK) {
		return rc;
	}
	state_facts(self);
	rc = write_tables(self);
	for (int kind = 0; kind < STACKS_KINDS && rc == PFC_OK; kind++) {
		rc = finish_session(self, (enum stacks_kind)kind);
	}
	return rc;
}

static void strace_destroy(void *ctx)
{
	struct strace *self = ctx;

	if (!self) {
		return;
	}
	if (self->state) {
		self->backend->close(self->state);
	}
	for (size_t kind = 0; kind < STACKS_KINDS; kind++) {
		if (self->tracer.sessions[kind]) {
			self->tracer.stacks->close(self->tracer.sessions[kind]);
		}
	}
	tables_close(self->tracer.tables);
	fds_destroy(self->tracer.fds);
	account_destroy(self->tracer.account);
	free(self);
}

const struct pfc_plugin *pfc_plugin_v1(const struct pfc_host *host)
{
	static const struct pfc_plugin plugin = {
		.struct_size = sizeof(plugin),
		.create = strace_create,
		.probe = strace_probe,
		.prepare = strace_prepare,
		.start = strace_start,
		.run = strace_run,
		.stop = strace_stop,
		.finish = strace_finish,
		.destroy = strace_destroy,
	};

	return host->struct_size >= PFC_HOST_FOUNDING_BYTES ? &plugin : NULL;
}
