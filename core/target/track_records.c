/* SPDX-License-Identifier: MIT */
/* Records as the kernel writes them, checked and copied out of a ring. */
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>

#include "target/track_inside.h"

static struct pending *add_pending(struct track_perf *perf)
{
	struct pending *pending;

	if (perf->pending_count == perf->pending_room) {
		size_t room = perf->pending_room > 0 ? perf->pending_room * 2 : 256;

		pending = realloc(perf->pending, room * sizeof(*pending));
		if (pending == NULL) {
			return NULL;
		}
		perf->pending = pending;
		perf->pending_room = room;
	}
	pending = &perf->pending[perf->pending_count++];
	*pending = (struct pending){ .order = perf->order++ };
	return pending;
}

/* The time of a record whose body does not hold it: sample_id_all puts it at the end. */
static uint64_t trailing_time(const unsigned char *record, size_t bytes)
{
	uint64_t time_ns = 0;

	if (bytes >= sizeof(struct perf_event_header) + sizeof(time_ns)) {
		memcpy(&time_ns, record + bytes - sizeof(time_ns), sizeof(time_ns));
	}
	return time_ns;
}

struct task_record {
	struct perf_event_header header;
	uint32_t pid, ppid, tid, ptid;
	uint64_t time_ns;
};

struct comm_record {
	struct perf_event_header header;
	uint32_t pid, tid;
	char name[];
};

struct mmap2_record {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t start, length, offset;
	uint32_t dev_major, dev_minor;
	uint64_t inode, inode_generation;
	uint32_t protection, flags;
	char path[];
};

struct lost_record {
	struct perf_event_header header;
	uint64_t id, count;
};

/* ---- whose records these are, where all of the machine's come ---- */

bool track_records_ours(struct tracker *tracker, const struct track_perf *perf, int32_t pid)
{
	uint32_t id = (uint32_t)pid;

	return !perf->is_wide || state_proc(&tracker->state, pid) != NULL ||
	       (id < perf->born_limit && (perf->born[id / 64] >> (id % 64) & 1));
}

void track_records_forget(struct track_perf *perf, int32_t pid)
{
	if (perf->is_wide && (uint32_t)pid < perf->born_limit) {
		perf->born[(uint32_t)pid / 64] &= ~(1ull << (uint32_t)pid % 64);
	}
}

/* A child is followed from its fork on: what it maps must be looked at before its fork's moment has come. */
static void note_birth(struct tracker *tracker, struct track_perf *perf, const struct pending *pending)
{
	if (!perf->is_wide || pending->pid == pending->ppid || (uint32_t)pending->pid >= perf->born_limit) {
		return;
	}
	if (track_records_ours(tracker, perf, pending->ppid)) {
		perf->born[(uint32_t)pending->pid / 64] |= 1ull << (uint32_t)pending->pid % 64;
	} else {
		track_records_forget(perf, pending->pid);
	}
}

static void take_task(struct pending *pending, const void *record, uint32_t kind)
{
	const struct task_record *task = record;

	pending->kind = kind;
	pending->time_ns = task->time_ns;
	pending->pid = (int32_t)task->pid;
	pending->tid = (int32_t)task->tid;
	pending->ppid = (int32_t)task->ppid;
}

static void take_comm(struct pending *pending, const void *record)
{
	const struct comm_record *comm = record;
	bool is_exec = (comm->header.misc & PERF_RECORD_MISC_COMM_EXEC) != 0;

	pending->kind = is_exec ? PFC_TARGET_EXEC : PFC_TARGET_NAME;
	pending->pid = (int32_t)comm->pid;
	pending->tid = (int32_t)comm->tid;
	pending->text = strndup(comm->name, comm->header.size - sizeof(*comm) - 8);
}

static void take_mmap2(struct tracker *tracker, const struct track_perf *perf, struct pending *pending,
		       const void *record)
{
	const struct mmap2_record *mmap2 = record;

	pending->kind = PFC_TARGET_MAP;
	pending->pid = (int32_t)mmap2->pid;
	pending->tid = (int32_t)mmap2->tid;
	pending->text = strndup(mmap2->path, mmap2->header.size - sizeof(*mmap2) - 8);
	pending->map = (struct proc_map){
		.start = mmap2->start,
		.length = mmap2->length,
		.offset = mmap2->offset,
		.inode = mmap2->inode,
		.dev_major = mmap2->dev_major,
		.dev_minor = mmap2->dev_minor,
		.path = pending->text,
	};
	/* Look for the file now: the process may be gone when the record's moment comes. */
	pending->is_seen = pending->text != NULL && track_records_ours(tracker, perf, pending->pid);
	if (pending->is_seen) {
		opener_see(tracker->opener, pending->pid, &pending->map);
	}
}

static size_t least_bytes(uint32_t type)
{
	switch (type) {
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		return sizeof(struct task_record);
	case PERF_RECORD_COMM:
		return sizeof(struct comm_record) + 8;
	case PERF_RECORD_MMAP2:
		return sizeof(struct mmap2_record) + 8;
	case PERF_RECORD_LOST:
		return sizeof(struct lost_record);
	default:
		return SIZE_MAX;
	}
}

static void take_record(struct tracker *tracker, struct track_perf *perf, const void *record)
{
	const struct perf_event_header *header = record;
	struct pending *pending;

	if (header->size < least_bytes(header->type)) {
		return;
	}
	pending = add_pending(perf);
	if (pending == NULL) {
		tracker->state.lost++;
		return;
	}
	pending->time_ns = trailing_time(record, header->size);
	switch (header->type) {
	case PERF_RECORD_FORK:
		take_task(pending, record, PFC_TARGET_FORK);
		note_birth(tracker, perf, pending);
		break;
	case PERF_RECORD_EXIT:
		take_task(pending, record, PFC_TARGET_EXIT);
		break;
	case PERF_RECORD_COMM:
		take_comm(pending, record);
		break;
	case PERF_RECORD_MMAP2:
		take_mmap2(tracker, perf, pending, record);
		break;
	default:
		pending->kind = PFC_TARGET_LOST;
		pending->map.length = ((const struct lost_record *)record)->count;
		break;
	}
}

/* Copy out of the ring, which wraps. */
static void copy_out(const struct ring *ring, const unsigned char *data, uint64_t at, void *to, size_t bytes)
{
	size_t offset = (size_t)(at & (ring->data_bytes - 1));
	size_t first = ring->data_bytes - offset < bytes ? (size_t)(ring->data_bytes - offset) : bytes;

	memcpy(to, data + offset, first);
	memcpy((unsigned char *)to + first, data, bytes - first);
}

void track_records_drain(struct tracker *tracker, struct track_perf *perf, const struct ring *ring)
{
	struct perf_event_mmap_page *page = ring->base;
	const unsigned char *data = (const unsigned char *)ring->base + perf->page_bytes;
	uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = page->data_tail;

	while (head - tail >= sizeof(struct perf_event_header)) {
		struct perf_event_header header;

		copy_out(ring, data, tail, &header, sizeof(header));
		if (header.size < sizeof(header) || header.size > head - tail) {
			tail = head; /* cannot be; go on behind it */
			tracker->state.lost++;
			break;
		}
		copy_out(ring, data, tail, perf->record, header.size);
		take_record(tracker, perf, perf->record);
		tail += header.size;
	}
	__atomic_store_n(&page->data_tail, tail, __ATOMIC_RELEASE);
}
