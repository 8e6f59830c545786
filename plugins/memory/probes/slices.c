/* SPDX-License-Identifier: MIT */
/*
 * Probes for part of the time. As long as the budget lasts they are on, and everything is seen. Once it was empty they come in
 * slices; each stands for the time until the next, by what the target computed in both. Which objects live is lost with the
 * first gap, as frees in it are not seen.
 */
#include "way.h"

#include <stdlib.h>
#include <string.h>

#define RECORDS_MAX (64U << 20)
#define SCALE_MAX   10000.0
#define WHOLE_NS                                                                                             \
	500000000ULL  /* a beginning that lasted so long stands for itself; a shorter one is a slice */
#define LITTLE_NS 1e5 /* of computing, by which nothing can be told */

struct probe_counts probe_counts_now(const struct heap_probed *probed)
{
	struct probe_counts counts;

	for (uint32_t i = 0; i < COUNT_COUNTERS; i++) {
		counts.values[i] = probes_counter(&probed->probes, (enum probe_counter)i);
	}
	return counts;
}

static struct budget_use use_now(struct heap_probed *probed, uint64_t now_ns)
{
	const struct probe_counts now = probe_counts_now(probed);
	uint64_t samples = now.values[COUNT_RETURNS];

	return (struct budget_use){ .now_ns = now_ns,
				    .cpu_ns = follow_cpu_ns(&probed->follow),
				    .hits = now.values[COUNT_HITS],
				    .stepped = now.values[COUNT_STEPPED],
				    .samples = samples,
				    .passed = now.values[COUNT_PASSED],
				    .passed_stepped = now.values[COUNT_PASSED_STEPPED] };
}

/* ---- records ---- */

static void take(struct heap_probed *probed, const struct probe_record *record, const void *stack)
{
	struct heap *heap = probed->heap;
	struct heap_taken taken = { .is_object = true,
				    .pid = (int32_t)record->tgid,
				    .tid = (int32_t)record->tid,
				    .id = record->id,
				    .size = record->size,
				    .time_ns = record->time_ns,
				    .stack_bytes = record->stack_bytes };
	struct heap_object *object;

	if (record->kind == PROBE_RECORD_ALLOC) {
		memcpy(taken.regs, record->regs, sizeof(taken.regs));
		heap_take_alloc(heap, &taken, stack);
		return;
	}
	object = heap_model_find(&heap->model, record->id);
	if (object && record->kind == PROBE_RECORD_FREE) {
		heap_take_free(heap, record->id, (int32_t)record->tid, record->time_ns);
	} else if (object) {
		heap_model_drop(&heap->model, object);
	}
}

static void keep(struct slice *slice, const struct probe_record *record, const void *stack)
{
	size_t bytes = sizeof(*record) + (record->stack_bytes + 7) / 8 * 8;

	if (slice->used + bytes > slice->room) {
		size_t room = slice->room ? 2 * slice->room : 1 << 20;
		uint8_t *grown = room <= RECORDS_MAX ? realloc(slice->records, room) : NULL;

		if (!grown) {
			slice->lost++;
			return;
		}
		slice->records = grown;
		slice->room = room;
	}
	memcpy(slice->records + slice->used, record, sizeof(*record));
	memcpy(slice->records + slice->used + sizeof(*record), stack, record->stack_bytes);
	slice->used += bytes;
}

void slices_record(void *ctx, const struct probe_record *record, const void *stack)
{
	struct heap_probed *probed = ctx;

	if (probed->is_whole) {
		take(probed, record, stack);
	} else {
		keep(&probed->slice, record, stack);
	}
}

static void take_kept(struct heap_probed *probed)
{
	struct slice *slice = &probed->slice;

	for (size_t at = 0; at + sizeof(struct probe_record) <= slice->used;) {
		const struct probe_record *record = (const void *)(slice->records + at);

		take(probed, record, record + 1);
		at += sizeof(*record) + (record->stack_bytes + 7) / 8 * 8;
	}
	slice->used = 0;
}

