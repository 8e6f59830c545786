/* SPDX-License-Identifier: MIT */
/* The heap's model: live objects, from their allocation to their end. See heap_model.h. */
#include "heap_model.h"

#include <stdlib.h>
#include <string.h>

#include "heap_grow.h"

#define NONE      UINT32_MAX
#define PEAK_STEP 1.02 /* a peak is looked at anew when the heap is so much larger */

int heap_model_init(struct heap_model *model, double period_bytes, uint64_t temporary_ns)
{
	memset(model, 0, sizeof(*model));
	model->period_bytes = period_bytes;
	model->temporary_ns = temporary_ns;
	model->scale = 1;
	model->death_scale = 1;
	model->object_free = NONE;
	model->site_heads = malloc(HEAP_HEADS * sizeof(*model->site_heads));
	model->object_heads = malloc(HEAP_HEADS * sizeof(*model->object_heads));
	if (!model->site_heads || !model->object_heads) {
		heap_model_finish(model);
		return -1;
	}
	memset(model->site_heads, 0xff, HEAP_HEADS * sizeof(*model->site_heads));
	memset(model->object_heads, 0xff, HEAP_HEADS * sizeof(*model->object_heads));
	return 0;
}

void heap_model_finish(struct heap_model *model)
{
	for (uint32_t i = 0; i < model->site_count; i++) {
		free(model->sites[i].ips);
	}
	free(model->sites);
	free(model->site_heads);
	free(model->objects);
	free(model->object_heads);
	free(model->threads);
	free(model->histograms);
	free(model->processes);
	memset(model, 0, sizeof(*model));
}

struct heap_object *heap_model_find(struct heap_model *model, uint64_t id)
{
	for (uint32_t i = model->object_heads[heap_mix(id) % HEAP_HEADS]; i != NONE;
	     i = model->objects[i].next) {
		if (model->objects[i].id == id) {
			return &model->objects[i];
		}
	}
	return NULL;
}

static struct heap_object *make_object(struct heap_model *model, uint64_t id)
{
	uint32_t *head = &model->object_heads[heap_mix(id) % HEAP_HEADS];
	uint32_t at = model->object_free;

	if (at != NONE) {
		model->object_free = model->objects[at].next;
	} else if (heap_grow((void **)&model->objects, &model->object_room, model->object_count,
			     HEAP_LIVE_MAX, sizeof(*model->objects))) {
		at = model->object_count++;
	} else {
		model->no_room++;
		return NULL;
	}
	model->objects[at] = (struct heap_object){
		.id = id, .site = HEAP_NO_SITE, .next = *head, .thread = NONE, .is_used = true
	};
	*head = at;
	return &model->objects[at];
}

static void forget_object(struct heap_model *model, struct heap_object *object)
{
	uint32_t at = (uint32_t)(object - model->objects);
	uint32_t *link = &model->object_heads[heap_mix(object->id) % HEAP_HEADS];

	while (*link != at) {
		link = &model->objects[*link].next;
	}
	*link = object->next;
	object->is_used = false;
	object->next = model->object_free;
	model->object_free = at;
}

/* The object is known with its site: count it. */
static void enter(struct heap_model *model, const struct heap_object *object)
{
	struct heap_site *site = &model->sites[object->site];
	struct heap_process_sum *process = heap_model_process(model, site->pid);
	struct heap_histogram *histogram = heap_histogram_of_thread(model, object->thread);
	double weight = object->scale * (double)object->size / heap_chance(model, (double)object->size);

	heap_sum_add(model, &site->allocated, (double)object->size, object->scale);
	heap_sum_add(model, &site->live, (double)object->size, object->scale);
	if (object->thread != NONE) {
		heap_sum_add(model, &model->threads[object->thread].allocated, (double)object->size,
			     object->scale);
		model->threads[object->thread].live_bytes += weight;
	}
	if (process) {
		heap_sum_add(model, &process->allocated, (double)object->size, object->scale);
		heap_sum_add(model, &process->live, (double)object->size, object->scale);
	}
	if (histogram) {
		heap_sum_add(model, &histogram->made[heap_class(object->size)], (double)object->size,
			     object->scale);
		heap_sum_add(model, &histogram->live[heap_class(object->size)], (double)object->size,
			     object->scale);
	}
	model->live_bytes += weight;
	model->live_objects++;
}

/* It is in use no more. */
static void leave(struct heap_model *model, const struct heap_object *object)
{
	struct heap_site *site = &model->sites[object->site];
	struct heap_process_sum *process = heap_model_process(model, site->pid);
	struct heap_histogram *histogram = heap_histogram_of_thread(model, object->thread);
	double weight = object->scale * (double)object->size / heap_chance(model, (double)object->size);

	heap_sum_take(model, &site->live, (double)object->size, object->scale);
	if (object->thread != NONE) {
		model->threads[object->thread].live_bytes -= weight;
	}
	if (process) {
		heap_sum_take(model, &process->live, (double)object->size, object->scale);
	}
	if (histogram) {
		heap_sum_take(model, &histogram->live[heap_class(object->size)], (double)object->size,
			      object->scale);
	}
	model->live_objects--;
	model->live_bytes = model->live_objects ? model->live_bytes - weight : 0; /* no rests of rounding */
}

