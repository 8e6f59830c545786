/* SPDX-License-Identifier: MIT */
/* What is stated of the heap at the end, as facts of the timeline: figures, and why there are none. */
#include <stdio.h>
#include <string.h>

#include "heap.h"

#define GROWTH_MIN (4ULL << 20) /* of anonymous RSS, below which a percentage of it says nothing */

/* What the allocator takes beyond what was asked of it. */
static void state_overhead(const struct heap *heap)
{
	const struct pfc_writer *writer = heap->tier->memory->tables.writer;
	double pct, half;

	/* musl's malloc_usable_size gives back what was asked for. */
	if (strncmp(heap->allocator, "musl", 4) == 0 || !heap_model_rounding(&heap->model, &pct, &half)) {
		return;
	}
	writer->fact_number(writer->ctx, "heap_rounding_pct", pct);
	writer->fact_number(writer->ctx, "heap_rounding_half_pct", half);
	if (heap->anon_peak > GROWTH_MIN && !heap->way->starts_late) {
		writer->fact_number(writer->ctx, "heap_held_bytes",
				    (double)heap->anon_peak - heap->live_at_peak * (1 + pct / 100));
		writer->fact_number(writer->ctx, "heap_held_half_bytes",
				    heap->live_half_at_peak * (1 + pct / 100));
	}
}

void heap_state_facts(struct heap *heap)
{
	const struct pfc_writer *writer = heap->tier->memory->tables.writer;
	char lack[256];

	heap->way->state(heap, writer);
	if (heap->model.no_room) {
		heap->host->loss(heap->host->ctx, "churn", "model_full", heap->model.no_room);
	}
	writer->fact_number(writer->ctx, "heap_sample_bytes",
			    heap->is_exhaustive ? 1 : (double)heap->period_bytes);
	if (heap->unseen[0]) {
		snprintf(lack, sizeof(lack), "no heap: %.230s", heap->unseen);
		writer->fact_text(writer->ctx, "heap_unseen", heap->unseen);
		writer->fact_text(writer->ctx, "partial", lack);
		return;
	}
	writer->fact_text(writer->ctx, "heap_allocator", heap->allocator);
	if (heap->no_live[0]) {
		snprintf(lack, sizeof(lack), "no heap in use: %.230s", heap->no_live);
		writer->fact_text(writer->ctx, "heap_in_use_unseen", heap->no_live);
		writer->fact_text(writer->ctx, "partial", lack);
		return;
	}
	if (heap->partly[0]) {
		writer->fact_text(writer->ctx, "heap_unexplained", heap->partly);
		writer->fact_text(writer->ctx, "partial", heap->partly);
	}
	writer->fact_number(writer->ctx, "heap_live_bytes", heap->model.live_bytes);
	writer->fact_number(writer->ctx, "heap_peak_bytes", heap->model.peak_bytes);
	state_overhead(heap);
	writer->fact_number(writer->ctx, "heap_unattributed_bytes", heap->unattributed_bytes);
	writer->fact_number(writer->ctx, "heap_frees_unrecorded", (double)heap->unrecorded_frees);
	if (heap->model.site_count == 0 && heap->anon_peak > GROWTH_MIN) {
		writer->fact_text(writer->ctx, "heap_note",
				  "memory came into use, none of it by malloc: the program maps its own");
	}
	if (heap_growth(heap) > GROWTH_MIN) {
		writer->fact_number(writer->ctx, "heap_coverage_pct",
				    100 * heap->live_at_peak / (double)heap_growth(heap));
		writer->fact_number(writer->ctx, "heap_coverage_of_bytes", (double)heap_growth(heap));
	}
}