static void replay(struct heap_probed *probed, double scale, double death_scale)
{
	probed->heap->model.scale = scale;
	probed->heap->model.death_scale = death_scale;
	take_kept(probed);
	probed->heap->model.scale = 1;
	probed->heap->model.death_scale = 1;
	heap_model_forget(&probed->heap->model); /* what is left may be freed unseen */
}

static double counted(const struct probe_counts *from, const struct probe_counts *to,
		      enum probe_counter which)
{
	return (double)(to->values[which] - from->values[which]);
}

/* For how much the slice that ended stands, now that it is known what came behind it. */
static double represents(const struct heap_probed *probed, uint64_t now_ns)
{
	double whole = budget_net_ns(&probed->budget) - probed->covers_from_net_ns;
	double wall = (double)(now_ns - probed->covers_from_ns);
	double net = probed->slice.cpu_ns - probed->budget.factor * probed->slice.raw_ns;
	double scale = net > LITTLE_NS ? whole / net : probed->on_ns ? wall / (double)probed->on_ns : 1;

	return scale < 1 ? 1 : scale > SCALE_MAX ? SCALE_MAX : scale;
}

/* A slice that saw frees stands for those of the one before it too, which saw none. */
static double represents_deaths(struct heap_probed *probed)
{
	double whole = budget_net_ns(&probed->budget) - probed->covers_from_net_ns;
	double scale = whole > LITTLE_NS ? (probed->deathless_net_ns + whole) / whole : 1;

	probed->deathless_net_ns = probed->slice.with_frees ? 0 : probed->deathless_net_ns + whole;
	return scale;
}

static void count_slice(struct heap_probed *probed, double scale, double death_scale)
{
	const struct probe_counts *began = &probed->slice.began, *ended = &probed->slice.ended;

	probed->counted_bytes += scale * counted(began, ended, COUNT_BYTES);
	probed->counted_calls += scale * counted(began, ended, COUNT_ALLOCS);
	if (probed->slice.with_frees) {
		probed->counted_frees += scale * death_scale * counted(began, ended, COUNT_FREES);
	}
}

/* ---- switching ---- */

/* Everything is in place: from now on calls count. */
static void begin_slice(struct heap_probed *probed, uint64_t now_ns)
{
	struct budget_use use = use_now(probed, now_ns);

	budget_look(&probed->budget, &use);
	probed->slice.began = probe_counts_now(probed);
	probed->slice.began_cpu_ns = (double)probed->budget.cpu_ns;
	probed->slice.began_raw_ns = probed->budget.raw_ns;
	probed->slice.with_frees = probed->follow.with_frees;
	probed->on_since_ns = now_ns;
	probes_only_count(&probed->probes, false);
}

static void end_slice(struct heap_probed *probed, uint64_t now_ns)
{
	struct budget_use use;

	probes_only_count(&probed->probes, true);
	use = use_now(probed, now_ns);
	budget_look(&probed->budget, &use);
	probed->slice.ended = probe_counts_now(probed);
	probed->slice.cpu_ns = (double)probed->budget.cpu_ns - probed->slice.began_cpu_ns;
	probed->slice.raw_ns = probed->budget.raw_ns - probed->slice.began_raw_ns;
	fit_add(&probed->fit, counted(&probed->slice.began, &probed->slice.ended, COUNT_ALLOCS),
		probed->slice.raw_ns, probed->slice.cpu_ns, probed->slice.with_frees);
	probed->budget.factor = fit_factor(&probed->fit);
	probed->on_ns += now_ns - probed->on_since_ns;
}

static uint64_t now_of(const struct heap_probed *probed)
{
	return probed->heap->host->now(probed->heap->host->ctx);
}

