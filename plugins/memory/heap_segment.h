/* SPDX-License-Identifier: MIT */
/* The memory file that sampler and collector share (sampler/wire.h), from the collector's side. */
#ifndef MEMORY_HEAP_SEGMENT_H
#define MEMORY_HEAP_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/wire.h"

struct heap_wish {
	uint64_t period_bytes;
	uint64_t temporary_ticks;
	uint32_t stack_bytes;
	bool is_exhaustive;
};

struct heap_file {
	int fd; /* -1: none */
	struct heap_segment *segment;
	uint64_t bytes;
	struct heap_segment layout; /* as made: the target may write into its copy */
};

/** Make and map the file, sealed against changes of its size. Returns 0 or a negative errno. */
int heap_file_make(struct heap_file *file, const struct heap_wish *wish);

/** The value for HEAP_ENV. */
void heap_file_address(const struct heap_file *file, char text[64]);

/** Promise to drain the rings until then. */
void heap_file_alive(struct heap_file *file, uint64_t until_ns);

/** Let the sampler go to sleep, for good. */
void heap_file_disable(struct heap_file *file);

/** How much of it is there: at most what it adds to the RSS of all who map it. */
uint64_t heap_file_resident(const struct heap_file *file);

void heap_file_close(struct heap_file *file);

/* Parts of the file, by the layout that we made. */
struct heap_ring *heap_file_rings(const struct heap_file *file);
struct heap_bucket *heap_file_buckets(const struct heap_file *file);
struct heap_process *heap_file_processes(const struct heap_file *file);
struct heap_shard *heap_file_shards(const struct heap_file *file);
struct heap_stat *heap_file_stats(const struct heap_file *file); /* [HEAP_SHARDS][HEAP_STACKS] */

#endif
