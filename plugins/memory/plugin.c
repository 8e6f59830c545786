/* SPDX-License-Identifier: MIT */
/*
 * memory: who grew, who faulted, who leaked. This file is the life cycle and the window's loop; what is seen, and how, is in
 * the tiers (tier.h), and what is written in tables.c.
 */
#include <profcore/profcore.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tier.h"

PFC_MANIFEST("manifest.ini");

/* Descriptors of all tiers together: a ring for each CPU, the tracker's stream. */
#define FDS_MAX 1100

static const struct tier_calls *const calls[] = { &tier_resident, &tier_faults, &tier_mapcalls, &tier_heap };

#define TIERS (sizeof(calls) / sizeof(calls[0]))

struct self {
	struct memory memory;
	struct tier tiers[TIERS];
	struct pollfd polls[FDS_MAX];
	uint32_t owners[FDS_MAX]; /* tier of each descriptor; [0] is the stop descriptor */
	uint32_t poll_count;
};

static void destroy(void *ctx)
{
	struct self *self = ctx;

	if (!self) {
		return;
	}
	for (size_t i = TIERS; i-- > 0;) {
		if (self->tiers[i].calls && self->tiers[i].calls->destroy) {
			self->tiers[i].calls->destroy(&self->tiers[i]);
		}
	}
	tables_close(&self->memory.tables);
	free(self);
}

static int32_t create(const struct pfc_host *host, void **ret_self)
{
	struct self *self = calloc(1, sizeof(*self));
	struct pfc_value mode = { .struct_size = sizeof(mode) };
	int32_t rc = PFC_OK;

	if (!self) {
		return host->fail(host->ctx, PFC_ENOMEM, "create memory", "out of memory", NULL);
	}
	self->memory.host = host;
	self->memory.tiers = self->tiers;
	self->memory.tier_count = TIERS;
	if (host->option(host->ctx, "mode", &mode) == PFC_OK) {
		self->memory.mode = (enum memory_mode)mode.integer;
	}
	for (size_t i = 0; i < TIERS && rc == PFC_OK; i++) {
		self->tiers[i].calls = calls[i];
		self->tiers[i].memory = &self->memory;
		rc = calls[i]->create ? calls[i]->create(&self->memory, &self->tiers[i].self) : PFC_OK;
	}
	if (rc != PFC_OK) {
		destroy(self);
		return rc;
	}
	*ret_self = self;
	return PFC_OK;
}

/* One callback of all tiers that are on, until one fails. */
#define FOR_TIERS(self, callback, ...)                                                                       \
	for (size_t tier_i = 0; tier_i < TIERS && rc == PFC_OK; tier_i++) {                                  \
		struct tier *tier = &(self)->tiers[tier_i];                                                  \
                                                                                                             \
		if (!tier->is_off && tier->calls->callback) {                                                \
			rc = tier->calls->callback(__VA_ARGS__);                                             \
		}                                                                                            \
	}

static int32_t probe(void *ctx)
{
	struct self *self = ctx;
	const struct pfc_host *host = self->memory.host;
	int32_t rc = PFC_OK;

	if (pfc_option_int(host, "inject", 0)) {
		return host->fail(host->ctx, PFC_ENOTSUP, "inject = yes",
				  "putting the sampler into a target that runs is not there yet",
				  "launch the target (command), or leave inject out");
	}
	FOR_TIERS(self, probe, tier)
	return rc;
}

static int32_t prepare(void *ctx)
{
	struct self *self = ctx;
	const struct pfc_host *host = self->memory.host;
	int32_t rc = tables_open(&self->memory.tables, host);

	if (rc != PFC_OK) {
		return host->fail(host->ctx, rc, "declare the tables of the timeline",
				  "the host refused them", NULL);
	}
	FOR_TIERS(self, prepare, tier)
	if (rc == PFC_OK) {
		plan_log(&self->memory.plan, host);
	}
	return rc;
}

