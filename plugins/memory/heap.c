/* SPDX-License-Identifier: MIT */
/*
 * The heap as the allocator sees it: options, which way is taken, its window and its end. The way by a sampler in a launched
 * target is heap_preload.c.
 */
#include "heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "processes.h"

#define WHAT         "heap: in use, churn, temporary, leaks"
#define TICK_NS      20000000ULL
#define TOTALS_NS    500000000ULL
#define TALLY_NS     250000000ULL
#define TEMPORARY_NS 1000000ULL

static const char *const heap_ports[] = { "heap", "churn", "temporary", NULL };

static int32_t heap_create(struct memory *memory, void **ret_self)
{
	struct heap *heap = calloc(1, sizeof(*heap));

	if (!heap) {
		return memory->host->fail(memory->host->ctx, PFC_ENOMEM, "create the heap tier",
					  "out of memory", NULL);
	}
	heap->host = memory->host;
	heap->file.fd = -1;
	heap->waiting_end = &heap->waiting;
	heap->is_exhaustive = pfc_option_int(memory->host, "exhaustive", 0) != 0;
	heap->period_bytes = (uint64_t)pfc_option_int(memory->host, "sample", 512 << 10);
	heap->period_bytes += heap->period_bytes == 0;
	*ret_self = heap;
	return PFC_OK;
}

int32_t heap_refuse(struct heap *heap, const char *why, const char *remedy)
{
	struct tier *tier = heap->tier;
	const struct pfc_host *host = tier_host(tier);

	if (tier->memory->mode == MODE_AUTO || tier->memory->mode == MODE_RESIDENT) {
		return tier_off(tier, WHAT, why, remedy);
	}
	return host->fail(host->ctx, PFC_ENOTSUP, "see the heap", why, remedy);
}

/* What mode = auto means: the sampler where the target is launched, else probes. */
static int32_t choose_way(struct heap *heap)
{
	struct pfc_target target = { .struct_size = sizeof(target) };
	struct memory *memory = heap->tier->memory;
	bool is_launched =
		heap->host->target(heap->host->ctx, &target) == PFC_OK && strcmp(target.kind, "command") == 0;

	heap->way = &heap_way_preload;
	if (memory->mode == MODE_UPROBES || (memory->mode == MODE_AUTO && !is_launched)) {
#ifdef WITH_BPF
		heap->way = &heap_way_uprobes;
#else
		heap->way = NULL;
		snprintf(memory->lacks, sizeof(memory->lacks),
			 "no heap: this profcore was built without BPF");
		return heap_refuse(
			heap, "this profcore was built without BPF, and so sees only heaps that it launches",
			"install libbpf-dev, clang and bpftool, and build it again");
#endif
	}
	return heap->way->probe(heap);
}

static int32_t heap_probe(struct tier *tier)
{
	struct heap *heap = tier->self;
	const struct pfc_host *host = heap->host;

	heap->tier = tier;
	if (tier->memory->mode == MODE_RESIDENT) {
		return heap_refuse(heap, "mode = resident leaves it out", NULL);
	}
	heap->stacks = host->extension(host->ctx, PFC_EXT_STACKS);
	if (!heap->stacks || !PFC_HAS(heap->stacks, walk) || !PFC_HAS(heap->stacks, intern) ||
	    !PFC_HAS(heap->stacks, name)) {
		return heap_refuse(heap, "this host does not walk copied stacks",
				   "use a newer profcore, on x86-64");
	}
	return choose_way(heap);
}

static int32_t open_session(struct heap *heap, enum heap_port port)
{
	static const char *const events[HEAP_PORTS] = { "heap-in-use", "heap-allocated", "heap-temporary" };
	struct pfc_stacks_config config = { .struct_size = sizeof(config),
					    .port = heap_ports[port],
					    .event = events[port],
					    .weight_unit = "bytes" };
	int32_t rc = heap->stacks->open(heap->stacks->ctx, &config, &heap->sessions[port]);

	return rc == PFC_OK ? PFC_OK
			    : heap->host->fail(heap->host->ctx, rc, "open the stack service",
					       "it could not begin its output", NULL);
}

