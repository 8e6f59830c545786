/* SPDX-License-Identifier: MIT */
/* What is brought before the judge (heap_leak.h): of each site, the objects of the window that came to the age. */
#include "heap.h"

#include <stdlib.h>

static double window_s(const struct heap *heap)
{
	return (double)(heap->t1_ns - heap->t0_ns) / 1e9;
}

void heap_evidence_add(struct heap *heap, struct heap_evidence *of_site, double size, uint64_t born_ns)
{
	double p = heap_chance(&heap->model, size);
	double born_s, age_s;
	int third;

	if (born_ns < heap->t0_ns || born_ns > heap->t1_ns) {
		return;
	}
	born_s = (double)(born_ns - heap->t0_ns) / 1e9;
	age_s = (double)(heap->t1_ns - born_ns) / 1e9;
	third = heap_leak_third(of_site->window_s, of_site->old_s, born_s);
	if (third < 0) {
		return;
	}
	of_site->survivors++;
	of_site->by_third[third]++;
	of_site->exposure_s += age_s - of_site->old_s;
	of_site->survivor_bytes += size / p;
	of_site->survivor_variance += size * size * (1 - p) / (p * p);
}

struct heap_evidence *heap_evidence_make(struct heap *heap)
{
	struct heap_model *model = &heap->model;
	struct heap_evidence *evidence = calloc(model->site_count + 1, sizeof(*evidence));
	uint32_t judged = 0;

	if (!evidence) {
		return NULL;
	}
	for (uint32_t i = 0; i < model->site_count; i++) {
		evidence[i].window_s = window_s(heap);
		evidence[i].old_s = heap_leak_age(window_s(heap));
		evidence[i].deaths = model->sites[i].old_deaths;
		evidence[i].exposure_s = model->sites[i].old_exposure_s;
	}
	if (heap->is_exhaustive) {
		heap_tally_objects(heap, evidence);
	}
	for (uint32_t i = 0; i < model->object_count; i++) {
		const struct heap_object *object = &model->objects[i];

		if (object->is_used && object->site != HEAP_NO_SITE) {
			heap_evidence_add(heap, &evidence[object->site], (double)object->size,
					  object->born_ns);
		}
	}
	for (uint32_t i = 0; i < model->site_count; i++) {
		judged += evidence[i].survivors > 0;
	}
	for (uint32_t i = 0; i < model->site_count; i++) {
		evidence[i].sites = judged;
	}
	return evidence;
}