static void list_descriptors(struct self *self)
{
	self->polls[0] =
		(struct pollfd){ .fd = self->memory.host->stop_fd(self->memory.host->ctx), .events = POLLIN };
	self->poll_count = 1;
	for (uint32_t i = 0; i < TIERS; i++) {
		int fd = 0;

		for (uint32_t n = 0;
		     !self->tiers[i].is_off && self->tiers[i].calls->fd && self->poll_count < FDS_MAX; n++) {
			fd = self->tiers[i].calls->fd(&self->tiers[i], n);
			if (fd < 0) {
				break;
			}
			self->owners[self->poll_count] = i;
			self->polls[self->poll_count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
		}
	}
}

static int32_t start(void *ctx, uint64_t t0_ns)
{
	struct self *self = ctx;
	int32_t rc = PFC_OK;

	self->memory.t0_ns = t0_ns;
	FOR_TIERS(self, start, tier, t0_ns)
	list_descriptors(self);
	return rc;
}

static uint64_t next_due(struct self *self)
{
	uint64_t due = UINT64_MAX;

	for (size_t i = 0; i < TIERS; i++) {
		struct tier *tier = &self->tiers[i];
		uint64_t its = !tier->is_off && tier->calls->due ? tier->calls->due(tier) : UINT64_MAX;

		due = its < due ? its : due;
	}
	return due;
}

static int wait_ms(uint64_t due_ns, uint64_t now_ns)
{
	uint64_t ms = due_ns > now_ns ? (due_ns - now_ns + 999999) / 1000000 : 0;

	return ms > 1000 ? 1000 : (int)ms;
}

/* Tiers with something to read, and those whose time has come. */
static int32_t serve(struct self *self, uint64_t now_ns)
{
	bool is_ready[TIERS] = { false };
	int32_t rc = PFC_OK;

	for (uint32_t i = 1; i < self->poll_count; i++) {
		is_ready[self->owners[i]] |= self->polls[i].revents != 0;
		if (self->polls[i].revents &
		    (POLLHUP | POLLERR | POLLNVAL)) { /* its stream has ended: never again */
			self->polls[i].fd = -1;
		}
	}
	for (size_t i = 0; i < TIERS && rc == PFC_OK; i++) {
		struct tier *tier = &self->tiers[i];

		if (!tier->is_off && tier->calls->tick &&
		    (is_ready[i] || (tier->calls->due && tier->calls->due(tier) <= now_ns))) {
			rc = tier->calls->tick(tier, now_ns);
		}
	}
	return rc;
}

static int32_t run(void *ctx)
{
	struct self *self = ctx;
	const struct pfc_host *host = self->memory.host;
	uint64_t committed_ns = host->now(host->ctx);
	int32_t rc = PFC_OK;

	while (rc == PFC_OK && self->polls[0].revents == 0) {
		uint64_t now_ns = host->now(host->ctx);

		if (poll(self->polls, self->poll_count, wait_ms(next_due(self), now_ns)) < 0 &&
		    errno != EINTR) {
			return host->fail(host->ctx, PFC_EIO, "wait for the next sample", strerror(errno),
					  NULL);
		}
		now_ns = host->now(host->ctx);
		rc = serve(self, now_ns);
		if (rc == PFC_OK && now_ns - committed_ns > 1000000000u) {
			committed_ns = now_ns;
			rc = self->memory.tables.writer->commit(self->memory.tables.writer->ctx);
		}
	}
	return rc;
}

static int32_t stop(void *ctx, uint64_t t1_ns)
{
	struct self *self = ctx;
	int32_t rc = PFC_OK;

	self->memory.t1_ns = t1_ns;
	FOR_TIERS(self, stop, tier, t1_ns)
	return rc;
}

static int32_t finish(void *ctx)
{
	struct self *self = ctx;
	int32_t rc = PFC_OK;

	plan_keep(&self->memory.plan, self->memory.tables.writer);
	if (self->memory.lacks[0]) {
		self->memory.tables.writer->fact_text(self->memory.tables.writer->ctx, "partial",
						      self->memory.lacks);
	}
	FOR_TIERS(self, finish, tier)
	for (size_t i = 0; i < TIERS && rc == PFC_OK; i++) {
		for (const char *const *port = self->tiers[i].calls->ports;
		     self->tiers[i].is_off && port && *port; port++) {
			tier_absent(&self->memory, *port, self->tiers[i].why_off);
		}
	}
	return rc;
}

const struct pfc_plugin *pfc_plugin_v1(const struct pfc_host *host)
{
	static const struct pfc_plugin plugin = {
		.struct_size = sizeof(plugin),
		.create = create,
		.probe = probe,
		.prepare = prepare,
		.start = start,
		.run = run,
		.stop = stop,
		.finish = finish,
		.destroy = destroy,
	};

	return host->struct_size >= PFC_HOST_FOUNDING_BYTES ? &plugin : NULL;
}
