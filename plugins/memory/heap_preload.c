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

#define STACK_BYTES   16384U /* copied of a stack, at most */
#define ALIVE_NS      5000000000ULL
#define GONE_NS       500000000ULL /* a process that ends so shortly before the window does was in use at its end */
#define FRESH_NS      500000000ULL
#define WAIT_NS       1000000000ULL
#define BUSY_PCT      12 /* a ring that fills like this is looked at again soon */
#define BUSY_NS       2000000ULL
#define WAITING_BYTES (64ULL << 20)
#define SAMPLER       "heap-sampler.so"

/* Bits of the kernel's perf_regs.h, x86. */
#define TELL_NS   300000000ULL
#define REGS_MASK (1ULL << 1 | 1ULL << 6 | 1ULL << 7 | 1ULL << 8 | 15ULL << 20)

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

/* The stack's addresses. PFC_EAGAIN: some mappings are missing yet. */
static int32_t walk(struct heap *heap, const struct heap_alloc *alloc, const void *stack,
		    uint64_t ips[HEAP_DEPTH], struct heap_path *ret)
{
	const struct heap_registers *r = &alloc->registers;
	const uint64_t regs[] = { r->bx, r->bp, r->sp, r->ip, r->r12, r->r13, r->r14, r->r15 };
	struct pfc_stack_walk walked = { .struct_size = sizeof(walked), .ips = ips, .room = HEAP_DEPTH };
	struct pfc_stack_sample sample = { .struct_size = sizeof(sample),
					   .flags = is_fresh(heap, alloc) ? PFC_STACK_FRESH : 0,
					   .time_ns = alloc->time_ns,
					   .pid = heap_preload_pid(heap, alloc->record.process),
					   .tid = alloc->tid,
					   .regs_mask = REGS_MASK,
					   .regs = regs,
					   .stack = stack,
					   .stack_bytes = alloc->stack_bytes };
	int32_t rc = heap->stacks->walk(heap->sessions[HEAP_CHURN], &sample, &walked);

	if (rc != PFC_OK && rc != PFC_EAGAIN) {
		ips[0] = r->ip;
		walked.count = 1;
		walked.walk_end = 1;
	}
	*ret = (struct heap_path){ ips, walked.count, walked.walk_end };
	return rc == PFC_EAGAIN ? PFC_EAGAIN : PFC_OK;
}

static uint32_t site_of(struct heap *heap, const struct heap_alloc *alloc, const struct heap_path *path)
{
	return heap_model_site(&heap->model, heap_preload_pid(heap, alloc->record.process), path,
			       alloc->time_ns);
}

static void emit_churn(struct heap *heap, const struct heap_alloc *alloc, uint32_t site)
{
	if (site != HEAP_NO_SITE) {
		heap_emit(heap, HEAP_CHURN, &heap->model.sites[site], alloc->time_ns, alloc->tid,
			  (double)alloc->size / heap_chance(&heap->model, (double)alloc->size));
	}
}

/* The site of a record is known now. */
static void settle(struct heap *heap, const struct heap_alloc *alloc, uint32_t site)
{
	if (alloc->record.kind == HEAP_STACK) {
		heap_tally_stack(heap, alloc, site);
		return;
	}
	emit_churn(heap, alloc, site);
	heap_model_place(&heap->model, alloc->id, site);
}

static bool wait_for_mappings(struct heap *heap, const struct heap_alloc *alloc, const void *stack)
{
	struct heap_waiting *waiting;

	if (heap->waiting_bytes > WAITING_BYTES) {
		return false;
	}
	waiting = malloc(sizeof(*waiting) + alloc->stack_bytes);
	if (!waiting) {
		return false;
	}
	waiting->next = NULL;
	waiting->alloc = *alloc;
	waiting->since_ns = heap->host->now(heap->host->ctx);
	memcpy(waiting->stack, stack, alloc->stack_bytes);
	*heap->waiting_end = waiting;
	heap->waiting_end = &waiting->next;
	heap->waiting_bytes += sizeof(*waiting) + alloc->stack_bytes;
	return true;
}

