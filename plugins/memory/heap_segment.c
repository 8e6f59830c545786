/* SPDX-License-Identifier: MIT */
/*
 * Making the shared file: a memfd, so that a killed collector leaves nothing behind, sealed, so that no target can cut it short
 * under us. It is sparse: the tables for exhaustive mode cost what is touched of them.
 */
#include "heap_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_BYTES      (1ULL << 20) /* small, so that its pages are soon all there; in a burst the others help */
#define BITS_SAMPLED    17           /* a million live samples: half a TiB in use at the default distance */
#define BITS_EXHAUSTIVE 20           /* eight million live objects */
#define PAGE            4096ULL

static uint64_t place(uint64_t *at, uint64_t bytes)
{
	uint64_t start = *at;

	*at = (start + bytes + PAGE - 1) & ~(PAGE - 1);
	return start;
}

static void lay_out(struct heap_segment *segment, const struct heap_wish *wish)
{
	uint64_t at = 0;

	memset(segment, 0, sizeof(*segment));
	segment->magic = HEAP_MAGIC;
	segment->version = HEAP_VERSION;
	segment->flags = wish->is_exhaustive ? HEAP_EXHAUSTIVE : 0;
	segment->period_bytes = wish->period_bytes;
	segment->temporary_ticks = wish->temporary_ticks;
	segment->stack_bytes = wish->stack_bytes;
	segment->bucket_bits = wish->is_exhaustive ? BITS_EXHAUSTIVE : BITS_SAMPLED;
	segment->ring_bytes = RING_BYTES;
	segment->enabled = 1;
	(void)place(&at, sizeof(*segment));
	segment->rings = place(&at, HEAP_RINGS * sizeof(struct heap_ring));
	segment->ring_data = place(&at, HEAP_RINGS * RING_BYTES);
	segment->maybe_table = place(&at, HEAP_MAYBE_BYTES);
	segment->processes = place(&at, (HEAP_PROCESSES + 1ULL) * sizeof(struct heap_process));
	segment->buckets = place(&at, sizeof(struct heap_bucket) << segment->bucket_bits);
	if (wish->is_exhaustive) {
		segment->shards = place(&at, HEAP_SHARDS * sizeof(struct heap_shard));
		segment->stack_keys = place(&at, HEAP_STACKS * sizeof(uint64_t));
		segment->stats = place(&at, HEAP_SHARDS * HEAP_STACKS * sizeof(struct heap_stat));
	}
	segment->bytes = at;
}

int heap_file_make(struct heap_file *file, const struct heap_wish *wish)
{
	struct heap_segment layout;
	void *map;
	int error;

	lay_out(&layout, wish);
	if (getrandom(&layout.nonce, sizeof(layout.nonce), 0) != sizeof(layout.nonce)) {
		return -EIO;
	}
	file->segment = NULL;
	file->bytes = layout.bytes;
	file->fd = memfd_create("profcore-heap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (file->fd < 0 || ftruncate(file->fd, (off_t)layout.bytes) != 0 ||
	    fcntl(file->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		error = errno;
		heap_file_close(file);
		return -error;
	}
	map = mmap(NULL, layout.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
	if (map == MAP_FAILED) {
		error = errno;
		heap_file_close(file);
		return -error;
	}
	file->segment = map;
	file->layout = layout;
	memcpy(map, &layout, sizeof(layout));
	if (wish->is_exhaustive) { /* every free is looked up */
		memset((char *)map + layout.maybe_table, 0xff, HEAP_MAYBE_BYTES);
	}
	return 0;
}

void heap_file_address(const struct heap_file *file, char text[64])
{
	snprintf(text, 64, "/proc/%d/fd/%d:%llx", (int)getpid(), file->fd,
		 (unsigned long long)file->layout.nonce);
}

void heap_file_alive(struct heap_file *file, uint64_t until_ns)
{
	__atomic_store_n(&file->segment->alive_until_ns, until_ns, __ATOMIC_RELAXED);
}

void heap_file_disable(struct heap_file *file)
{
	if (file->segment) {
		__atomic_store_n(&file->segment->enabled, 0, __ATOMIC_RELAXED);
	}
}

uint64_t heap_file_resident(const struct heap_file *file)
{
	struct stat status;

	return file->fd >= 0 && fstat(file->fd, &status) == 0 ? (uint64_t)status.st_blocks * 512 : 0;
}

void heap_file_close(struct heap_file *file)
{
	if (file->segment) {
		munmap(file->segment, file->bytes);
		file->segment = NULL;
	}
	if (file->fd >= 0) {
		close(file->fd);
	}
	file->fd = -1;
}

static void *part(const struct heap_file *file, uint64_t at)
{
	return (char *)file->segment + at;
}

struct heap_ring *heap_file_rings(const struct heap_file *file)
{
	return part(file, file->layout.rings);
}

struct heap_bucket *heap_file_buckets(const struct heap_file *file)
{
	return part(file, file->layout.buckets);
}

struct heap_process *heap_file_processes(const struct heap_file *file)
{
	return part(file, file->layout.processes);
}

struct heap_shard *heap_file_shards(const struct heap_file *file)
{
	return part(file, file->layout.shards);
}

struct heap_stat *heap_file_stats(const struct heap_file *file)
{
	return part(file, file->layout.stats);
}
