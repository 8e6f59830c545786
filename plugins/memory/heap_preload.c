/* SPDX-License-Identifier: MIT */
/*
 * The way by the sampler: the shared file, the environment of the launched target, and what comes out of its rings. A record's
 * stack is walked as it comes; a live object keeps its site, some 60 bytes, not its stack.
 */
#include "heap.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Copied of a stack, at most: a server with its buffers on it uses more than 16 KiB. */
#define STACK_BYTES 32768U

#define ALIVE_NS   5000000000ULL
#define GONE_NS    500000000ULL /* a process that ends so shortly before the window does was in use at its end */
#define FRESH_NS   500000000ULL
#define BUSY_PCT   12 /* a ring that fills like this is looked at again soon */
#define BUSY_NS    2000000ULL
#define TELL_NS    300000000ULL
#define GROWTH_MIN (4ULL << 20) /* of anonymous RSS: less says nothing */
#define SAMPLER    "heap-sampler.so"

int32_t heap_preload_pid(const struct heap *heap, uint32_t slot)
{
	return slot > 0 && slot <= HEAP_PROCESSES
		       ? __atomic_load_n(&heap_file_processes(&heap->file)[slot].pid, __ATOMIC_ACQUIRE)
		       : 0;
}

/* So soon after an exec, or a fork, the mappings that are known may be those from before. */
static bool is_fresh(const struct heap *heap, const struct heap_alloc *alloc)
{
	const struct heap_process *processes = heap_file_processes(&heap->file);

	return alloc->time_ns < processes[alloc->record.process].start_ns + FRESH_NS;
}

static void take_alloc(void *ctx, const struct heap_alloc *alloc, const void *stack)
{
	struct heap *heap = ctx;
	const struct heap_registers *r = &alloc->registers;
	const struct heap_taken taken = { .is_object = alloc->record.kind == HEAP_ALLOC,
					  .is_fresh = is_fresh(heap, alloc),
					  .pid = heap_preload_pid(heap, alloc->record.process),
					  .tid = alloc->tid,
					  .id = alloc->id,
					  .size = alloc->size,
					  .time_ns = alloc->time_ns,
					  .regs = { r->bx, r->bp, r->sp, r->ip, r->r12, r->r13, r->r14,
						    r->r15 },
					  .stack_bytes = alloc->stack_bytes,
					  .has_slack = alloc->slack != HEAP_SLACK_UNKNOWN,
					  .slack = alloc->slack };

	heap_take_alloc(heap, &taken, stack);
}

static void take_free(void *ctx, const struct heap_free *freed)
{
	heap_take_free(ctx, freed->id, freed->tid, freed->time_ns);
}

/* The memory of a process that ended is gone; not so when the run ends with it. */
static void bury_processes(struct heap *heap, uint64_t now_ns)
{
	uint32_t count = __atomic_load_n(&heap->file.segment->next_process, __ATOMIC_RELAXED);
	int32_t root = heap_preload_pid(heap, 1);

	for (uint32_t slot = 2; slot <= count && slot <= HEAP_PROCESSES; slot++) {
		int32_t pid = heap_preload_pid(heap, slot);

		if (heap->dead_ns[slot] == UINT64_MAX || pid <= 0 || pid == root) {
			continue;
		}
		if (heap->dead_ns[slot] == 0 && kill(pid, 0) < 0 && errno == ESRCH) {
			heap->dead_ns[slot] = now_ns;
		}
		if (heap->dead_ns[slot] == 0 || now_ns - heap->dead_ns[slot] < GONE_NS) {
			continue;
		}
		heap->dead_ns[slot] = UINT64_MAX;
		heap_model_end(&heap->model, pid);
	}
}

