/* SPDX-License-Identifier: MIT */
/* The end of the window: what the programs added up goes into the account. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf_state.h"
#include "programs.skel.h"

/* ---- books of threads that live ---- */

/* Add the time since the last change to the state that lasts. */
static void settle(struct slot *slot, uint64_t from_ns, uint64_t end_ns)
{
	uint64_t since = slot->since_ns > from_ns ? slot->since_ns : from_ns;
	uint64_t spent = end_ns > since ? end_ns - since : 0;

	switch (slot->state) {
	case SLOT_ON_CPU:
		slot->on_cpu_ns += spent;
		break;
	case SLOT_RUN_QUEUE:
		slot->wait_ns[CAUSE_RUN_QUEUE] += spent;
		break;
	case SLOT_PREEMPTED:
		slot->wait_ns[CAUSE_PREEMPTED] += spent;
		break;
	case SLOT_BLOCKED:
		slot->wait_ns[slot->wait_cause < CAUSES ? slot->wait_cause : CAUSE_OTHER] += spent;
		break;
	default:
		break;
	}
}

static struct wait *wait_of(struct bpf_state *state, int32_t pid, uint32_t key)
{
	uint32_t cause = (key & (KEY_COMPAT - 1)) - KEY_CAUSES;

	return account_wait(state->tracer->account, pid,
			    cause < WAIT_CAUSES ? (enum wait_cause)cause : WAIT_OTHER);
}

static bool is_cause(uint32_t key)
{
	key &= KEY_COMPAT - 1;
	return key > KEY_CAUSES && key < KEY_UNKNOWN;
}

/* A wait that lasts still at the end: it is no less a wait. */
static int keep_open_wait(struct bpf_state *state, const struct slot *slot)
{
	uint64_t since = slot->since_ns > state->from_ns ? slot->since_ns : state->from_ns;
	uint64_t spent = state->end_ns > since ? state->end_ns - since : 0;
	struct wait *wait;
	struct cell *cell;
	uint32_t abi;
	int32_t nr;

	if (slot->state != SLOT_BLOCKED || slot->is_held || spent == 0) {
		return PFC_OK;
	}
	if (is_cause(slot->wait_key)) {
		wait = wait_of(state, (int32_t)slot->tgid, slot->wait_key);
		if (!wait) {
			return PFC_ENOMEM;
		}
		wait_add(wait, spent);
		return PFC_OK;
	}
	bpf_key(slot->wait_key, &abi, &nr);
	cell = account_cell(state->tracer->account, slot->group ? (int32_t)slot->tgid : 0, abi, nr);
	if (!cell) {
		return PFC_ENOMEM;
	}
	cell_add_wait(cell, spent, 0);
	return PFC_OK;
}

static int keep_living(struct bpf_state *state, uint64_t *ret_threads)
{
	int rc = PFC_OK;

	*ret_threads = 0;
	for (uint32_t i = 0; i < state->slot_count && rc == PFC_OK; i++) {
		struct slot slot;

		if (state->slots[i].tid == 0) {
			continue;
		}
		memcpy(&slot, &state->slots[i], sizeof(slot));
		rc = keep_open_wait(state, &slot);
		settle(&slot, state->from_ns, state->end_ns);
		if (rc == PFC_OK) {
			rc = bpf_keep_book(state, &slot, state->end_ns, false);
		}
		(*ret_threads)++;
	}
	return rc;
}

/* ---- cells ---- */

static void add_call_part(struct cell *cell, const struct bpf_cell *part)
{
	if (part->calls && (cell->calls == 0 || part->min_ns < cell->min_ns)) {
		cell->min_ns = part->min_ns;
	}
	cell->max_ns = part->max_ns > cell->max_ns ? part->max_ns : cell->max_ns;
	cell->max_wait_ns = part->max_wait_ns > cell->max_wait_ns ? part->max_wait_ns : cell->max_wait_ns;
	cell->calls += part->calls;
	cell->zeros += part->zeros;
	cell->total_ns += part->total_ns;
	cell->waits += part->waits;
	cell->blocked_ns += part->blocked_ns;
	cell->runnable_ns += part->runnable_ns;
	for (size_t i = 0; i < BUCKET_COUNT; i++) {
		cell->call_buckets[i] += part->call_buckets[i];
		cell->wait_buckets[i] += part->wait_buckets[i];
	}
	for (size_t i = 0; i < ERROR_PLACES && part->error_count[i]; i++) {
		cell_add_errors(cell, (int32_t)part->error_number[i], part->error_count[i]);
	}
	for (uint64_t told = 0, i = 0; i <= ERROR_PLACES; i++) {
		if (i == ERROR_PLACES) {
			cell->errors += part->errors - told;
		} else {
			told += part->error_count[i];
		}
	}
}