static void take_alloc(void *ctx, const struct heap_alloc *alloc, const void *stack)
{
	struct heap *heap = ctx;
	int32_t pid = heap_preload_pid(heap, alloc->record.process);
	uint64_t ips[HEAP_DEPTH];
	struct heap_path path;
	uint32_t site = HEAP_NO_SITE;
	bool waits;

	if (heap->t1_ns && alloc->time_ns > heap->t1_ns) {
		heap->skipped_late++;
		return;
	}
	waits = walk(heap, alloc, stack, ips, &path) == PFC_EAGAIN && !heap->t1_ns &&
		wait_for_mappings(heap, alloc, stack);
	if (!waits) {
		site = site_of(heap, alloc, &path);
	}
	if (alloc->record.kind == HEAP_ALLOC) {
		heap_model_alloc(&heap->model, alloc->id, pid, alloc->tid, alloc->size, alloc->time_ns,
				 HEAP_NO_SITE);
	}
	if (!waits) {
		settle(heap, alloc, site);
	}
}

static void take_free(void *ctx, const struct heap_free *freed)
{
	struct heap *heap = ctx;
	struct heap_death death;

	if (heap->t1_ns && freed->time_ns > heap->t1_ns) {
		return;
	}
	if (heap_model_free(&heap->model, freed->id, freed->time_ns, &death) &&
	    death.age_ns < heap->model.temporary_ns) {
		heap_emit(heap, HEAP_TEMPORARY, &heap->model.sites[death.site], death.born_ns, freed->tid,
			  (double)death.size / heap_chance(&heap->model, (double)death.size));
	}
}

/* Those that waited, once more; after a while with what is known. */
static void retry(struct heap *heap, uint64_t now_ns)
{
	struct heap_waiting *at = heap->waiting;

	heap->waiting = NULL;
	heap->waiting_end = &heap->waiting;
	while (at) {
		struct heap_waiting *next = at->next;
		uint64_t ips[HEAP_DEPTH];
		struct heap_path path;

		if (walk(heap, &at->alloc, at->stack, ips, &path) == PFC_EAGAIN &&
		    now_ns < at->since_ns + WAIT_NS) {
			at->next = NULL;
			*heap->waiting_end = at;
			heap->waiting_end = &at->next;
		} else {
			settle(heap, &at->alloc, site_of(heap, &at->alloc, &path));
			heap->waiting_bytes -= sizeof(*at) + at->alloc.stack_bytes;
			free(at);
		}
		at = next;
	}
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
		for (uint32_t i = 0; i < heap->model.object_count; i++) {
			struct heap_object *object = &heap->model.objects[i];

			if (object->is_used && object->site != HEAP_NO_SITE &&
			    heap->model.sites[object->site].pid == pid) {
				heap_model_drop(&heap->model, object);
			}
		}
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

	retry(heap, now_ns);
	return full;
}

void heap_preload_tick(struct heap *heap, uint64_t now_ns)
{
	uint64_t complete_ns = now_ns;

	heap_file_alive(&heap->file, now_ns + ALIVE_NS);
	if (drain(heap, now_ns) > BUSY_PCT) {
		heap->due_ns = now_ns + BUSY_NS;
	}
	if (heap->waiting) {
		complete_ns = heap->waiting->alloc.time_ns;
	}
	heap->stacks->tick(heap->sessions[HEAP_CHURN], complete_ns);
	heap->stacks->tick(heap->sessions[HEAP_TEMPORARY], complete_ns);
	bury_processes(heap, now_ns);
	tell_unseen(heap, now_ns);
}

/* ---- the target's table of live objects ---- */

static void visit_bucket(const struct heap *heap, const struct heap_bucket *bucket,
			 void (*visit)(struct heap *heap, const struct heap_entry *entry), struct heap *to)
{
	for (uint32_t i = 0; i < HEAP_BUCKET_SLOTS; i++) {
		uint64_t key = __atomic_load_n(&bucket->key[i], __ATOMIC_ACQUIRE);
		struct heap_entry entry = { (uint32_t)(key >> 48), key & 0xffffffffffffULL, bucket->id[i],
					    bucket->size[i], bucket->time[i] };

		if (key > 1 && entry.slot > 0 && heap->dead_ns[entry.slot] != UINT64_MAX) {
			visit(to, &entry);
		}
	}
}

