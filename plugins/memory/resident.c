/* SPDX-License-Identifier: MIT */
/*
 * The tier that is always there: what the kernel shows of any process. At each tick a row for each process and one for all;
 * PSS as often as its budget allows; the control group's figures; smaps by kind before and after. Nothing of it touches the
 * target but PSS and smaps, which hold its mmap_lock while they are read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resident.h"

/* Of one CPU: what ticks may use. Beyond, they come less often. */
#define TICK_SHARE 0.01

static int32_t resident_create(struct memory *memory, void **ret_self)
{
	struct resident *self = calloc(1, sizeof(*self));
	const struct pfc_host *host = memory->host;

	if (!self) {
		return host->fail(host->ctx, PFC_ENOMEM, "create memory", "out of memory", NULL);
	}
	self->group.folder_fd = self->group.pressure_fd = -1;
	self->interval_ns = (uint64_t)pfc_option_int(host, "interval", 100000000);
	self->pss_share = pfc_option_real(host, "pss_budget", 0.5) / 100.0;
	self->smaps = strcmp(pfc_option_text(host, "smaps", "auto"), "no") != 0;
	memory->processes = &self->processes;
	*ret_self = self;
	return PFC_OK;
}

static int32_t resident_probe(struct tier *tier)
{
	const struct pfc_host *host = tier_host(tier);
	struct resident *self = tier->self;
	struct pfc_target target = { .struct_size = sizeof(target) };
	struct plan *plan = &tier->memory->plan;
	char what[200];

	if (host->target(host->ctx, &target) != PFC_OK || target.pid_count == 0) {
		return host->fail(host->ctx, PFC_ETARGET, "find what to look at", "the target has no process",
				  "check that it still runs");
	}
	snprintf(what, sizeof(what),
		 "RSS, its anonymous, file and shared parts, swap, faults: %.3g times a second",
		 1e9 / (double)self->interval_ns);
	plan_sees(plan, what, "60 us of profcore's CPU a process and time, nothing of the target's");
	if (self->pss_share > 0) {
		snprintf(what, sizeof(what), "PSS, as often as %.3g %% of a CPU allows",
			 100 * self->pss_share);
		plan_sees(plan, what, "3-4 us a MiB, in which the process cannot map memory");
	} else {
		plan_lacks(plan, "PSS", "pss_budget is 0", NULL);
	}
	return PFC_OK;
}

static void plan_group(struct tier *tier)
{
	struct resident *self = tier->self;
	struct plan *plan = &tier->memory->plan;
	char what[300];

	if (self->group.folder_fd < 0) {
		plan_lacks(plan, "control group", self->group.why_not, NULL);
		return;
	}
	snprintf(what, sizeof(what), "memory of %s control group (version %d)%s",
		 self->group.is_shared ? "the first process's" : "the target's", self->group.version,
		 self->group.is_shared ? ", which holds other processes too" : "");
	plan_sees(plan, what, NULL);
	if (self->group.no_pressure[0]) {
		plan_lacks(plan, "memory pressure", self->group.no_pressure, NULL);
	}
}

static int32_t resident_prepare(struct tier *tier)
{
	const struct pfc_host *host = tier_host(tier);
	struct resident *self = tier->self;
	struct pfc_target target = { .struct_size = sizeof(target) };
	struct group_values values;
	int32_t rc;

	self->processes.watcher = &tier->memory->watcher;
	rc = processes_open(&self->processes, host);

	if (rc != PFC_OK) {
		return rc;
	}
	if (host->target(host->ctx, &target) == PFC_OK && target.pid_count) {
		bool own = target.cgroup_path && target.cgroup_path[0];

		if (group_open(&self->group, target.pids[0], own, "")) {
			(void)group_read(&self->group, &values);
		}
	}
	plan_group(tier);
	if (target.held) {
		plan_lacks(&tier->memory->plan, "memory by kind of mapping before the window",
			   "the target is launched at its begin", NULL);
		return PFC_OK;
	}
	return resident_add_kinds(tier, 0);
}

/* The target's container was started again or made anew, and has a process. */
static bool renew_group(struct tier *tier)
{
	const struct pfc_host *host = tier_host(tier);
	struct resident *self = tier->self;
	struct pfc_target target = { .struct_size = sizeof(target) };

	return host->target(host->ctx, &target) == PFC_OK && target.pid_count &&
	       group_renew(&self->group, target.pids[0], "");
}

static int32_t sample_group(struct tier *tier, uint64_t now_ns)
{
	struct resident *self = tier->self;
	struct group_values values;

	if (self->group.folder_fd < 0) {
		return PFC_OK;
	}
	if (!group_read(&self->group, &values) && !(renew_group(tier) && group_read(&self->group, &values))) {
		return PFC_OK;
	}
	return group_add(&self->group, &values, now_ns, &tier->memory->tables);
}

static int32_t sample_now(struct tier *tier, uint64_t now_ns)
{
	int32_t rc = resident_settle(tier);

	rc = rc ? rc : resident_sample(tier, now_ns);
	return rc ? rc : sample_group(tier, now_ns);
}

static int32_t resident_start(struct tier *tier, uint64_t t0_ns)
{
	struct resident *self = tier->self;
	uint64_t now_ns = resident_now(tier);
	int32_t rc = sample_now(tier, now_ns);

	self->processes.is_started = true;
	self->due_ns = t0_ns;
	self->pss_last_ns = now_ns;
	for (size_t i = 0; self->pss_share > 0 && i < self->processes.count && rc == PFC_OK; i++) {
		rc = resident_read_pss(tier, &self->processes.items[i]);
	}
	return rc;
}

