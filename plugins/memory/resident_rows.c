/* SPDX-License-Identifier: MIT */
/* What is written of each process: names, ends, a sample at each tick, memory by kind of mapping. */
#include "resident.h"

#include <string.h>

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

int32_t resident_add_kinds(struct tier *tier, uint8_t moment)
{
	struct resident *self = tier->self;
	int32_t rc = PFC_OK;

	for (size_t i = 0; self->smaps && i < self->processes.count && rc == PFC_OK; i++) {
		rc = add_kinds(tier, &self->processes.items[i], moment, resident_now(tier));
	}
	return rc;
}

static int32_t add_process(struct tier *tier, struct process *process)
{
	struct tables *tables = &tier->memory->tables;
	uint64_t now = process->born_ns ? process->born_ns : resident_now(tier);
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
int32_t resident_settle(struct tier *tier)
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

/*
 * What the heap's sampler brought along is not the program's. How much of it each of several processes has touched is not known:
 * there it stays in, and the fact `sampler_bytes` tells.
 */
static bool read_process(struct tier *tier, struct process *process)
{
	struct resident *self = tier->self;
	struct proc_status *status = &process->status;
	bool is_first = !process->has_sample;
	uint64_t own = tier->memory->sampler_bytes;

	if (!processes_read(&self->processes, process)) {
		return false;
	}
	if (self->processes.count == 1) {
		own = own < status->shmem ? own : status->shmem;
		status->shmem -= own;
		status->rss -= own < status->rss ? own : status->rss;
		process->first = is_first ? *status : process->first;
	}
	return true;
}

int32_t resident_sample(struct tier *tier, uint64_t now_ns)
{
	struct resident *self = tier->self;
	struct proc_status sum = { 0 };
	uint64_t minor = self->processes.gone_minor, major = self->processes.gone_major;
	uint32_t alive = 0;
	int32_t rc = PFC_OK;

	for (size_t i = 0; i < self->processes.count && rc == PFC_OK; i++) {
		struct process *process = &self->processes.items[i];

		if (!read_process(tier, process)) {
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