void heap_entries(const struct heap *heap, void (*visit)(struct heap *heap, const struct heap_entry *entry),
		  struct heap *to)
{
	uint64_t begin = heap->file.layout.buckets;
	uint64_t end = begin + (sizeof(struct heap_bucket) << heap->file.layout.bucket_bits);
	const struct heap_bucket *buckets = heap_file_buckets(&heap->file);

	for (off_t at = (off_t)begin; at >= 0 && (uint64_t)at < end;) { /* reading a hole would fill it */
		off_t data = lseek(heap->file.fd, at, SEEK_DATA);
		off_t hole = data >= 0 ? lseek(heap->file.fd, data, SEEK_HOLE) : -1;

		if (data < 0 || hole < 0 || (uint64_t)data >= end) {
			return;
		}
		for (uint64_t i = ((uint64_t)data - begin) / sizeof(*buckets);
		     i < ((uint64_t)hole - begin) / sizeof(*buckets) && begin + i * sizeof(*buckets) < end;
		     i++) {
			visit_bucket(heap, &buckets[i], visit, to);
		}
		at = hole;
	}
}

/* Live by the table. What the model does not know lost its record: its size is known all the same. */
static void mark(struct heap *heap, const struct heap_entry *entry)
{
	struct heap_object *object = heap_model_find(&heap->model, entry->id);
	const struct heap_path nowhere = { NULL, 0, 0 };
	int32_t pid = heap_preload_pid(heap, entry->slot);

	if (object && object->born_ns) {
		object->is_marked = true;
		return;
	}
	if (entry->time > heap->t1_ns || pid <= 0) {
		return;
	}
	object = heap_model_alloc(&heap->model, entry->id, pid, pid, entry->size, entry->time,
				  heap_model_site(&heap->model, pid, &nowhere, entry->time));
	if (object) {
		object->is_marked = true;
	}
	heap->unattributed_bytes += (double)entry->size / heap_chance(&heap->model, (double)entry->size);
}

static void reconcile(struct heap *heap)
{
	heap_entries(heap, mark, heap);
	for (uint32_t i = 0; i < heap->model.object_count; i++) {
		struct heap_object *object = &heap->model.objects[i];

		if (object->is_used && !object->is_marked) {
			heap->unrecorded_frees += object->site != HEAP_NO_SITE;
			heap_model_drop(&heap->model, object);
		}
	}
}

/* ---- the end ---- */

void heap_preload_stop(struct heap *heap, uint64_t t1_ns)
{
	heap->t1_ns = t1_ns;
	heap_file_disable(&heap->file);
	drain(heap, heap->host->now(heap->host->ctx));
}

/* Not in stop: the core tells of the target's last mappings when all stages have stopped. */
void heap_preload_settle(struct heap *heap)
{
	const struct timespec pause = { 0, 5000000 };

	drain(heap, heap->host->now(heap->host->ctx));
	while (heap->waiting) { /* for WAIT_NS at most */
		nanosleep(&pause, NULL);
		heap->stacks->tick(heap->sessions[HEAP_CHURN], heap->waiting->alloc.time_ns);
		retry(heap, heap->host->now(heap->host->ctx));
	}
	if (heap->is_exhaustive) { /* now that its stacks are known */
		heap_tally_read(heap, heap->t1_ns);
	} else {
		reconcile(heap);
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

int32_t heap_preload_prepare(struct heap *heap)
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
	heap->waiting_end = &heap->waiting;
	/* With `ready` the target runs for long before the window; then we promise anew in each tick. */
	heap_file_alive(&heap->file, UINT64_MAX);
	return preload(heap);
}

void heap_preload_destroy(struct heap *heap)
{
	struct heap_waiting *at = heap->waiting;

	while (at) {
		struct heap_waiting *next = at->next;

		free(at);
		at = next;
	}
	if (heap->file.fd >= 0) {
		heap_file_disable(&heap->file);
	}
	heap_file_close(&heap->file);
	free(heap->reader);
}