static int32_t heap_prepare(struct tier *tier)
{
	struct heap *heap = tier->self;
	int32_t rc = PFC_OK;

	if (heap_model_init(&heap->model, heap->is_exhaustive ? 0 : (double)heap->period_bytes,
			    TEMPORARY_NS) < 0) {
		return heap->host->fail(heap->host->ctx, PFC_ENOMEM, "prepare the heap's model",
					"out of memory", NULL);
	}
	rc = heap->way->prepare(heap);
	for (int port = 0; port < HEAP_PORTS && rc == PFC_OK && !tier->is_off; port++) {
		rc = open_session(heap, port);
	}
	return rc;
}

static uint64_t anon_now(const struct heap *heap)
{
	const struct processes *processes = heap->tier->memory->processes;
	uint64_t anon = 0;

	for (size_t i = 0; processes && i < processes->count; i++) {
		anon += processes->items[i].is_gone ? 0 : processes->items[i].status.anon;
	}
	return anon;
}

static int32_t heap_start(struct tier *tier, uint64_t t0_ns)
{
	struct heap *heap = tier->self;
	struct pfc_window window = { .struct_size = sizeof(window) };

	heap->t0_ns = t0_ns;
	heap->model.t0_ns = t0_ns;
	heap->anon_first = anon_now(heap);
	if (heap->host->window(heap->host->ctx, &window) == PFC_OK && window.duration_ns) {
		heap->model.old_ns = (uint64_t)(heap_leak_age((double)window.duration_ns / 1e9) * 1e9);
	}
	return heap->way->start ? heap->way->start(heap) : PFC_OK;
}

uint64_t heap_growth(const struct heap *heap)
{
	uint64_t before = heap->way->starts_late ? heap->anon_first : 0;

	return heap->anon_peak > before ? heap->anon_peak - before : 0;
}

static void watch_coverage(struct heap *heap)
{
	uint64_t anon = anon_now(heap);

	heap->anon_first = heap->anon_first ? heap->anon_first : anon;
	if (anon > heap->anon_peak) {
		heap->anon_peak = anon;
		heap->live_at_peak = heap->model.live_bytes;
		heap->live_half_at_peak = heap_model_live_half(&heap->model);
	}
}

static int32_t heap_tick(struct tier *tier, uint64_t now_ns)
{
	struct heap *heap = tier->self;
	int32_t rc = PFC_OK;

	heap->due_ns = now_ns + TICK_NS;
	heap->way->tick(heap, now_ns);
	if (now_ns < heap->totals_ns) {
		return PFC_OK;
	}
	if (heap->is_exhaustive) {
		heap_tally_read(heap, now_ns);
	}
	heap->totals_ns = now_ns + (heap->is_exhaustive ? TALLY_NS : TOTALS_NS);
	heap_model_watch_peak(&heap->model, now_ns);
	watch_coverage(heap);
	rc = heap_write_totals(heap, now_ns);
	heap->host->metric(heap->host->ctx, "heap", heap->model.live_bytes > 0 ? heap->model.live_bytes : 0);
	return rc;
}

static int heap_fd(struct tier *tier, uint32_t index)
{
	struct heap *heap = tier->self;

	return index == 0 && heap->way->fd ? heap->way->fd(heap) : -1;
}

static uint64_t heap_due(struct tier *tier)
{
	return ((struct heap *)tier->self)->due_ns;
}

static int32_t heap_stop(struct tier *tier, uint64_t t1_ns)
{
	struct heap *heap = tier->self;

	heap->t1_ns = t1_ns;
	heap->way->stop(heap);
	watch_coverage(heap);
	return PFC_OK;
}

void heap_emit(struct heap *heap, enum heap_port port, const struct heap_site *site, uint64_t time_ns,
	       int32_t tid, double weight)
{
	struct pfc_stack_sample sample = { .struct_size = sizeof(sample),
					   .flags = PFC_STACK_WALKED,
					   .time_ns = time_ns,
					   .weight = (uint64_t)(weight > 0 ? weight + 0.5 : 0),
					   .pid = site->pid,
					   .tid = tid,
					   .cpu = -1,
					   .user_ips = site->ips,
					   .user_ip_count = site->ip_count,
					   .walk_end = site->walk_end };

	heap->stacks->add(heap->sessions[port], &sample); /* what cannot be kept the service counts */
}

