/* SPDX-License-Identifier: MIT */
/* The heap's model: sizes and lifetimes by thread. See heap_model.h. */
#include "heap_model.h"

#include <string.h>

#include "heap_grow.h"

#define MOST 4096U /* histograms, of some 7 KB; the last is for all other threads */

uint32_t heap_class(uint64_t value)
{
	uint32_t bits = value == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(value);

	return bits < HEAP_CLASSES ? bits : HEAP_CLASSES - 1;
}

static bool is_of(const struct heap_model *model, uint32_t number, int32_t pid, int32_t tid)
{
	return number < model->histogram_count && model->histograms[number].pid == pid &&
	       model->histograms[number].tid == tid;
}

static uint32_t find(struct heap_model *model, int32_t pid, int32_t tid)
{
	if (is_of(model, model->histogram_last, pid, tid)) {
		return model->histogram_last;
	}
	for (uint32_t i = model->histogram_count; i-- > 0;) { /* the newest is the likeliest */
		if (is_of(model, i, pid, tid)) {
			model->histogram_last = i;
			return i;
		}
	}
	return HEAP_NO_SITE;
}

static uint32_t add(struct heap_model *model, int32_t pid, int32_t tid)
{
	bool is_last = model->histogram_count == MOST - 1;

	if (model->histogram_count == MOST) {
		return MOST - 1;
	}
	if (!heap_grow((void **)&model->histograms, &model->histogram_room, model->histogram_count, MOST,
		       sizeof(*model->histograms))) {
		return HEAP_NO_SITE;
	}
	memset(&model->histograms[model->histogram_count], 0, sizeof(*model->histograms));
	model->histograms[model->histogram_count].pid = is_last ? 0 : pid;
	model->histograms[model->histogram_count].tid = is_last ? 0 : tid;
	return model->histogram_count++;
}

static struct heap_histogram *at(struct heap_model *model, uint32_t number)
{
	return number == HEAP_NO_SITE ? NULL : &model->histograms[number];
}

struct heap_histogram *heap_histogram_of(struct heap_model *model, int32_t pid, int32_t tid)
{
	uint32_t number = find(model, pid, tid);

	return at(model, number == HEAP_NO_SITE ? add(model, pid, tid) : number);
}

struct heap_histogram *heap_histogram_of_thread(struct heap_model *model, uint32_t thread)
{
	struct heap_thread *of = thread < model->thread_count ? &model->threads[thread] : NULL;

	if (of && of->histogram == HEAP_NO_SITE) {
		of->histogram = add(model, of->pid, of->tid);
	}
	return of ? at(model, of->histogram) : heap_histogram_of(model, 0, 0);
}

void heap_histogram_censor(struct heap_model *model, uint64_t t1_ns)
{
	for (uint32_t i = 0; i < model->object_count; i++) {
		const struct heap_object *object = &model->objects[i];
		struct heap_histogram *histogram;
		uint64_t age_ns = t1_ns > object->born_ns ? t1_ns - object->born_ns : 0;

		if (!object->is_used || object->site == HEAP_NO_SITE) {
			continue;
		}
		histogram = heap_histogram_of_thread(model, object->thread);
		if (histogram) {
			histogram->censored[heap_class(age_ns)] +=
				1 / heap_chance(model, (double)object->size);
		}
	}
}
