/* SPDX-License-Identifier: MIT */
/*
 * Exhaustive mode, from the collector's side: the counters that the sampler keeps by stack and thread (sampler/tally.c), read
 * now and then; what was added since goes to the artifacts as samples.
 */
#include "heap.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "heap_leak.h"

struct shard_seen {
	struct heap_stat *stats; /* HEAP_STACKS, as last read; NULL: never used */
	struct heap_class_count sizes[HEAP_LOG2S], lifetimes[HEAP_LOG2S]; /* likewise */
	int32_t pid, tid; /* the last owner's; tid 0: threads that share it */
};

struct heap_tally {
	uint32_t site[HEAP_STACKS];   /* of each stack of the target's table */
	uint32_t stacks[HEAP_STACKS]; /* those that are known, in order */
	uint32_t stack_count;
	struct shard_seen shards[HEAP_SHARDS];
	uint64_t ticks0, ns0;           /* both clocks, at the beginning */
	struct heap_evidence *evidence; /* while objects are visited */
};

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

int heap_tally_open(struct heap *heap)
{
	struct heap_tally *tally = calloc(1, sizeof(*tally));
	struct timespec pause = { 0, 10000000 };

	if (!tally) {
		return -1;
	}
	memset(tally->site, 0xff, sizeof(tally->site));
	tally->ns0 = clock_ns();
	tally->ticks0 = __rdtsc();
	nanosleep(&pause, NULL); /* so that the rate of the two is known to a thousandth before the window */
	heap->tally = tally;
	return 0;
}

static double ns_per_tick(const struct heap_tally *tally)
{
	uint64_t ticks = __rdtsc() - tally->ticks0;

	return ticks ? (double)(clock_ns() - tally->ns0) / (double)ticks : 1;
}

uint64_t heap_tally_ticks(const struct heap *heap, uint64_t ns)
{
	return heap->tally ? (uint64_t)((double)ns / ns_per_tick(heap->tally)) : 0;
}

void heap_tally_stack(struct heap *heap, uint64_t number, uint32_t site)
{
	struct heap_tally *tally = heap->tally;

	if (tally && number < HEAP_STACKS && tally->site[number] == HEAP_NO_SITE && site != HEAP_NO_SITE) {
		tally->site[number] = site;
		tally->stacks[tally->stack_count++] = (uint32_t)number;
	}
}

static void add_to_sum(struct heap_sum *sum, double bytes, double count)
{
	sum->bytes += bytes;
	sum->seen_bytes += bytes;
	sum->count += count;
	sum->samples = (uint64_t)(sum->count > 0 ? sum->count : 0);
}

/* What a shard counted of a stack since the last time. */
static void take_in(struct heap *heap, const struct heap_stat *more, uint32_t number, int32_t tid,
		    uint64_t now_ns)
{
	struct heap_site *site = &heap->model.sites[number];
	struct heap_process_sum *process = heap_model_process(&heap->model, site->pid);
	double live = (double)more->alloc_bytes - (double)more->free_bytes;
	double live_count = (double)more->allocs - (double)more->frees;

	add_to_sum(&site->allocated, (double)more->alloc_bytes, (double)more->allocs);
	add_to_sum(&site->freed, (double)more->free_bytes, (double)more->frees);
	add_to_sum(&site->live, live, live_count);
	site->temporary_bytes += (double)more->temporary_bytes;
	site->temporary_count += (double)more->temporaries;
	if (process) {
		add_to_sum(&process->allocated, (double)more->alloc_bytes, (double)more->allocs);
		add_to_sum(&process->freed, (double)more->free_bytes, (double)more->frees);
		add_to_sum(&process->live, live, live_count);
	}
	heap_model_thread(&heap->model, site->pid, tid, (double)more->alloc_bytes, (double)more->allocs);
	heap->model.live_bytes += live;
	if (more->alloc_bytes) {
		heap_emit(heap, HEAP_CHURN, site, now_ns, tid, (double)more->alloc_bytes);
	}
	if (more->temporary_bytes) {
		heap_emit(heap, HEAP_TEMPORARY, site, now_ns, tid, (double)more->temporary_bytes);
	}
}

static void read_stat(struct heap *heap, uint32_t shard, uint32_t stack, uint64_t now_ns)
{
	struct shard_seen *seen = &heap->tally->shards[shard];
	const struct heap_stat *stat = &heap_file_stats(&heap->file)[(uint64_t)shard * HEAP_STACKS + stack];
	struct heap_stat *last = &seen->stats[stack];
	struct heap_stat now, more;

	memcpy(&now, stat, sizeof(now));
	more = (struct heap_stat){ now.allocs - last->allocs,
				   now.alloc_bytes - last->alloc_bytes,
				   now.frees - last->frees,
				   now.free_bytes - last->free_bytes,
				   now.temporaries - last->temporaries,
				   now.temporary_bytes - last->temporary_bytes };
	if (more.allocs == 0 && more.frees == 0) {
		return;
	}
	*last = now;
	take_in(heap, &more, heap->tally->site[stack], seen->tid, now_ns);
}

