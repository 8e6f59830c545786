/* SPDX-License-Identifier: MIT */
/*
 * Stacks of the system calls that change mappings, by their tracepoints: who asked the kernel for memory, touched or not. The output
 * `maps` has what was asked for (mmap, growth of the break, growth by mremap), the table `map_calls` all five.
 *
 * As long as they are on, every system call of the machine takes the kernel's slower path, by some 100 ns; and each of these calls costs some 10 us.
 * So they are switched off for good where they come too often.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "listen.h"
#include "processes.h"
#include "tier.h"

#define RING_BYTES   (8u << 20)
#define STACK_BYTES  32768u /* a server with its buffers on the stack uses more than 16 KiB */
#define TICK_NS      100000000ull
#define IN_FLIGHT_NS 20000000ull
/* Calls a second beyond which this is no background any more: 2 % of a CPU. */
#define TOO_OFTEN 2000
/* In a record of sys_enter_...: the number at 8, six arguments from 16 on. */
#define ARGS_OFFSET 16

enum call { CALL_MMAP = 1, CALL_MUNMAP, CALL_BRK, CALL_MREMAP, CALL_MADVISE };

static const char *const words[] = { "syscalls:sys_enter_mmap", "syscalls:sys_enter_munmap",
				     "syscalls:sys_enter_brk", "syscalls:sys_enter_mremap",
				     "syscalls:sys_enter_madvise" };

struct mapcalls {
	struct listen listen;
	struct memory *memory;
	const struct pfc_stacks *stacks;
	struct pfc_stacks_session *session;
	uint64_t due_ns, second_ns, second_calls, calls, asked;
	bool is_stopped;
};

static int32_t mapcalls_create(struct memory *memory, void **ret_self)
{
	struct mapcalls *self = calloc(1, sizeof(*self));

	if (!self) {
		return memory->host->fail(memory->host->ctx, PFC_ENOMEM, "create memory", "out of memory",
					  NULL);
	}
	self->listen.host = memory->host;
	self->memory = memory;
	*ret_self = self;
	return PFC_OK;
}

static int choose(struct mapcalls *self, struct perf_refusal *refusal)
{
	struct perf_event_wish wish = {
		.frequency_hz = 1,
		.max_stack = 127,
		.callchain = true,
		.kernel = true,
		.user = true,
		.user_stack_bytes = PERF_USER_REGS != 0 && PFC_HAS(self->stacks, stack_use) ? STACK_BYTES : 0,
		.more_fields = PERF_SAMPLE_RAW
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && rc == 0; i++) {
		wish.name = words[i];
		rc = listen_choose(&self->listen, &wish, refusal);
	}
	return rc ? rc : listen_probe(&self->listen, refusal);
}

static int32_t mapcalls_probe(struct tier *tier)
{
	static const char what[] = "stacks of mmap, munmap, brk, mremap and madvise";
	struct mapcalls *self = tier->self;
	const struct pfc_host *host = tier_host(tier);
	struct perf_refusal refusal;
	char why[500];

	if (strcmp(pfc_option_text(host, "maps", "auto"), "no") == 0) {
		return tier_off(tier, what, "maps = no leaves them out", NULL);
	}
	self->stacks = host->extension(host->ctx, PFC_EXT_STACKS);
	if (!self->stacks) {
		return tier_off(tier, what, "this host has no " PFC_EXT_STACKS, "a newer profcore");
	}
	if (choose(self, &refusal) != 0) {
		snprintf(why, sizeof(why), "%s: %s", refusal.what, refusal.why);
		return tier_off(tier, what, why, refusal.hint[0] ? refusal.hint : NULL);
	}
	plan_sees(&tier->memory->plan, what,
		  "some 10 us for each of these calls, and 0.1 us for every system call of the machine");
	return PFC_OK;
}

static uint64_t arg(const struct perf_record_sample *sample, unsigned index)
{
	uint64_t value = 0;
	uint32_t at = ARGS_OFFSET + 8 * index;

	if (sample->raw && at + sizeof(value) <= sample->raw_bytes) {
		memcpy(&value, (const char *)sample->raw + at, sizeof(value));
	}
	return value;
}

/* What a call of brk asks for beyond what the process asked for before; 0 for the first that is seen. */
static uint64_t grown_break(struct mapcalls *self, int32_t pid, uint64_t wanted)
{
	struct process *process =
		self->memory->processes ? processes_find(self->memory->processes, pid) : NULL;
	uint64_t before = process ? process->last_break : 0;

	if (wanted == 0 || !process) {
		return 0;
	}
	process->last_break = wanted;
	return before && wanted > before ? wanted - before : 0;
}

static int32_t take(void *ctx, uint32_t event, const struct perf_record_sample *sample,
		    struct pfc_stack_sample *out)
{
	struct mapcalls *self = ctx;
	uint8_t call = (uint8_t)(event + 1), anonymous = 1;
	uint64_t address = arg(sample, 0), bytes = arg(sample, 1), asked = 0;
	const void *row[] = { &sample->time_ns, &sample->pid, &sample->tid, &call,
			      &address,         &bytes,       &anonymous };
	int32_t rc;

