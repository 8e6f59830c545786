/* SPDX-License-Identifier: MIT */
/*
 * The tier that is always there: what the kernel shows of any process. At each tick a row for each process and one for all;
 * PSS as often as its budget allows; the control group's figures; smaps by kind before and after. Nothing of it touches the
 * target but PSS and smaps, which hold its mmap_lock while they are read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "processes.h"
#include "tier.h"

/* Of one CPU: what ticks may use. Beyond, they come less often. */
#define TICK_SHARE 0.01
/* PSS of a process that was not read yet is expected to cost so much: measured, 3-4 us for each MiB of 4 KiB pages. */
#define PSS_NS_PER_MIB 4000.0
/* Unused budget is kept for at most so long, so that a pause is not followed by a burst. */
#define PSS_SAVE_NS 1000000000ull
#define MIB         (1024.0 * 1024.0)

struct resident {
	struct processes processes;
	struct group group;
	uint64_t interval_ns, due_ns;
	uint64_t ticks, late_ticks, cost_ns, max_cost_ns;
	double pss_share; /* of a CPU */
	double pss_credit_ns;
	uint64_t pss_last_ns;
	uint64_t pss_reads, pss_cost_ns, pss_max_cost_ns;
	size_t pss_next; /* whose turn it is */
	bool smaps;
	uint64_t peak_rss;
};

static uint64_t now_of(const struct tier *tier)
{
	return tier_host(tier)->now(tier_host(tier)->ctx);
}

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

/* A row of `mappings` for each kind of a process. */
static int32_t add_kinds(struct tier *tier, const struct process *process, uint8_t moment, uint64_t now_ns)
{
	struct proc_kinds kinds;
	int32_t rc = PFC_OK;

	if (process->is_gone || !processes_read_kinds(process, &kinds)) {
		return PFC_OK;
	}
	for (uint8_t kind = 0; kind < MAPPING_KINDS && rc == PFC_OK; kind++) {
		const struct proc_smaps *s = &kinds.by_kind[kind];
		const void *row[] = {
			&now_ns, &process->pid, &moment,           &kind,    &kinds.count[kind], &s->size,
			&s->rss, &s->pss,       &s->private_dirty, &s->anon, &s->huge,           &s->swap
		};

		rc = kinds.count[kind] ? tables_add(&tier->memory->tables, TABLE_MAPPINGS, row) : PFC_OK;
	}
	return rc;
}

static int32_t add_all_kinds(struct tier *tier, uint8_t moment)
{
	struct resident *self = tier->self;
	int32_t rc = PFC_OK;

	for (size_t i = 0; self->smaps && i < self->processes.count && rc == PFC_OK; i++) {
		rc = add_kinds(tier, &self->processes.items[i], moment, now_of(tier));
	}
	return rc;
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
	return add_all_kinds(tier, 0);
}

static int32_t add_process(struct tier *tier, struct process *process)
{
	struct tables *tables = &tier->memory->tables;
	uint64_t now = process->born_ns ? process->born_ns : now_of(tier);
	uint32_t name = tables_string(tables, process->name);
	const void *row[] = { &now, &process->pid, &name };
	uint8_t kind = MEMORY_EVENT_BORN;
	uint64_t parent = (uint64_t)(process->parent > 0 ? process->parent : 0);
	uint32_t detail = 0;
	const void *event[] = { &now, &process->pid, &kind, &parent, &detail };
	bool is_born = process->is_new && process->born_ns;
	int32_t rc = tables_add(tables, TABLE_PROCESSES, row);

	process->is_new = process->is_renamed = false;
	return rc == PFC_OK && is_born ? tables_add(tables, TABLE_EVENTS, event) : rc;
}

static int32_t add_end(struct tier *tier, const struct process *process)
{
	uint8_t kind = MEMORY_EVENT_EXIT;
	uint32_t detail = 0;
	const void *event[] = { &process->gone_ns, &process->pid, &kind, &process->status.rss, &detail };

	return process->gone_ns ? tables_add(&tier->memory->tables, TABLE_EVENTS, event) : PFC_OK;
}

static int32_t add_sample(struct tier *tier, const struct process *process, uint64_t now_ns)
{
	const struct proc_status *s = &process->status;
	const void *row[] = { &now_ns,
			      &process->pid,
			      &s->rss,
			      &s->anon,
			      &s->file,
			      &s->shmem,
			      &s->swap,
			      &process->stat.minor_faults,
			      &process->stat.major_faults };

	return tables_add(&tier->memory->tables, TABLE_SAMPLES, row);
}

/* New names and ends, from what the tracker told. */
static int32_t settle_processes(struct tier *tier)
{
	struct resident *self = tier->self;
	int32_t rc = processes_follow(&self->processes);

	for (size_t i = 0; i < self->processes.count && rc == PFC_OK; i++) {
		struct process *process = &self->processes.items[i];

		if (process->is_new || process->is_renamed) {
			rc = add_process(tier, process);
		}
		if (process->is_gone && rc == PFC_OK) {
			rc = add_end(tier, process);
		}
	}
	processes_forget_gone(&self->processes);
	return rc;
}

