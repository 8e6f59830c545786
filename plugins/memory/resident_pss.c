/* SPDX-License-Identifier: MIT */
/* PSS, as often as its budget allows: reading it holds the process's mmap_lock. */
#include "resident.h"

/* PSS of a process that was not read yet is expected to cost so much: measured, 3-4 us for each MiB of 4 KiB pages. */
#define PSS_NS_PER_MIB 4000.0
/* Unused budget is kept for at most so long, so that a pause is not followed by a burst. */
#define PSS_SAVE_NS 1000000000ull
#define MIB         (1024.0 * 1024.0)

int32_t resident_read_pss(struct tier *tier, struct process *process)
{
	struct resident *self = tier->self;
	uint64_t now_ns = resident_now(tier);
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
int32_t resident_spend_on_pss(struct tier *tier, uint64_t now_ns)
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
		rc = resident_read_pss(tier, process);
		self->pss_credit_ns -= (double)process->rollup_cost_ns;
	}
	self->pss_credit_ns = self->pss_credit_ns < most ? self->pss_credit_ns : most;
	return rc;
}