	self->calls++;
	if (call == CALL_MMAP) {
		anonymous = (arg(sample, 3) & MAP_ANONYMOUS) != 0;
		asked = anonymous && arg(sample, 2) != PROT_NONE
				? bytes
				: 0; /* what only keeps a place asks for no memory */
	} else if (call == CALL_BRK) {
		bytes = asked = grown_break(self, sample->pid, address);
	} else if (call == CALL_MREMAP) {
		asked = arg(sample, 2) > bytes ? arg(sample, 2) - bytes : 0;
		bytes = asked;
	}
	rc = tables_add(&self->memory->tables, TABLE_MAP_CALLS, row);
	if (rc != PFC_OK || asked == 0) {
		return rc;
	}
	self->asked += asked;
	out->weight = asked;
	return self->stacks->add(self->session, out);
}

static int32_t mapcalls_prepare(struct tier *tier)
{
	struct mapcalls *self = tier->self;
	const struct pfc_host *host = tier_host(tier);
	struct pfc_stacks_config config = { .struct_size = sizeof(config),
					    .port = "maps",
					    .event = "mmap, brk, mremap",
					    .weight_unit = "bytes" };
	struct perf_refusal refusal;
	int32_t rc;

	self->listen.take = take;
	self->listen.take_ctx = self;
	if (listen_open(&self->listen, RING_BYTES, &refusal) != 0) {
		return host->fail(host->ctx, refusal.status, refusal.what, refusal.why,
				  refusal.hint[0] ? refusal.hint : "maps = no leaves these stacks out");
	}
	rc = self->stacks->open(self->stacks->ctx, &config, &self->session);
	return rc == PFC_OK ? PFC_OK
			    : host->fail(host->ctx, rc, "open the stack service",
					 "it could not begin its output", NULL);
}

static int32_t mapcalls_start(struct tier *tier, uint64_t t0_ns)
{
	struct mapcalls *self = tier->self;

	self->due_ns = self->second_ns = t0_ns;
	listen_enable(&self->listen);
	return PFC_OK;
}

static int mapcalls_fd(struct tier *tier, uint32_t index)
{
	return listen_fd(&((struct mapcalls *)tier->self)->listen, index);
}

/* Too many of these calls: what was seen stands, and the report says when it ended. */
static void stop_if_often(struct tier *tier, uint64_t now_ns)
{
	struct mapcalls *self = tier->self;
	double seconds = now_ns > self->second_ns ? (double)(now_ns - self->second_ns) / 1e9 : 0;

	if (seconds < 1 || self->is_stopped) {
		return;
	}
	if ((double)(self->calls - self->second_calls) / seconds > TOO_OFTEN) {
		self->is_stopped = true;
		listen_disable(&self->listen);
		tier_host(tier)->log(tier_host(tier)->ctx, PFC_LOG_WARNING,
				     "the target changes its mappings thousands of times a second, "
				     "continuing without the stacks of it");
		tier->memory->tables.writer->fact_number(tier->memory->tables.writer->ctx,
							 "map_calls.stopped_s",
							 (double)(now_ns - tier->memory->t0_ns) / 1e9);
	}
	self->second_ns = now_ns;
	self->second_calls = self->calls;
}

static int32_t mapcalls_tick(struct tier *tier, uint64_t now_ns)
{
	struct mapcalls *self = tier->self;
	int32_t rc = listen_drain(&self->listen, now_ns);

	if (now_ns >= self->due_ns && rc == PFC_OK) {
		self->due_ns = now_ns + TICK_NS;
		rc = self->stacks->tick(self->session, now_ns - IN_FLIGHT_NS);
		stop_if_often(tier, now_ns);
	}
	return rc;
}

static uint64_t mapcalls_due(struct tier *tier)
{
	return ((struct mapcalls *)tier->self)->due_ns;
}

static int32_t mapcalls_stop(struct tier *tier, uint64_t t1_ns)
{
	struct mapcalls *self = tier->self;

	(void)t1_ns;
	listen_disable(&self->listen);
	return listen_drain(&self->listen, 0);
}

static int32_t mapcalls_finish(struct tier *tier)
{
	struct mapcalls *self = tier->self;
	const struct pfc_host *host = tier_host(tier);
	const struct pfc_writer *to = tier->memory->tables.writer;
	uint64_t counted, lost;
	int32_t rc;

	listen_count(&self->listen, &counted, &lost);
	if (lost) {
		host->loss(host->ctx, "maps", "ring_full", lost);
	}
	if (self->listen.garbled) {
		host->loss(host->ctx, "maps", "garbled", self->listen.garbled);
	}
	to->fact_number(to->ctx, "map_calls.count", (double)self->calls);
	to->fact_number(to->ctx, "map_calls.asked_bytes", (double)self->asked);
	rc = self->stacks->finish(self->session);
	if (rc == PFC_ENODATA) {
		tier_absent(tier->memory, "maps",
			    "the target asked for no memory by mmap, brk or mremap in the window");
		return PFC_OK;
	}
	return rc;
}

static void mapcalls_destroy(struct tier *tier)
{
	struct mapcalls *self = tier->self;

	if (self) {
		if (self->session) {
			self->stacks->close(self->session);
		}
		listen_close(&self->listen);
		free(self);
	}
}

static const char *const ports[] = { "maps", NULL };

const struct tier_calls tier_mapcalls = {
	.name = "map_calls",
	.create = mapcalls_create,
	.probe = mapcalls_probe,
	.prepare = mapcalls_prepare,
	.start = mapcalls_start,
	.fd = mapcalls_fd,
	.tick = mapcalls_tick,
	.due = mapcalls_due,
	.stop = mapcalls_stop,
	.finish = mapcalls_finish,
	.destroy = mapcalls_destroy,
	.ports = ports,
};