/* What a shard counted by size and by lifetime since the last time. */
static void take_classes(struct heap *heap, struct shard_seen *seen, const struct heap_shard *now)
{
	struct heap_histogram *histogram = heap_histogram_of(&heap->model, seen->pid, seen->tid);
	double scale = ns_per_tick(heap->tally);

	for (uint32_t i = 0; i < HEAP_LOG2S && histogram; i++) {
		struct heap_class_count *size = &seen->sizes[i], *age = &seen->lifetimes[i];
		double ticks = i ? 1.5 * (double)(1ULL << (i - 1)) : 0; /* the middle of its class */

		add_to_sum(&histogram->made[i], (double)(now->sizes[i].bytes - size->bytes),
			   (double)(now->sizes[i].count - size->count));
		add_to_sum(&histogram->freed[heap_class((uint64_t)(ticks * scale))],
			   (double)(now->lifetimes[i].bytes - age->bytes),
			   (double)(now->lifetimes[i].count - age->count));
	}
	memcpy(seen->sizes, now->sizes, sizeof(seen->sizes));
	memcpy(seen->lifetimes, now->lifetimes, sizeof(seen->lifetimes));
}

/* A shard that somebody used: its counters, as last read. */
static bool shard_in_use(struct heap *heap, uint32_t number, const struct heap_shard *shard)
{
	struct shard_seen *seen = &heap->tally->shards[number];
	struct heap_shard now;
	uint64_t any;

	memcpy(&now, shard, sizeof(now));
	any = now.last;
	for (uint32_t i = 0; i < HEAP_LOG2S; i++) {
		any |= now.sizes[i].count | now.lifetimes[i].count;
	}
	if (now.last) {
		seen->pid = heap_preload_pid(heap, (uint32_t)(now.last >> 32));
		seen->tid = (int32_t)(uint32_t)now.last;
	} else if (seen->pid == 0) {
		seen->pid = heap_preload_pid(heap, 1);
	}
	if (any && !seen->stats) {
		seen->stats = calloc(HEAP_STACKS, sizeof(*seen->stats));
	}
	if (seen->stats) {
		take_classes(heap, seen, &now);
	}
	return seen->stats != NULL;
}

void heap_tally_read(struct heap *heap, uint64_t now_ns)
{
	const struct heap_shard *shards = heap_file_shards(&heap->file);

	for (uint32_t shard = 0; shard < HEAP_SHARDS; shard++) {
		if (!shard_in_use(heap, shard, &shards[shard])) {
			continue;
		}
		for (uint32_t i = 0; i < heap->tally->stack_count; i++) {
			read_stat(heap, shard, heap->tally->stacks[i], now_ns);
		}
	}
}

static void visit_object(struct heap *heap, const struct heap_entry *entry)
{
	struct heap_tally *tally = heap->tally;
	uint32_t site = entry->id < HEAP_STACKS ? tally->site[entry->id] : HEAP_NO_SITE;
	double since_ns = (double)(int64_t)(__rdtsc() - entry->time) * ns_per_tick(tally);
	uint64_t age_ns = since_ns > 0 ? (uint64_t)since_ns : 0;
	/* The table does not say which thread it was. */
	struct heap_histogram *histogram =
		heap_histogram_of(&heap->model, heap_preload_pid(heap, entry->slot), 0);

	if (histogram) {
		add_to_sum(&histogram->live[heap_class(entry->size)], (double)entry->size, 1);
		histogram->censored[heap_class(age_ns)]++;
	}
	if (site == HEAP_NO_SITE) {
		heap->unattributed_bytes += (double)entry->size;
	} else {
		heap_evidence_add(heap, &tally->evidence[site], (double)entry->size, clock_ns() - age_ns);
	}
}

void heap_tally_objects(struct heap *heap, struct heap_evidence *evidence)
{
	heap->tally->evidence = evidence;
	heap_entries(heap, visit_object, heap);
}

void heap_tally_close(struct heap *heap)
{
	for (uint32_t i = 0; heap->tally && i < HEAP_SHARDS; i++) {
		free(heap->tally->shards[i].stats);
	}
	free(heap->tally);
	heap->tally = NULL;
}