static void count_death(struct heap_model *model, const struct heap_object *object, uint64_t age_ns)
{
	struct heap_site *site = &model->sites[object->site];
	struct heap_process_sum *process = heap_model_process(model, site->pid);
	struct heap_histogram *histogram = heap_histogram_of_thread(model, object->thread);
	double scale = object->scale * model->death_scale;
	double count = scale / heap_chance(model, (double)object->size);

	heap_sum_add(model, &site->freed, (double)object->size, scale);
	if (age_ns < model->temporary_ns) {
		site->temporary_bytes += count * (double)object->size;
		site->temporary_count += count;
	}
	if (process) {
		heap_sum_add(model, &process->freed, (double)object->size, scale);
	}
	if (histogram) {
		heap_sum_add(model, &histogram->freed[heap_class(age_ns)], (double)object->size, scale);
	}
	if (model->t0_ns && object->born_ns >= model->t0_ns && model->old_ns && age_ns > model->old_ns) {
		site->old_deaths++;
		site->old_exposure_s += (double)(age_ns - model->old_ns) / 1e9;
	}
}

static void bury(struct heap_model *model, struct heap_object *object, uint64_t time_ns,
		 struct heap_death *ret)
{
	uint64_t age_ns = time_ns > object->born_ns ? time_ns - object->born_ns : 0;

	leave(model, object);
	count_death(model, object, age_ns);
	*ret = (struct heap_death){ object->size, object->born_ns, age_ns, object->scale * model->death_scale,
				    object->site, object->thread };
	forget_object(model, object);
}

struct heap_object *heap_model_alloc(struct heap_model *model, uint64_t id, int32_t pid, int32_t tid,
				     uint64_t size, uint64_t time_ns, uint32_t site)
{
	struct heap_object *object = heap_model_find(model, id);
	struct heap_death death;

	if (object && object->born_ns) { /* an id twice: the target lies */
		return NULL;
	}
	if (!object) {
		object = make_object(model, id);
	}
	if (!object) {
		return NULL;
	}
	object->size = size;
	object->born_ns = time_ns;
	object->scale = (float)model->scale;
	object->thread = heap_model_thread_of(model, pid, tid);
	object->site = site;
	if (site != HEAP_NO_SITE) {
		enter(model, object);
		if (object->died_ns) { /* its free came by another ring, first */
			bury(model, object, object->died_ns, &death);
		}
	}
	return object;
}

void heap_model_place(struct heap_model *model, uint64_t id, uint32_t site)
{
	struct heap_object *object = heap_model_find(model, id);
	struct heap_death death;

	if (!object || object->site != HEAP_NO_SITE) {
		return;
	}
	if (site == HEAP_NO_SITE) {
		forget_object(model, object);
		return;
	}
	object->site = site;
	enter(model, object);
	if (object->died_ns) {
		bury(model, object, object->died_ns, &death);
	}
}

bool heap_model_free(struct heap_model *model, uint64_t id, uint64_t time_ns, struct heap_death *ret)
{
	struct heap_object *object = heap_model_find(model, id);

	if (!object) { /* its allocation comes by another ring, or was lost */
		object = make_object(model, id);
		model->early_frees++;
	}
	if (!object) {
		return false;
	}
	if (object->site == HEAP_NO_SITE) {
		object->died_ns = time_ns;
		return false;
	}
	bury(model, object, time_ns, ret);
	return true;
}

void heap_model_drop(struct heap_model *model, struct heap_object *object)
{
	if (object->site != HEAP_NO_SITE) {
		leave(model, object);
	}
	forget_object(model, object);
}

void heap_model_forget(struct heap_model *model)
{
	for (uint32_t i = 0; i < model->object_count; i++) {
		if (model->objects[i].is_used) {
			heap_model_drop(model, &model->objects[i]);
		}
	}
}

void heap_model_end(struct heap_model *model, int32_t pid)
{
	for (uint32_t i = 0; i < model->object_count; i++) {
		struct heap_object *object = &model->objects[i];

		if (object->is_used && object->site != HEAP_NO_SITE &&
		    model->sites[object->site].pid == pid) {
			heap_model_drop(model, object);
		}
	}
}

void heap_model_watch_peak(struct heap_model *model, uint64_t now_ns)
{
	if (model->live_bytes <= model->peak_bytes * PEAK_STEP) {
		return;
	}
	model->peak_bytes = model->live_bytes;
	model->peak_ns = now_ns;
	for (uint32_t i = 0; i < model->site_count; i++) {
		model->sites[i].peak_bytes = model->sites[i].live.bytes;
	}
}
