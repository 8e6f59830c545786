/* SPDX-License-Identifier: MIT */
/* The heap's model: sums with their intervals, and who allocates: sites, processes, threads. See heap_model.h. */
#include "heap_model.h"

#include <math.h>
#include <string.h>

#include "heap_grow.h"

#define NONE          UINT32_MAX
#define PROCESSES_MAX 65536U
#define THREADS_MAX   262144U

double heap_chance(const struct heap_model *model, double size)
{
	double chance = model->period_bytes > 0 ? -expm1(-size / model->period_bytes) : 1;

	return chance > 0 ? chance : 1; /* no byte, no weight */
}

/* A part of the time is as a smaller chance: p becomes p / scale. */
static void sum_change(const struct heap_model *model, struct heap_sum *sum, double size, double sign,
		       double scale)
{
	double p = heap_chance(model, size) / scale;

	sum->bytes += sign * size / p;
	sum->count += sign / p;
	sum->variance += sign * size * size * (1 - p) / (p * p);
	sum->seen_bytes += sign * size;
	sum->samples += sign > 0 ? 1 : (uint64_t)-1;
}

void heap_sum_add(const struct heap_model *model, struct heap_sum *sum, double size, double scale)
{
	sum_change(model, sum, size, 1, scale);
}

void heap_sum_take(const struct heap_model *model, struct heap_sum *sum, double size, double scale)
{
	if (sum->samples > 1) {
		sum_change(model, sum, size, -1, scale);
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

static bool is_site(const struct heap_site *site, uint64_t hash, int32_t pid, const struct heap_path *path)
{
	return site->hash == hash && site->pid == pid && site->ip_count == path->count &&
	       memcmp(site->ips, path->ips, path->count * sizeof(*path->ips)) == 0;
}

static uint32_t add_site(struct heap_model *model, const struct heap_site *site, const struct heap_path *path)
{
	uint64_t *ips;

	if (!heap_grow((void **)&model->sites, &model->site_room, model->site_count, HEAP_SITES_MAX,
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
	uint64_t hash = heap_mix((uint64_t)(uint32_t)pid + 1);
	uint32_t *head, number;

	for (uint32_t i = 0; i < path->count; i++) {
		hash = heap_mix(hash ^ path->ips[i]) + i;
	}
	head = &model->site_heads[hash % HEAP_HEADS];
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
	if (!heap_grow((void **)&model->processes, &model->process_room, model->process_count, PROCESSES_MAX,
		       sizeof(*model->processes))) {
		return NULL;
	}
	memset(&model->processes[model->process_count], 0, sizeof(*model->processes));
	model->processes[model->process_count].pid = pid;
	return &model->processes[model->process_count++];
}

uint32_t heap_model_thread_of(struct heap_model *model, int32_t pid, int32_t tid)
{
	for (uint32_t i = model->thread_count; i-- > 0;) {
		if (model->threads[i].tid == tid && model->threads[i].pid == pid) {
			return i;
		}
	}
	if (!heap_grow((void **)&model->threads, &model->thread_room, model->thread_count, THREADS_MAX,
		       sizeof(*model->threads))) {
		return NONE;
	}
	model->threads[model->thread_count] =
		(struct heap_thread){ .pid = pid, .tid = tid, .histogram = NONE };
	return model->thread_count++;
}

void heap_model_thread(struct heap_model *model, int32_t pid, int32_t tid, double bytes, double count)
{
	uint32_t thread = heap_model_thread_of(model, pid, tid);

	if (thread != NONE) {
		model->threads[thread].allocated.bytes += bytes;
		model->threads[thread].allocated.count += count;
	}
}

double heap_model_live_half(const struct heap_model *model)
{
	double variance = 0;

	for (uint32_t i = 0; i < model->process_count; i++) {
		variance += model->processes[i].live.variance;
	}
	return variance > 0 ? 1.96 * sqrt(variance) : 0;
}

/* A ratio of two sums over the same samples: its variance is that of the sum of what each differs from it. */
bool heap_model_rounding(const struct heap_model *model, double *ret_pct, double *ret_half_pct)
{
	double asked = 0, slack = 0, variance = 0;

	for (uint32_t i = 0; i < model->object_count; i++) {
		const struct heap_object *object = &model->objects[i];
		double p = heap_chance(model, (double)object->size);

		if (object->is_used && object->has_slack) {
			asked += (double)object->size / p;
			slack += object->slack / p;
		}
	}
	for (uint32_t i = 0; i < model->object_count && asked > 0; i++) {
		const struct heap_object *object = &model->objects[i];
		double p = heap_chance(model, (double)object->size);
		double off = object->slack - slack / asked * (double)object->size;

		if (object->is_used && object->has_slack) {
			variance += off * off * (1 - p) / (p * p);
		}
	}
	if (asked <= 0) {
		return false;
	}
	*ret_pct = 100 * slack / asked;
	*ret_half_pct = 100 * 1.96 * sqrt(variance) / asked;
	return true;
}
