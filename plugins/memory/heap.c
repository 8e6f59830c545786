/* SPDX-License-Identifier: MIT */
/*
 * The heap as the allocator sees it: options, which way is taken, and what is stated at the end. The way by a sampler in a
 * launched target is heap_preload.c.
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
#define GROWTH_MIN   (4ULL << 20) /* of anonymous RSS, below which a percentage of it says nothing */

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
	heap->is_exhaustive = pfc_option_int(memory->host, "exhaustive", 0) != 0;
	heap->period_bytes = (uint64_t)pfc_option_int(memory->host, "sample", 512 << 10);
	heap->period_bytes += heap->period_bytes == 0;
	*ret_self = heap;
	return PFC_OK;
}

/* Not the way that was asked for: off where the mode is auto, else a failure. */
static int32_t refuse(struct tier *tier, const char *why, const char *remedy)
{
	const struct pfc_host *host = tier_host(tier);

	if (tier->memory->mode == MODE_AUTO || tier->memory->mode == MODE_RESIDENT) {
		return tier_off(tier, WHAT, why, remedy);
	}
	return host->fail(host->ctx, PFC_ENOTSUP, "see the heap", why, remedy);
}

static void plan_line(struct heap *heap)
{
	char what[160], cost[160];

	if (heap->is_exhaustive) {
		snprintf(what, sizeof(what),
			 "heap: every allocation of dynamically linked programs, by a preloaded sampler");
		snprintf(cost, sizeof(cost), "about 100 ns for each malloc and free");
	} else {
		snprintf(what, sizeof(what),
			 "heap: one allocation in %llu KiB of dynamically linked programs, by a preloaded "
			 "sampler",
			 (unsigned long long)(heap->period_bytes + 512) / 1024);
		snprintf(cost, sizeof(cost), "2 to 6 ns for each malloc and free, 2 us for each sample");
	}
	plan_sees(&heap->tier->memory->plan, what, cost);
}

static int32_t heap_probe(struct tier *tier)
{
	struct heap *heap = tier->self;
	const struct pfc_host *host = heap->host;
	struct pfc_target target = { .struct_size = sizeof(target) };

	heap->tier = tier;
	if (tier->memory->mode == MODE_RESIDENT) {
		return refuse(tier, "mode = resident leaves it out", NULL);
	}
	if (tier->memory->mode == MODE_UPROBES) {
		return refuse(tier, "this version does not see the heap by probes yet", "mode = auto");
	}
	heap->stacks = host->extension(host->ctx, PFC_EXT_STACKS);
	if (!heap->stacks || !PFC_HAS(heap->stacks, walk) || !PFC_HAS(heap->stacks, intern) ||
	    !PFC_HAS(heap->stacks, name)) {
		return refuse(tier, "this host does not walk copied stacks",
			      "use a newer profcore, on x86-64");
	}
	if (host->target(host->ctx, &target) != PFC_OK || strcmp(target.kind, "command") != 0) {
		return refuse(tier, "the sampler can only be preloaded into a target that is launched",
			      "launch the program: command in [target]");
	}
	plan_line(heap);
	return PFC_OK;
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
	for (int port = 0; port < HEAP_PORTS && rc == PFC_OK; port++) {
		rc = open_session(heap, port);
	}
	return rc == PFC_OK ? heap_preload_prepare(heap) : rc;
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
	if (heap->host->window(heap->host->ctx, &window) == PFC_OK && window.duration_ns) {
		heap->model.old_ns = (uint64_t)(heap_leak_age((double)window.duration_ns / 1e9) * 1e9);
	}
	return PFC_OK;
}

static void watch_coverage(struct heap *heap)
{
	uint64_t anon = anon_now(heap);

	if (anon > heap->anon_peak) {
		heap->anon_peak = anon;
		heap->live_at_peak = heap->model.live_bytes;
	}
}

static int32_t heap_tick(struct tier *tier, uint64_t now_ns)
{
	struct heap *heap = tier->self;
	int32_t rc = PFC_OK;

	heap->due_ns = now_ns + TICK_NS;
	heap_preload_tick(heap, now_ns);
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

static uint64_t heap_due(struct tier *tier)
{
	return ((struct heap *)tier->self)->due_ns;
}

static int32_t heap_stop(struct tier *tier, uint64_t t1_ns)
{
	struct heap *heap = tier->self;

	heap_preload_stop(heap, t1_ns);
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
				    heap->unseen[0] ? heap->unseen : none[port]);
			rc = PFC_OK;
		}
	}
	return rc;
}