static int resident_fd(struct tier *tier, uint32_t index)
{
	const struct resident *self = tier->self;

	return index == 0 ? processes_fd(&self->processes) : -1;
}

static int32_t resident_tick(struct tier *tier, uint64_t now_ns)
{
	struct resident *self = tier->self;
	uint64_t cost, wait = self->interval_ns;
	int32_t rc;

	if (now_ns < self->due_ns) {
		uint64_t ended = self->processes.ended;

		rc = processes_follow(&self->processes);
		/* A kill for lack of memory is counted now; the group of a container may be gone at the next tick. */
		return rc == PFC_OK && self->processes.ended != ended ? sample_group(tier, now_ns) : rc;
	}
	rc = sample_now(tier, now_ns);
	cost = resident_now(tier) - now_ns;
	if (rc == PFC_OK && self->pss_share > 0) {
		rc = resident_spend_on_pss(tier, now_ns);
	}
	self->ticks++;
	self->cost_ns += cost;
	self->max_cost_ns = cost > self->max_cost_ns ? cost : self->max_cost_ns;
	if ((double)cost > TICK_SHARE * (double)wait) {
		wait = (uint64_t)((double)cost / TICK_SHARE);
		wait = wait > 60000000000ull ? 60000000000ull : wait;
		self->late_ticks++;
	}
	/* On the grid of the window, so that two runs have their samples at the same places. */
	self->due_ns += wait;
	if (self->due_ns <= now_ns) {
		self->due_ns = now_ns + wait;
	}
	return rc;
}

static uint64_t resident_due(struct tier *tier)
{
	return ((struct resident *)tier->self)->due_ns;
}

static int32_t resident_stop(struct tier *tier, uint64_t t1_ns)
{
	struct resident *self = tier->self;
	int32_t rc = sample_now(tier, resident_now(tier));

	(void)t1_ns;
	for (size_t i = 0; self->pss_share > 0 && i < self->processes.count && rc == PFC_OK; i++) {
		rc = resident_read_pss(tier, &self->processes.items[i]);
	}
	return rc;
}

static void state_group(const struct resident *self, const struct pfc_writer *to)
{
	const struct group *group = &self->group;

	to->fact_text(to->ctx, "group.whose",
		      group->folder_fd < 0 ? "none"
		      : group->is_shared   ? "shared"
					   : "own");
	if (group->folder_fd < 0) {
		to->fact_text(to->ctx, "group.absent", group->why_not);
		return;
	}
	to->fact_number(to->ctx, "group.version", group->version);
	to->fact_text(to->ctx, "group.path", group->path);
	to->fact_number(to->ctx, "group.renewals", group->renewals);
	if (group->no_pressure[0]) {
		to->fact_text(to->ctx, "group.pressure_absent", group->no_pressure);
	}
	if (group->last.oom_kills >= 0 && group->first.oom_kills >= 0) {
		to->fact_number(to->ctx, "oom_kills",
				(double)(group->last.oom_kills - group->first.oom_kills));
	}
}

static int32_t resident_finish(struct tier *tier)
{
	struct resident *self = tier->self;
	const struct pfc_writer *to = tier->memory->tables.writer;
	int32_t rc = resident_settle(tier); /* the last ends come late */

	rc = rc ? rc : resident_add_kinds(tier, 1);
	to->fact_number(to->ctx, "ticks", (double)self->ticks);
	to->fact_number(to->ctx, "interval_ms", (double)self->interval_ns / 1e6);
	to->fact_number(to->ctx, "late_ticks", (double)self->late_ticks);
	to->fact_number(to->ctx, "tick_cost_us",
			self->ticks ? (double)self->cost_ns / 1e3 / (double)self->ticks : 0);
	to->fact_number(to->ctx, "tick_cost_max_us", (double)self->max_cost_ns / 1e3);
	to->fact_number(to->ctx, "pss_reads", (double)self->pss_reads);
	to->fact_number(to->ctx, "pss_cost_us",
			self->pss_reads ? (double)self->pss_cost_ns / 1e3 / (double)self->pss_reads : 0);
	to->fact_number(to->ctx, "pss_cost_max_us", (double)self->pss_max_cost_ns / 1e3);
	to->fact_number(to->ctx, "born", (double)self->processes.born);
	to->fact_number(to->ctx, "ended", (double)self->processes.ended);
	to->fact_number(to->ctx, "ended_unread", (double)self->processes.unread);
	state_group(self, to);
	if (rc == PFC_OK && self->peak_rss == 0) {
		return tier_host(tier)->fail(tier_host(tier)->ctx, PFC_ENODATA, "read the target's memory",
					     "none of its processes could be read at any tick",
					     "check that it runs during the window");
	}
	return rc;
}

static void resident_destroy(struct tier *tier)
{
	struct resident *self = tier->self;

	if (self) {
		processes_close(&self->processes);
		group_close(&self->group);
		tier->memory->processes = NULL;
		free(self);
	}
}

const struct tier_calls tier_resident = {
	.name = "resident",
	.create = resident_create,
	.probe = resident_probe,
	.prepare = resident_prepare,
	.start = resident_start,
	.fd = resident_fd,
	.tick = resident_tick,
	.due = resident_due,
	.stop = resident_stop,
	.finish = resident_finish,
	.destroy = resident_destroy,
};