/* What is in use at the end, dated by its birth, or by the window's start if that came later. */
static void emit_in_use(struct heap *heap)
{
	const struct heap_model *model = &heap->model;

	for (uint32_t i = 0; i < model->object_count; i++) {
		const struct heap_object *object = &model->objects[i];

		if (object->is_used && object->site != HEAP_NO_SITE) {
			heap_emit(heap, HEAP_IN_USE, &model->sites[object->site],
				  object->born_ns > heap->t0_ns ? object->born_ns : heap->t0_ns,
				  object->thread < model->thread_count ? model->threads[object->thread].tid
								       : model->sites[object->site].pid,
				  (double)object->size / heap_chance(model, (double)object->size));
		}
	}
	for (uint32_t i = 0; heap->is_exhaustive && i < model->site_count; i++) {
		const struct heap_site *site = &model->sites[i];

		if (site->live.bytes > 0) {
			heap_emit(heap, HEAP_IN_USE, site, heap->t1_ns, site->pid, site->live.bytes);
		}
	}
}

/* Rows of all sites in the churn artifact, so that the tables can name them. */
static void find_rows(struct heap *heap)
{
	for (uint32_t i = 0; i < heap->model.site_count; i++) {
		struct heap_site *site = &heap->model.sites[i];
		struct pfc_stack_sample sample = { .struct_size = sizeof(sample),
						   .flags = PFC_STACK_WALKED,
						   .time_ns = site->seen_ns,
						   .pid = site->pid,
						   .tid = site->pid,
						   .user_ips = site->ips,
						   .user_ip_count = site->ip_count,
						   .walk_end = site->walk_end };
		uint32_t row;

		if (heap->stacks->intern(heap->sessions[HEAP_CHURN], &sample, &row) == PFC_OK) {
			site->row = row;
		}
	}
}

static int32_t finish_sessions(struct heap *heap)
{
	static const char *const none[HEAP_PORTS] = { "nothing was in use at the end",
						      "nothing was allocated",
						      "nothing was freed within 1 ms" };
	int32_t rc = PFC_OK;

	for (int port = 0; port < HEAP_PORTS && rc == PFC_OK; port++) {
		bool is_needed = port == HEAP_CHURN && heap->model.site_count > 0;

		rc = is_needed || heap->stacks->sample_count(heap->sessions[port]) > 0
			     ? heap->stacks->finish(heap->sessions[port])
			     : PFC_ENODATA;
		if (rc == PFC_ENODATA) {
			tier_absent(heap->tier->memory, heap_ports[port],
				    heap->unseen[0]                           ? heap->unseen
				    : port == HEAP_IN_USE && heap->no_live[0] ? heap->no_live
									      : none[port]);
			rc = PFC_OK;
		}
	}
	return rc;
}

static int32_t heap_finish(struct tier *tier)
{
	struct heap *heap = tier->self;
	struct heap_evidence *evidence;
	int32_t rc;

	heap->way->settle(heap);
	heap_model_watch_peak(&heap->model, heap->t1_ns);
	rc = heap_write_totals(heap, heap->t1_ns);
	heap->way->judge(heap);
	heap_state_facts(heap);
	if (!heap->no_live[0]) {
		emit_in_use(heap);
	}
	find_rows(heap);
	evidence = heap_evidence_make(heap);
	if (!evidence) {
		return heap->host->fail(heap->host->ctx, PFC_ENOMEM, "judge the heap's growth",
					"out of memory", NULL);
	}
	rc = rc == PFC_OK ? finish_sessions(heap) : rc;
	if (rc == PFC_OK && !heap->unseen[0]) {
		rc = heap_write_end(heap, evidence);
	}
	free(evidence);
	return rc;
}

static void heap_destroy(struct tier *tier)
{
	struct heap *heap = tier->self;

	if (!heap) {
		return;
	}
	for (int port = 0; port < HEAP_PORTS; port++) {
		if (heap->sessions[port]) {
			heap->stacks->close(heap->sessions[port]);
		}
	}
	if (heap->way) {
		heap->way->destroy(heap);
	}
	heap_take_destroy(heap);
	heap_tally_close(heap);
	if (heap->model.site_heads) {
		heap_model_finish(&heap->model);
	}
	free(heap);
	tier->self = NULL;
}

const struct tier_calls tier_heap = { .name = "heap",
				      .create = heap_create,
				      .probe = heap_probe,
				      .prepare = heap_prepare,
				      .start = heap_start,
				      .fd = heap_fd,
				      .tick = heap_tick,
				      .due = heap_due,
				      .stop = heap_stop,
				      .finish = heap_finish,
				      .destroy = heap_destroy,
				      .ports = heap_ports };