static void add_wait_part(struct wait *wait, const struct bpf_cell *part)
{
	wait->count += part->waits;
	wait->total_ns += part->blocked_ns;
	wait->max_ns = part->max_wait_ns > wait->max_ns ? part->max_wait_ns : wait->max_ns;
	for (size_t i = 0; i < BUCKET_COUNT; i++) {
		wait->buckets[i] += part->wait_buckets[i];
	}
}

static int keep_cell(struct bpf_state *state, uint32_t group, uint32_t key, uint32_t index,
		     struct bpf_cell *parts)
{
	int32_t pid = (int32_t)state->groups[group].tgid;
	struct cell *cell = NULL;
	struct wait *wait = NULL;
	uint32_t abi;
	int32_t nr;

	if (bpf_map_lookup_elem(bpf_map__fd(state->programs->maps.cells), &index, parts) != 0) {
		return PFC_OK;
	}
	for (uint32_t cpu = 0; cpu < state->cpu_count; cpu++) {
		if (parts[cpu].calls == 0 && parts[cpu].waits == 0) {
			continue;
		}
		if (is_cause(key)) {
			wait = wait ? wait : wait_of(state, pid, key);
		} else if (!cell) {
			bpf_key(key, &abi, &nr);
			cell = account_cell(state->tracer->account, pid, abi, nr);
		}
		if (!wait && !cell) {
			return PFC_ENOMEM;
		}
		if (wait) {
			add_wait_part(wait, &parts[cpu]);
		} else {
			add_call_part(cell, &parts[cpu]);
		}
	}
	return PFC_OK;
}

static int keep_group(struct bpf_state *state, uint32_t group, struct bpf_cell *parts)
{
	const char *comm = state->groups[group].comm;
	char path[64], now[COMM_LENGTH] = "";
	int rc = PFC_OK;
	FILE *from;

	snprintf(path, sizeof(path), "/proc/%u/comm", state->groups[group].tgid);
	from = state->groups[group].tgid ? fopen(path, "re") : NULL;
	if (from) { /* a process may rename itself */
		if (fgets(now, sizeof(now), from)) {
			now[strcspn(now, "\n")] = '\0';
			comm = now;
		}
		fclose(from);
	}
	if (!account_name(state->tracer->account, (int32_t)state->groups[group].tgid, comm)) {
		return PFC_ENOMEM;
	}
	for (uint32_t key = 0; key < KEY_COUNT && rc == PFC_OK; key++) {
		uint32_t at = group * KEY_COUNT + key;
		uint32_t index = 0;

		if (group == 0) {
			rc = keep_cell(state, 0, key, key, parts);
		} else if (bpf_map_lookup_elem(bpf_map__fd(state->programs->maps.cell_of), &at, &index) ==
				   0 &&
			   index) {
			rc = keep_cell(state, group, key, index, parts);
		}
	}
	return rc;
}

static int keep_cells(struct bpf_state *state)
{
	struct bpf_cell *parts = calloc(state->cpu_count, sizeof(*parts));
	uint32_t groups = state->programs->bss->groups_used;
	int rc = parts ? PFC_OK : PFC_ENOMEM;

	for (uint32_t group = 0; group < groups && group < GROUP_COUNT && rc == PFC_OK; group++) {
		rc = keep_group(state, group, parts);
	}
	free(parts);
	return rc;
}

/* ---- counters ---- */