/* Put the probes in place, or away. While that lasts some are there and some not: what they see does not count. */
static void attach(struct heap_probed *probed, bool on)
{
	uint64_t began_ns = now_of(probed), took_ns;
	struct budget_use use = use_now(probed, began_ns);

	budget_look(&probed->budget, &use);
	follow_switch(&probed->follow, on);
	use = use_now(probed, now_of(probed));
	budget_charge(&probed->budget, &use);
	took_ns = use.now_ns - began_ns;
	probed->attach_ns += took_ns;
	probed->attaches++;
	probed->attach_ns_max = took_ns > probed->attach_ns_max ? took_ns : probed->attach_ns_max;
	budget_switched(&probed->budget, on);
	probed->is_on = on;
}

static void switch_on(struct heap_probed *probed)
{
	attach(probed, true);
	probed->slices++;
	begin_slice(probed, now_of(probed));
}

static void switch_off(struct heap_probed *probed)
{
	end_slice(probed, now_of(probed));
	probed->heap->has_gap = true;
	attach(probed, false);
	probes_drain(&probed->probes);
	probes_forget(&probed->probes);
	probed->is_unsettled = !probed->is_whole;
	if (probed->is_whole) { /* it stands for itself */
		count_slice(probed, 1, 1);
		heap_model_forget(&probed->heap->model);
		probed->covers_from_net_ns = budget_net_ns(&probed->budget);
		probed->covers_from_ns = now_of(probed);
		probed->is_whole = false;
	}
}

/* The slice before this moment stands for all since the last one that was settled. */
static void settle_slice(struct heap_probed *probed, uint64_t now_ns)
{
	double scale, death_scale;

	if (!probed->is_unsettled) {
		return;
	}
	probed->is_unsettled = false;
	scale = represents(probed, now_ns);
	death_scale = represents_deaths(probed);
	count_slice(probed, scale, death_scale);
	replay(probed, scale, death_scale);
	probed->covers_from_net_ns = budget_net_ns(&probed->budget);
	probed->covers_from_ns = now_ns;
}

void slices_start(struct heap_probed *probed)
{
	struct budget_use use = use_now(probed, now_of(probed));

	budget_start(&probed->budget, &use);
	probes_only_count(&probed->probes, true);
	attach(probed, true);
	probed->slices = 1;
}

void slices_begin(struct heap_probed *probed, uint64_t now_ns)
{
	begin_slice(probed, now_ns);
	probed->first = probed->slice.began;
	probed->covers_from_net_ns = budget_net_ns(&probed->budget);
	probed->covers_from_ns = now_ns;
	probed->has_begun = true;
}

void slices_look(struct heap_probed *probed, uint64_t now_ns)
{
	struct budget_use use = use_now(probed, now_ns);
	bool wants_on = budget_look(&probed->budget, &use);

	if (probed->is_on && !probed->heap->has_gap && !probed->is_whole &&
	    now_ns > probed->on_since_ns + WHOLE_NS) {
		probes_drain(&probed->probes);
		take_kept(probed);
		probed->is_whole = true;
	}
	if (probed->is_on && !wants_on) {
		switch_off(probed);
	} else if (!probed->is_on && wants_on) {
		settle_slice(probed, now_ns);
		probed->follow.with_frees = !probed->follow.with_frees;
		switch_on(probed);
	}
}

void slices_stop(struct heap_probed *probed, uint64_t now_ns)
{
	if (probed->is_on) {
		end_slice(probed, now_ns);
		attach(probed, false);
		probed->was_on = true;
		probed->is_unsettled = probed->heap->has_gap;
		if (!probed->heap->has_gap) {
			count_slice(probed, 1, 1);
		}
	}
}

void slices_settle(struct heap_probed *probed)
{
	probes_drain(&probed->probes);
	settle_slice(probed, probed->heap->t1_ns);
	take_kept(probed);
	if (probed->heap->has_gap) {
		probed->heap->model.scale_error = fit_error(&probed->fit);
	}
}
