/* SPDX-License-Identifier: MIT */
/* Reading the sampler's rings: see heap_ring.h and sampler/record.c, the other side. */
#include "heap_ring.h"

#include <string.h>

/* A thread that was killed, or left by longjmp, between reserving and filling. */
#define STALL_NS 2000000000ULL

void heap_reader_init(struct heap_reader *reader, const struct heap_file *file)
{
	memset(reader, 0, sizeof(*reader));
	reader->file = file;
}

static const uint8_t *data_of(const struct heap_reader *reader, uint32_t ring, uint64_t at)
{
	const struct heap_segment *layout = &reader->file->layout;

	return (const uint8_t *)reader->file->segment + layout->ring_data + ring * layout->ring_bytes +
	       (at & (layout->ring_bytes - 1));
}

/* Copy the record at `at`, which must end before `head`. Its bytes; 0: not filled yet; UINT64_MAX: nonsense. */
static uint64_t take(struct heap_reader *reader, uint32_t ring, uint64_t at, uint64_t head)
{
	const struct heap_segment *layout = &reader->file->layout;
	uint64_t rest = layout->ring_bytes - (at & (layout->ring_bytes - 1));
	const uint8_t *from = data_of(reader, ring, at);
	struct heap_record record;

	if (rest < sizeof(record)) { /* no room for a pad at the end of a lap */
		memset(reader->record, 0, sizeof(record));
		return rest;
	}
	if (__atomic_load_n((const uint64_t *)(const void *)from, __ATOMIC_ACQUIRE) != (at ^ layout->nonce)) {
		return 0;
	}
	memcpy(&record, from, sizeof(record));
	if (record.bytes < sizeof(record) || record.bytes % 8 != 0 || record.bytes > rest ||
	    record.bytes > head - at || (record.kind != HEAP_PAD && record.bytes > sizeof(reader->record))) {
		return UINT64_MAX;
	}
	if (record.kind != HEAP_PAD) {
		memcpy(reader->record, from, record.bytes);
	}
	memcpy(reader->record, &record, sizeof(record)); /* what was checked, whatever it says now */
	return record.bytes;
}

static void give(struct heap_reader *reader, const struct heap_sink *sink)
{
	const struct heap_record *record = (const void *)reader->record;
	const struct heap_alloc *alloc = (const void *)reader->record;

	if ((record->kind == HEAP_ALLOC || record->kind == HEAP_STACK) && record->bytes >= sizeof(*alloc) &&
	    alloc->stack_bytes <= record->bytes - sizeof(*alloc)) {
		sink->alloc(sink->ctx, alloc, alloc + 1);
	} else if (record->kind == HEAP_FREE && record->bytes == sizeof(struct heap_free)) {
		sink->freed(sink->ctx, (const void *)reader->record);
	} else if (record->kind != HEAP_PAD && record->kind != 0) {
		reader->broken++;
	}
}

static bool is_stalled(struct heap_reader *reader, uint32_t ring, uint64_t now_ns)
{
	if (reader->stalled_ns[ring] == 0) {
		reader->stalled_ns[ring] = now_ns;
	}
	return now_ns - reader->stalled_ns[ring] > STALL_NS;
}

static unsigned drain_ring(struct heap_reader *reader, uint32_t number, const struct heap_sink *sink,
			   uint64_t now_ns)
{
	struct heap_ring *ring = &heap_file_rings(reader->file)[number];
	uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
	uint64_t at = reader->tails[number];
	uint64_t full = head - at;

	if (head - at > reader->file->layout.ring_bytes) { /* no sampler of ours moves it so far */
		at = head;
		reader->broken++;
	}
	while (at != head) {
		uint64_t bytes = take(reader, number, at, head);

		if (bytes == 0 && !is_stalled(reader, number, now_ns)) {
			break;
		}
		if (bytes == 0 || bytes == UINT64_MAX) {
			reader->broken++;
			at = head;
			break;
		}
		reader->stalled_ns[number] = 0;
		give(reader, sink);
		at += bytes;
	}
	reader->tails[number] = at;
	__atomic_store_n(&ring->tail, at, __ATOMIC_RELEASE);
	return (unsigned)(100 * full / reader->file->layout.ring_bytes);
}

unsigned heap_reader_drain(struct heap_reader *reader, const struct heap_sink *sink, uint64_t now_ns)
{
	unsigned fullest = 0;

	for (uint32_t i = 0; i < HEAP_RINGS; i++) {
		unsigned full = drain_ring(reader, i, sink, now_ns);

		fullest = full > fullest ? full : fullest;
	}
	return fullest;
}

uint64_t heap_reader_lost(const struct heap_reader *reader)
{
	const struct heap_ring *rings = heap_file_rings(reader->file);
	uint64_t lost = 0;

	for (uint32_t i = 0; i < HEAP_RINGS; i++) {
		lost += __atomic_load_n(&rings[i].lost, __ATOMIC_RELAXED);
	}
	return lost;
}