static int32_t sample_all(struct tier *tier, uint64_t now_ns)
{
	struct resident *self = tier->self;
	struct proc_status sum = { 0 };
	uint64_t minor = self->processes.gone_minor, major = self->processes.gone_major;
	uint32_t alive = 0;
	int32_t rc = PFC_OK;

	for (size_t i = 0; i < self->processes.count && rc == PFC_OK; i++) {
		struct process *process = &self->processes.items[i];

		if (!processes_read(&self->processes, process)) {
			continue;
		}
		alive++;
		sum.rss += process->status.rss;
		sum.anon += process->status.anon;
		sum.file += process->status.file;
		sum.shmem += process->status.shmem;
		sum.swap += process->status.swap;
		minor += process->stat.minor_faults - process->first_stat.minor_faults;
		major += process->stat.major_faults - process->first_stat.major_faults;
		rc = add_sample(tier, process, now_ns);
	}
	if (rc == PFC_OK) {
		const void *row[] = { &now_ns,    &alive,    &sum.rss, &sum.anon, &sum.file,
				      &sum.shmem, &sum.swap, &minor,   &major };

		rc = tables_add(&tier->memory->tables, TABLE_TOTALS, row);
	}
	self->peak_rss = sum.rss > self->peak_rss ? sum.rss : self->peak_rss;
	tier_host(tier)->metric(tier_host(tier)->ctx, "rss", (double)sum.rss);
	tier_host(tier)->metric(tier_host(tier)->ctx, "processes", alive);
	return rc;
}

static int32_t read_pss(struct tier *tier, struct process *process)
{
	struct resident *self = tier->self;
	uint64_t now_ns = now_of(tier);
	const struct proc_smaps *r = &process->rollup;
	const void *row[] = { &now_ns,      &process->pid, &r->rss,       &r->pss,
			      &r->pss_anon, &r->pss_file,  &r->pss_shmem, &r->private_dirty,
			      &r->huge,     &r->swap,      &r->swap_pss,  &process->rollup_cost_ns };

	if (!processes_read_rollup(&self->processes, process, now_ns)) {
		return PFC_OK;
	}
	self->pss_reads++;
	self->pss_cost_ns += process->rollup_cost_ns;
	self->pss_max_cost_ns = process->rollup_cost_ns > self->pss_max_cost_ns ? process->rollup_cost_ns
										: self->pss_max_cost_ns;
	return tables_add(&tier->memory->tables, TABLE_PSS, row);
}

static double expected_ns(const struct process *process)
{
	double mib = (double)process->status.rss / MIB;
	double by_size = 20000.0 + mib * PSS_NS_PER_MIB;

	return process->rollup_ns && (double)process->rollup_cost_ns > by_size
		       ? (double)process->rollup_cost_ns
		       : by_size;
}

/* One process after the other, while there is credit. */
static int32_t spend_on_pss(struct tier *tier, uint64_t now_ns)
{
	struct resident *self = tier->self;
	double most = self->pss_share * (double)PSS_SAVE_NS;
	int32_t rc = PFC_OK;

	self->pss_credit_ns += self->pss_share * (double)(now_ns - self->pss_last_ns);
	self->pss_last_ns = now_ns;
	for (size_t tried = 0; tried < self->processes.count && rc == PFC_OK; tried++) {
		struct process *process;

		self->pss_next = self->pss_next < self->processes.count ? self->pss_next : 0;
		process = &self->processes.items[self->pss_next];
		if (process->has_sample && expected_ns(process) > self->pss_credit_ns) {
			/* What costs more than can be saved in a second is saved for: its credit alone is not cut. */
			most = expected_ns(process) > most ? expected_ns(process) : most;
			break;
		}
		self->pss_next++;
		rc = read_pss(tier, process);
		self->pss_credit_ns -= (double)process->rollup_cost_ns;
	}
	self->pss_credit_ns = self->pss_credit_ns < most ? self->pss_credit_ns : most;
	return rc;
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
	int32_t rc = settle_processes(tier);

	rc = rc ? rc : sample_all(tier, now_ns);
	return rc ? rc : sample_group(tier, now_ns);
}

static int32_t resident_start(struct tier *tier, uint64_t t0_ns)
{
	struct resident *self = tier->self;
	uint64_t now_ns = now_of(tier);
	int32_t rc = sample_now(tier, now_ns);

	self->processes.is_started = true;
	self->due_ns = t0_ns;
	self->pss_last_ns = now_ns;
	for (size_t i = 0; self->pss_share > 0 && i < self->processes.count && rc == PFC_OK; i++) {
		rc = read_pss(tier, &self->processes.items[i]);
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
	cost = now_of(tier) - now_ns;
	if (rc == PFC_OK && self->pss_share > 0) {
		rc = spend_on_pss(tier, now_ns);
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
	int32_t rc = sample_now(tier, now_of(tier));

	(void)t1_ns;
	for (size_t i = 0; self->pss_share > 0 && i < self->processes.count && rc == PFC_OK; i++) {
		rc = read_pss(tier, &self->processes.items[i]);
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
	int32_t rc = settle_processes(tier); /* the last ends come late */

	rc = rc ? rc : add_all_kinds(tier, 1);
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
