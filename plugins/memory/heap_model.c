/* SPDX-License-Identifier: MIT */
/* Sites, live objects and sums of the sampled heap: see heap_model.h. */
#include "heap_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HEADS         65536U
#define NONE          UINT32_MAX
#define PEAK_STEP     1.02 /* a peak is looked at anew when the heap is so much larger */
#define PROCESSES_MAX 65536U
#define THREADS_MAX   262144U

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ULL;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ULL;
	return x ^ x >> 32;
}

static bool grow(void **array, uint32_t *room, uint32_t count, uint32_t most, size_t size)
{
	uint32_t wanted = *room ? 2 * *room : 256;
	void *grown;

	if (count < *room) {
		return true;
	}
	if (count >= most) {
		return false;
	}
	wanted = wanted < most ? wanted : most;
	grown = realloc(*array, wanted * size);
	if (!grown) {
		return false;
	}
	*array = grown;
	*room = wanted;
	return true;
}

int heap_model_init(struct heap_model *model, double period_bytes, uint64_t temporary_ns)
{
	memset(model, 0, sizeof(*model));
	model->period_bytes = period_bytes;
	model->temporary_ns = temporary_ns;
	model->object_free = NONE;
	model->site_heads = malloc(HEADS * sizeof(*model->site_heads));
	model->object_heads = malloc(HEADS * sizeof(*model->object_heads));
	if (!model->site_heads || !model->object_heads) {
		heap_model_finish(model);
		return -1;
	}
	memset(model->site_heads, 0xff, HEADS * sizeof(*model->site_heads));
	memset(model->object_heads, 0xff, HEADS * sizeof(*model->object_heads));
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
	free(model->processes);
	memset(model, 0, sizeof(*model));
}

double heap_chance(const struct heap_model *model, double size)
{
	double chance = model->period_bytes > 0 ? -expm1(-size / model->period_bytes) : 1;

	return chance > 0 ? chance : 1; /* no byte, no weight */
}

static void sum_change(const struct heap_model *model, struct heap_sum *sum, double size, double sign)
{
	double p = heap_chance(model, size);

	sum->bytes += sign * size / p;
	sum->count += sign / p;
	sum->variance += sign * size * size * (1 - p) / (p * p);
	sum->seen_bytes += sign * size;
	sum->samples += sign > 0 ? 1 : (uint64_t)-1;
}

void heap_sum_add(const struct heap_model *model, struct heap_sum *sum, double size)
{
	sum_change(model, sum, size, 1);
}

void heap_sum_take(const struct heap_model *model, struct heap_sum *sum, double size)
{
	if (sum->samples > 1) {
		sum_change(model, sum, size, -1);
	} else {
		memset(sum, 0, sizeof(*sum)); /* nothing left, and no rests of rounding either */
	}
}

void heap_sum_interval(const struct heap_sum *sum, double *ret_low, double *ret_high)
{
	double half = sum->variance > 0 ? 1.96 * sqrt(sum->variance) : 0;

	*ret_low = sum->bytes - half > sum->seen_bytes ? sum->bytes - half : sum->seen_bytes;
	*ret_high = sum->bytes + half;
}

uint32_t heap_class(uint64_t value)
{
	uint32_t bits = value == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(value);

	return bits < HEAP_CLASSES ? bits : HEAP_CLASSES - 1;
}

static bool is_site(const struct heap_site *site, uint64_t hash, int32_t pid, const struct heap_path *path)
{
	return site->hash == hash && site->pid == pid && site->ip_count == path->count &&
	       memcmp(site->ips, path->ips, path->count * sizeof(*path->ips)) == 0;
}

static uint32_t add_site(struct heap_model *model, const struct heap_site *site, const struct heap_path *path)
{
	uint64_t *ips;

	if (!grow((void **)&model->sites, &model->site_room, model->site_count, HEAP_SITES_MAX,
		  sizeof(*model->sites))) {
		return HEAP_NO_SITE;
	}
	ips = malloc((path->count + 1) * sizeof(*ips));
	if (!ips) {
		return HEAP_NO_SITE;
	}
	memcpy(ips, path->ips, path->count * sizeof(*ips));
	model->sites[model->site_count] = *site;
	model->sites[model->site_count].ips = ips;
	return model->site_count++;
}

uint32_t heap_model_site(struct heap_model *model, int32_t pid, const struct heap_path *path,
			 uint64_t time_ns)
{
	uint64_t hash = mix((uint64_t)(uint32_t)pid + 1);
	uint32_t *head, number;

	for (uint32_t i = 0; i < path->count; i++) {
		hash = mix(hash ^ path->ips[i]) + i;
	}
	head = &model->site_heads[hash % HEADS];
	for (uint32_t i = *head; i != NONE; i = model->sites[i].next) {
		if (is_site(&model->sites[i], hash, pid, path)) {
			return i;
		}
	}
	number = add_site(model,
			  &(struct heap_site){ .pid = pid,
					       .walk_end = path->walk_end,
					       .ip_count = path->count,
					       .hash = hash,
					       .next = *head,
					       .row = UINT32_MAX,
					       .seen_ns = time_ns },
			  path);
	if (number == HEAP_NO_SITE) {
		model->no_room++;
	} else {
		*head = number;
	}
	return number;
}