static void tell_unseen(struct heap *heap, uint64_t now_ns)
{
	struct pfc_target target = { .struct_size = sizeof(target) };
	char text[400];

	if (heap->is_told || now_ns < heap->t0_ns + TELL_NS) {
		return;
	}
	if (__atomic_load_n(&heap->file.segment->next_process, __ATOMIC_RELAXED) > 0) {
		heap->is_told = true;
		heap_elf_blind(heap_preload_pid(heap, 1), heap->blind);
		return;
	}
	heap->is_told = true;
	if (heap->host->target(heap->host->ctx, &target) != PFC_OK || target.pid_count == 0 ||
	    !heap_elf_blind(target.pids[0], heap->unseen)) {
		snprintf(heap->unseen, sizeof(heap->unseen), "the target did not load the sampler");
	}
	snprintf(text, sizeof(text), "the heap cannot be seen: %s, continuing without it", heap->unseen);
	heap->host->log(heap->host->ctx, PFC_LOG_WARNING, text);
}

/* How full the fullest ring was, in percent. */
static unsigned drain(struct heap *heap, uint64_t now_ns)
{
	const struct heap_sink sink = { heap, take_alloc, take_free };

	unsigned full = heap_reader_drain(heap->reader, &sink, now_ns);

	heap_take_waiting(heap, now_ns);
	return full;
}

static void preload_tick(struct heap *heap, uint64_t now_ns)
{
	heap_file_alive(&heap->file, now_ns + ALIVE_NS);
	heap->tier->memory->sampler_bytes = heap_file_resident(&heap->file);
	if (drain(heap, now_ns) > BUSY_PCT) {
		heap->due_ns = now_ns + BUSY_NS;
	}
	heap_take_tick(heap, now_ns);
	bury_processes(heap, now_ns);
	tell_unseen(heap, now_ns);
}

/* ---- the end ---- */

static void preload_stop(struct heap *heap)
{
	heap_file_disable(&heap->file);
	drain(heap, heap->host->now(heap->host->ctx));
}

