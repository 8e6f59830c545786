/* SPDX-License-Identifier: MIT */
/*
 * What was found out about addresses of a file, kept on disk for the next run: one small file for each build-id, in a folder that
 * the core opened and found to be ours alone. A file that another user could have written, that belongs to another copy of the
 * program, was written by another profcore or is damaged is as good as none.
 */
#ifndef CORE_STACKS_CACHE_H
#define CORE_STACKS_CACHE_H

#include <stdbool.h>
#include <stdint.h>

/** Which copy of the program: a build-id can be forged by whoever makes the file, these only by its owner's kernel. */
struct cache_identity {
	uint64_t inode, bytes, modified_ns, changed_ns;
};

struct cache_frame {
	uint32_t function, file; /* offsets in texts; 0: "" */
	uint32_t line;
	uint32_t reserved0;
	uint64_t start; /* as in symbolize.h: frames */
};

/** Ascending addresses, and their frames from first[i] to first[i + 1]. */
struct cache {
	void *bytes; /* owns all below when it was read */
	bool has_debug_file;
	uint32_t address_count, frame_count, text_bytes;
	const uint64_t *addresses;
	const uint32_t *first;
	const struct cache_frame *frames;
	const char *texts;
};

#define CACHE_ADDRESSES_MAX (1U << 18)

/** Which copy an open file is. */
bool cache_identify(int fd, struct cache_identity *ret);

/** 0; PFC_ENOENT: nothing that can be used; PFC_ECORRUPT: damaged; PFC_ENOMEM. Free with cache_finish. */
int cache_read(int folder, const char *build_id, const struct cache_identity *identity, struct cache *ret);

/** Replace the file; what cannot be written is not: the next run is as slow as this one. Keeps the folder within its bound. */
void cache_write(int folder, const char *build_id, const struct cache_identity *identity,
		 const struct cache *cache);
void cache_finish(struct cache *cache);

/** Remove the files that were used longest ago until the rest is small enough (cache_trim.c). */
void cache_trim(int folder, uint64_t bytes_most, uint32_t count_most);

#endif