struct heap_process_sum *heap_model_process(struct heap_model *model, int32_t pid)
{
	for (uint32_t i = model->process_count; i-- > 0;) { /* the newest is the likeliest */
		if (model->processes[i].pid == pid) {
			return &model->processes[i];
		}
	}
	if (!grow((void **)&model->processes, &model->process_room, model->process_count, PROCESSES_MAX,
		  sizeof(*model->processes))) {
		return NULL;
	}
	memset(&model->processes[model->process_count], 0, sizeof(*model->processes));
	model->processes[model->process_count].pid = pid;
	return &model->processes[model->process_count++];
}

static uint32_t thread_of(struct heap_model *model, int32_t pid, int32_t tid)
{
	for (uint32_t i = model->thread_count; i-- > 0;) {
		if (model->threads[i].tid == tid && model->threads[i].pid == pid) {
			return i;
		}
	}
	if (!grow((void **)&model->threads, &model->thread_room, model->thread_count, THREADS_MAX,
		  sizeof(*model->threads))) {
		return NONE;
	}
	model->threads[model->thread_count] = (struct heap_thread){ .pid = pid, .tid = tid };
	return model->thread_count++;
}

void heap_model_thread(struct heap_model *model, int32_t pid, int32_t tid, double bytes, double count)
{
	uint32_t thread = thread_of(model, pid, tid);

	if (thread != NONE) {
		model->threads[thread].allocated.bytes += bytes;
		model->threads[thread].allocated.count += count;
	}
}

struct heap_object *heap_model_find(struct heap_model *model, uint64_t id)
{
	for (uint32_t i = model->object_heads[mix(id) % HEADS]; i != NONE; i = model->objects[i].next) {
		if (model->objects[i].id == id) {
			return &model->objects[i];
		}
	}
	return NULL;
}

static struct heap_object *make_object(struct heap_model *model, uint64_t id)
{
	uint32_t *head = &model->object_heads[mix(id) % HEADS];
	uint32_t at = model->object_free;

	if (at != NONE) {
		model->object_free = model->objects[at].next;
	} else if (grow((void **)&model->objects, &model->object_room, model->object_count, HEAP_LIVE_MAX,
			sizeof(*model->objects))) {
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
	uint32_t *link = &model->object_heads[mix(object->id) % HEADS];

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
	double weight = (double)object->size / heap_chance(model, (double)object->size);
	uint32_t class = heap_class(object->size);

	heap_sum_add(model, &site->allocated, (double)object->size);
	heap_sum_add(model, &site->live, (double)object->size);
	if (object->thread != NONE) {
		heap_sum_add(model, &model->threads[object->thread].allocated, (double)object->size);
		model->threads[object->thread].live_bytes += weight;
	}
	if (process) {
		heap_sum_add(model, &process->allocated, (double)object->size);
		heap_sum_add(model, &process->live, (double)object->size);
		process->size_count[class] += 1 / heap_chance(model, (double)object->size);
		process->size_bytes[class] += weight;
		process->size_live[class] += weight;
	}
	model->live_bytes += weight;
	model->live_objects++;
}

/* It is in use no more. */
static void leave(struct heap_model *model, const struct heap_object *object)
{
	struct heap_site *site = &model->sites[object->site];
	struct heap_process_sum *process = heap_model_process(model, site->pid);
	double weight = (double)object->size / heap_chance(model, (double)object->size);

	heap_sum_take(model, &site->live, (double)object->size);
	if (object->thread != NONE) {
		model->threads[object->thread].live_bytes -= weight;
	}
	if (process) {
		heap_sum_take(model, &process->live, (double)object->size);
		process->size_live[heap_class(object->size)] -= weight;
	}
	model->live_objects--;
	model->live_bytes = model->live_objects ? model->live_bytes - weight : 0; /* no rests of rounding */
}

static void count_death(struct heap_model *model, const struct heap_object *object, uint64_t age_ns)
{
	struct heap_site *site = &model->sites[object->site];
	struct heap_process_sum *process = heap_model_process(model, site->pid);
	double count = 1 / heap_chance(model, (double)object->size);

	heap_sum_add(model, &site->freed, (double)object->size);
	if (age_ns < model->temporary_ns) {
		site->temporary_bytes += count * (double)object->size;
		site->temporary_count += count;
	}
	if (process) {
		heap_sum_add(model, &process->freed, (double)object->size);
		process->age_count[heap_class(age_ns)] += count;
		process->age_bytes[heap_class(age_ns)] += count * (double)object->size;
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
	*ret = (struct heap_death){ object->size, object->born_ns, age_ns, object->site, object->thread };
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
	object->thread = thread_of(model, pid, tid);
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