static void find_allocator(struct heap *heap)
{
	const struct heap_process *process = &heap_file_processes(&heap->file)[1];
	char name[sizeof(process->allocator) + 1] = "";

	memcpy(name, process->allocator, sizeof(process->allocator));
	if (strstr(name, "jemalloc")) {
		snprintf(heap->allocator, sizeof(heap->allocator), "jemalloc (%.40s)", name);
	} else if (strstr(name, "mimalloc")) {
		snprintf(heap->allocator, sizeof(heap->allocator), "mimalloc (%.40s)", name);
	} else if (strstr(name, "tcmalloc")) {
		snprintf(heap->allocator, sizeof(heap->allocator), "tcmalloc (%.40s)", name);
	} else if (strstr(name, "musl")) {
		snprintf(heap->allocator, sizeof(heap->allocator), "musl (%.40s)", name);
	} else if (strncmp(name, "libc.so.6", 9) == 0) {
		snprintf(heap->allocator, sizeof(heap->allocator), "glibc (%.40s)", name);
	} else {
		snprintf(heap->allocator, sizeof(heap->allocator), "%.50s", name[0] ? name : "unknown");
	}
}

/* Whether the sampler saw the heap at all. A heap that grew unseen is not an empty one. */
static void judge_sight(struct heap *heap)
{
	const struct heap_process *process = &heap_file_processes(&heap->file)[1];
	bool is_shadowed = process->flags & HEAP_PROCESS_SHADOWED;

	if (heap->unseen[0]) {
		return;
	}
	if (process->pid == 0) {
		snprintf(heap->unseen, sizeof(heap->unseen),
			 "the target did not load the sampler, or ended before it could be asked why");
	} else if (heap->model.site_count == 0 &&
		   (is_shadowed || (heap->blind[0] && heap->anon_peak > GROWTH_MIN))) {
		snprintf(heap->unseen, sizeof(heap->unseen), "%s",
			 heap->blind[0]
				 ? heap->blind
				 : "the program brings a malloc of its own, which is called inside it");
	}
}

static void state_losses(struct heap *heap)
{
	const struct pfc_host *host = heap->host;
	uint64_t lost = heap_reader_lost(heap->reader);

	if (lost) {
		host->loss(host->ctx, "churn", "ring_full", lost);
	}
	if (heap->reader->broken) {
		host->loss(host->ctx, "churn", "record_broken", heap->reader->broken);
	}
	if (heap->file.segment->live_full) {
		host->loss(host->ctx, "heap", "live_table_full", heap->file.segment->live_full);
	}
	if (heap->file.segment->stacks_full) {
		host->loss(host->ctx, "churn", "stack_table_full", heap->file.segment->stacks_full);
	}
	if (heap->file.segment->processes_refused) {
		host->loss(host->ctx, "churn", "too_many_processes", heap->file.segment->processes_refused);
	}
	if (heap->model.no_room) {
		host->loss(host->ctx, "churn", "model_full", heap->model.no_room);
	}
}

static void state_facts(struct heap *heap)
{
	const struct pfc_writer *writer = heap->tier->memory->tables.writer;
	uint32_t processes = heap->file.segment->next_process;
	char lack[256];

	writer->fact_text(writer->ctx, "heap_by",
			  heap->is_exhaustive ? "preload, every call" : "preload, sampled");
	writer->fact_number(writer->ctx, "heap_sample_bytes",
			    heap->is_exhaustive ? 1 : (double)heap->period_bytes);
	writer->fact_number(writer->ctx, "heap_processes", processes);
	if (heap->unseen[0]) {
		snprintf(lack, sizeof(lack), "no heap: %.230s", heap->unseen);
		writer->fact_text(writer->ctx, "heap_unseen", heap->unseen);
		writer->fact_text(writer->ctx, "partial", lack);
		return;
	}
	writer->fact_text(writer->ctx, "heap_allocator", heap->allocator);
	writer->fact_number(writer->ctx, "heap_live_bytes", heap->model.live_bytes);
	writer->fact_number(writer->ctx, "heap_peak_bytes", heap->model.peak_bytes);
	writer->fact_number(writer->ctx, "heap_unattributed_bytes", heap->unattributed_bytes);
	writer->fact_number(writer->ctx, "heap_frees_unrecorded", (double)heap->unrecorded_frees);
	if (heap->model.site_count == 0 && heap->anon_peak > GROWTH_MIN) {
		writer->fact_text(writer->ctx, "heap_note",
				  "memory came into use, none of it by malloc: the program maps its own");
	}
	if (heap->anon_peak > GROWTH_MIN) {
		writer->fact_number(writer->ctx, "heap_coverage_pct",
				    100 * heap->live_at_peak / (double)heap->anon_peak);
		writer->fact_number(writer->ctx, "heap_coverage_of_bytes", (double)heap->anon_peak);
	}
}

static int32_t heap_finish(struct tier *tier)
{
	struct heap *heap = tier->self;
	struct heap_evidence *evidence;
	int32_t rc;

	heap_preload_settle(heap);
	heap_model_watch_peak(&heap->model, heap->t1_ns);
	rc = heap_write_totals(heap, heap->t1_ns);
	judge_sight(heap);
	find_allocator(heap);
	state_losses(heap);
	state_facts(heap);
	emit_in_use(heap);
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
	heap_preload_destroy(heap);
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
				      .tick = heap_tick,
				      .due = heap_due,
				      .stop = heap_stop,
				      .finish = heap_finish,
				      .destroy = heap_destroy,
				      .ports = heap_ports };