static int read_counters(const struct bpf_state *state, uint64_t sums[COUNTERS])
{
	uint64_t *values = calloc(state->cpu_count, sizeof(*values));

	if (!values) {
		return PFC_ENOMEM;
	}
	for (uint32_t which = 0; which < COUNTERS; which++) {
		sums[which] = 0;
		if (bpf_map_lookup_elem(bpf_map__fd(state->programs->maps.counters), &which, values) == 0) {
			for (uint32_t cpu = 0; cpu < state->cpu_count; cpu++) {
				sums[which] += values[cpu];
			}
		}
	}
	free(values);
	return PFC_OK;
}

static void count_loss(struct bpf_state *state, const char *port, const char *cause, uint64_t n)
{
	const struct pfc_host *host = state->tracer->host;

	if (n) {
		host->loss(host->ctx, port, cause, n);
	}
}

static void state_facts(struct bpf_state *state, const uint64_t sums[COUNTERS], uint64_t threads)
{
	struct tracer *tracer = state->tracer;

	count_loss(state, "stacks", "ring_full", sums[COUNT_RING_STACKS]);
	count_loss(state, "stacks", "stack_rate", sums[COUNT_RATE]);
	count_loss(state, "stacks", "busy", sums[COUNT_BUSY]);
	count_loss(state, "syscalls", "ring_full_calls", sums[COUNT_RING_CALLS]);
	count_loss(state, "syscalls", "ring_full_threads", sums[COUNT_RING_BOOKS]);
	count_loss(state, "syscalls", "no_thread_slot", sums[COUNT_NO_SLOT]);
	count_loss(state, "syscalls", "no_file_room", sums[COUNT_NO_USE]);
	count_loss(state, "wakers", "ring_full", sums[COUNT_RING_WAKERS]);
	count_loss(state, "wakers", "stack_rate", sums[COUNT_RATE_WAKERS]);
	count_loss(state, "slow", "stack_rate", sums[COUNT_RATE_CALLS]);
	if (state->has_uring) {
		tracer_fact(tracer, "io_uring_ops", (double)sums[COUNT_URING]);
		count_loss(state, "syscalls", "no_ring_room", sums[COUNT_NO_URING]);
	}
	tracer_fact(tracer, "threads_at_end", (double)threads);
	tracer_fact(tracer, "waits", (double)sums[COUNT_WAITS]);
	tracer_fact(tracer, "stacks_taken", (double)sums[COUNT_STACKS]);
	tracer_fact(tracer, "stacks_left_out_ns", (double)(sums[COUNT_RATE_NS] + sums[COUNT_BUSY_NS]));
	tracer_fact(tracer, "unwoken", (double)sums[COUNT_UNWOKEN]);
	tracer_fact(tracer, "unmatched", (double)sums[COUNT_UNMATCHED]);
	tracer_fact(tracer, "compat_calls", (double)sums[COUNT_COMPAT]);
	tracer_fact(tracer, "processes_together", (double)sums[COUNT_NO_GROUP]);
	tracer_fact(tracer, "events_together", (double)sums[COUNT_NO_CELL]);
	tracer_fact(tracer, "own_events", (double)sums[COUNT_RUNS]);
	if (sums[COUNT_TIMED_RUNS]) {
		tracer_fact(tracer, "own_ns",
			    (double)sums[COUNT_TIMED_NS] / (double)sums[COUNT_TIMED_RUNS] *
				    (double)sums[COUNT_RUNS]);
	}
	tracer_fact_text(tracer, "stacks_by", state->has_task_work ? "the sleeper" : "at the switch");
}

int bpf_harvest(struct bpf_state *state)
{
	const struct pfc_host *host = state->tracer->host;
	uint64_t sums[COUNTERS];
	uint64_t threads = 0;
	int rc = keep_living(state, &threads);

	if (rc == PFC_OK) {
		rc = keep_cells(state);
	}
	if (rc == PFC_OK) {
		rc = bpf_uses_harvest(state);
	}
	if (rc == PFC_OK) {
		rc = read_counters(state, sums);
	}
	if (rc != PFC_OK) {
		return host->fail(host->ctx, rc, "add up what the BPF programs counted", "out of memory",
				  NULL);
	}
	state_facts(state, sums, threads);
	return PFC_OK;
}
