/* SPDX-License-Identifier: MIT */
/* From a record of either way to the model: the stack is walked as it comes; a live object keeps its site, some 60 bytes, not its stack. */
#include "heap.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAIT_NS       1000000000ULL
#define WAITING_BYTES (64ULL << 20)

/* Bits of the kernel's perf_regs.h, x86: bx, bp, sp, ip, r12 to r15. */
#define REGS_MASK (1ULL << 1 | 1ULL << 6 | 1ULL << 7 | 1ULL << 8 | 15ULL << 20)
#define REG_IP    3

/* The stack's addresses. PFC_EAGAIN: some mappings are missing yet. */
static int32_t walk(struct heap *heap, const struct heap_taken *taken, const void *stack,
		    uint64_t ips[HEAP_DEPTH], struct heap_path *ret)
{
	struct pfc_stack_walk walked = { .struct_size = sizeof(walked), .ips = ips, .room = HEAP_DEPTH };
	struct pfc_stack_sample sample = { .struct_size = sizeof(sample),
					   .flags = taken->is_fresh ? PFC_STACK_FRESH : 0,
					   .time_ns = taken->time_ns,
					   .pid = taken->pid,
					   .tid = taken->tid,
					   .regs_mask = REGS_MASK,
					   .regs = taken->regs,
					   .stack = stack,
					   .stack_bytes = taken->stack_bytes };
	int32_t rc = heap->stacks->walk(heap->sessions[HEAP_CHURN], &sample, &walked);

	if (rc != PFC_OK && rc != PFC_EAGAIN) {
		ips[0] = taken->regs[REG_IP];
		walked.count = 1;
		walked.walk_end = 1;
	}
	*ret = (struct heap_path){ ips, walked.count, walked.walk_end };
	return rc == PFC_EAGAIN ? PFC_EAGAIN : PFC_OK;
}

static uint32_t site_of(struct heap *heap, const struct heap_taken *taken, const struct heap_path *path)
{
	return heap_model_site(&heap->model, taken->pid, path, taken->time_ns);
}

/* The site of a record is known now. */
static void settle(struct heap *heap, const struct heap_taken *taken, uint32_t site)
{
	if (!taken->is_object) {
		heap_tally_stack(heap, taken->id, site);
		return;
	}
	if (site != HEAP_NO_SITE) {
		heap_emit(heap, HEAP_CHURN, &heap->model.sites[site], taken->time_ns, taken->tid,
			  heap->model.scale * (double)taken->size /
				  heap_chance(&heap->model, (double)taken->size));
	}
	heap_model_place(&heap->model, taken->id, site);
}

static bool wait_for_mappings(struct heap *heap, const struct heap_taken *taken, const void *stack)
{
	struct heap_waiting *waiting;

	if (heap->waiting_bytes > WAITING_BYTES) {
		return false;
	}
	waiting = malloc(sizeof(*waiting) + taken->stack_bytes);
	if (!waiting) {
		return false;
	}
	waiting->next = NULL;
	waiting->taken = *taken;
	waiting->since_ns = heap->host->now(heap->host->ctx);
	memcpy(waiting->stack, stack, taken->stack_bytes);
	*heap->waiting_end = waiting;
	heap->waiting_end = &waiting->next;
	heap->waiting_bytes += sizeof(*waiting) + taken->stack_bytes;
	return true;
}

void heap_take_alloc(struct heap *heap, const struct heap_taken *taken, const void *stack)
{
	uint64_t ips[HEAP_DEPTH];
	struct heap_path path;
	uint32_t site = HEAP_NO_SITE;
	bool waits;

	if (heap->t1_ns && taken->time_ns > heap->t1_ns) {
		heap->skipped_late++;
		return;
	}
	waits = walk(heap, taken, stack, ips, &path) == PFC_EAGAIN && !heap->t1_ns &&
		wait_for_mappings(heap, taken, stack);
	if (!waits) {
		site = site_of(heap, taken, &path);
	}
	if (taken->is_object) {
		struct heap_object *object = heap_model_alloc(&heap->model, taken->id, taken->pid, taken->tid,
							      taken->size, taken->time_ns, HEAP_NO_SITE);

		if (object) {
			object->has_slack = taken->has_slack;
			object->slack = taken->slack;
		}
	}
	if (!waits) {
		settle(heap, taken, site);
	}
}

void heap_take_free(struct heap *heap, uint64_t id, int32_t tid, uint64_t time_ns)
{
	struct heap_death death;

	if (heap->t1_ns && time_ns > heap->t1_ns) {
		return;
	}
	if (heap_model_free(&heap->model, id, time_ns, &death) && death.age_ns < heap->model.temporary_ns) {
		heap_emit(heap, HEAP_TEMPORARY, &heap->model.sites[death.site], death.born_ns, tid,
			  death.scale * (double)death.size / heap_chance(&heap->model, (double)death.size));
	}
}

void heap_take_waiting(struct heap *heap, uint64_t now_ns)
{
	struct heap_waiting *at = heap->waiting;

	heap->waiting = NULL;
	heap->waiting_end = &heap->waiting;
	while (at) {
		struct heap_waiting *next = at->next;
		uint64_t ips[HEAP_DEPTH];
		struct heap_path path;

		if (walk(heap, &at->taken, at->stack, ips, &path) == PFC_EAGAIN &&
		    now_ns < at->since_ns + WAIT_NS) {
			at->next = NULL;
			*heap->waiting_end = at;
			heap->waiting_end = &at->next;
		} else {
			settle(heap, &at->taken, site_of(heap, &at->taken, &path));
			heap->waiting_bytes -= sizeof(*at) + at->taken.stack_bytes;
			free(at);
		}
		at = next;
	}
}

void heap_take_tick(struct heap *heap, uint64_t now_ns)
{
	uint64_t complete_ns = heap->waiting ? heap->waiting->taken.time_ns : now_ns;

	heap->stacks->tick(heap->sessions[HEAP_CHURN], complete_ns);
	heap->stacks->tick(heap->sessions[HEAP_TEMPORARY], complete_ns);
}

void heap_take_last(struct heap *heap)
{
	const struct timespec pause = { 0, 5000000 };

	while (heap->waiting) { /* for WAIT_NS at most */
		nanosleep(&pause, NULL);
		heap->stacks->tick(heap->sessions[HEAP_CHURN], heap->waiting->taken.time_ns);
		heap_take_waiting(heap, heap->host->now(heap->host->ctx));
	}
}

void heap_take_destroy(struct heap *heap)
{
	struct heap_waiting *at = heap->waiting;

	while (at) {
		struct heap_waiting *next = at->next;

		free(at);
		at = next;
	}
}
