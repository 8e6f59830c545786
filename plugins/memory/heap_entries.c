/* SPDX-License-Identifier: MIT */
/* The target's table of live objects, as the collector reads it; at the end it has the last word on what is in use. */
#include "heap.h"

#include <unistd.h>

static void visit_bucket(const struct heap *heap, const struct heap_bucket *bucket,
			 void (*visit)(struct heap *heap, const struct heap_entry *entry), struct heap *to)
{
	for (uint32_t i = 0; i < HEAP_BUCKET_SLOTS; i++) {
		uint64_t key = __atomic_load_n(&bucket->key[i], __ATOMIC_ACQUIRE);
		struct heap_entry entry = { (uint32_t)(key >> 48), key & 0xffffffffffffULL,
					    bucket->facts[i].id, bucket->facts[i].size,
					    bucket->facts[i].time };

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

void heap_entries_settle(struct heap *heap)
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