/* Not in stop: the core tells of the target's last mappings when all stages have stopped. */
static void preload_settle(struct heap *heap)
{
	drain(heap, heap->host->now(heap->host->ctx));
	heap_take_last(heap);
	if (heap->is_exhaustive) { /* now that its stacks are known */
		heap_tally_read(heap, heap->t1_ns);
	} else {
		heap_entries_settle(heap);
	}
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
static void preload_judge(struct heap *heap)
{
	const struct heap_process *process = &heap_file_processes(&heap->file)[1];
	bool is_shadowed = process->flags & HEAP_PROCESS_SHADOWED;

	find_allocator(heap);
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

static void preload_state(struct heap *heap, const struct pfc_writer *writer)
{
	const struct pfc_host *host = heap->host;
	const struct heap_segment *segment = heap->file.segment;
	uint64_t lost = heap_reader_lost(heap->reader);

	writer->fact_text(writer->ctx, "heap_by",
			  heap->is_exhaustive ? "preload, every call" : "preload, sampled");
	writer->fact_number(writer->ctx, "heap_processes", segment->next_process);
	writer->fact_number(writer->ctx, "sampler_bytes", (double)heap_file_resident(&heap->file));
	if (lost) {
		host->loss(host->ctx, "churn", "ring_full", lost);
	}
	if (heap->reader->broken) {
		host->loss(host->ctx, "churn", "record_broken", heap->reader->broken);
	}
	if (segment->live_full) {
		host->loss(host->ctx, "heap", "live_table_full", segment->live_full);
	}
	if (segment->stacks_full) {
		host->loss(host->ctx, "churn", "stack_table_full", segment->stacks_full);
	}
	if (segment->processes_refused) {
		host->loss(host->ctx, "churn", "too_many_processes", segment->processes_refused);
	}
}

/* Beside the plugin; in a build folder still in its own. */
static bool find_sampler(const struct pfc_host *host, char path[4096])
{
	static const char *const places[] = { "", "memory/sampler/" };
	const char *folder = host->text(host->ctx, PFC_TEXT_PLUGIN_DIR);

	for (size_t i = sizeof(places) / sizeof(places[0]); i-- > 0;) {
		if (snprintf(path, 4096, "%s/%s%s", folder, places[i], SAMPLER) < 4096 &&
		    access(path, R_OK) == 0) {
			return true;
		}
	}
	return false;
}

static int32_t preload(struct heap *heap)
{
	const struct pfc_host *host = heap->host;
	char path[4096], address[64];
	int32_t rc;

	if (!find_sampler(host, path)) {
		return host->fail(host->ctx, PFC_ENOENT, "find the heap sampler", path,
				  "install profcore whole, or mode = resident");
	}
	if (strpbrk(path, ": ")) {
		return host->fail(host->ctx, PFC_EINVAL, "preload the heap sampler",
				  "a path in LD_PRELOAD has no spaces and colons",
				  "put profcore into another folder, or mode = resident");
	}
	heap_file_address(&heap->file, address);
	rc = host->target_env(host->ctx, HEAP_ENV, address);
	if (rc == PFC_OK) {
		rc = host->target_env(host->ctx, "LD_PRELOAD", path);
	}
	return rc == PFC_OK ? PFC_OK
			    : host->fail(host->ctx, rc, "set the target's environment", "the host refused it",
					 NULL);
}

static int32_t preload_prepare(struct heap *heap)
{
	const struct pfc_host *host = heap->host;
	struct heap_wish wish = { .period_bytes = heap->period_bytes,
				  .stack_bytes = STACK_BYTES,
				  .is_exhaustive = heap->is_exhaustive };
	int error;

	if (heap->is_exhaustive && heap_tally_open(heap) < 0) {
		return host->fail(host->ctx, PFC_ENOMEM, "prepare the heap's counters", "out of memory",
				  NULL);
	}
	wish.temporary_ticks = heap_tally_ticks(heap, heap->model.temporary_ns);
	error = heap_file_make(&heap->file, &wish);
	heap->reader = error == 0 ? malloc(sizeof(*heap->reader)) : NULL;
	if (!heap->reader) {
		return host->fail(host->ctx, error ? PFC_EIO : PFC_ENOMEM,
				  "make the heap sampler's memory file",
				  error ? strerror(-error) : "out of memory", NULL);
	}
	heap_reader_init(heap->reader, &heap->file);
	/* With `ready` the target runs for long before the window; then we promise anew in each tick. */
	heap_file_alive(&heap->file, UINT64_MAX);
	return preload(heap);
}

static void preload_destroy(struct heap *heap)
{
	if (heap->file.fd >= 0) {
		heap_file_disable(&heap->file);
	}
	heap_file_close(&heap->file);
	free(heap->reader);
}

static int32_t preload_probe(struct heap *heap)
{
	struct pfc_target target = { .struct_size = sizeof(target) };
	const struct pfc_host *host = heap->host;
	char what[160], cost[160];

	if (host->target(host->ctx, &target) != PFC_OK || strcmp(target.kind, "command") != 0) {
		return heap_refuse(heap, "the sampler can only be preloaded into a target that is launched",
				   "launch the program: command in [target]");
	}
	if (heap->is_exhaustive) {
		snprintf(what, sizeof(what),
			 "heap: every allocation, by a sampler preloaded into dynamically linked programs");
		snprintf(cost, sizeof(cost), "some 75 ns for a malloc and free");
	} else {
		snprintf(what, sizeof(what),
			 "heap: an allocation in %llu KiB, by a sampler preloaded into dynamically linked "
			 "programs",
			 (unsigned long long)(heap->period_bytes + 512) / 1024);
		snprintf(cost, sizeof(cost), "2 to 3 ns for a malloc and free, 1 us a sample");
	}
	plan_sees(&heap->tier->memory->plan, what, cost);
	return PFC_OK;
}

const struct heap_way heap_way_preload = {
	.probe = preload_probe,
	.prepare = preload_prepare,
	.tick = preload_tick,
	.stop = preload_stop,
	.settle = preload_settle,
	.judge = preload_judge,
	.state = preload_state,
	.destroy = preload_destroy,
};
