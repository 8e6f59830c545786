/* SPDX-License-Identifier: MIT */
/* The planted causes: what else than CPU makes /slow slow, one at a time, each counted in the truth. */
#ifndef BACKEND_CAUSES_H
#define BACKEND_CAUSES_H

#include <pthread.h>
#include <stdint.h>

#include "options.h"
#include "truth.h"

/** What the causes keep between requests. */
struct causes {
	pthread_mutex_t cache_lock;
	int file; /* -1 when none could be made */
	char file_path[512];
	_Atomic uint64_t file_offset;
};

/** Make the file; 0 or -1 after a message. */
int causes_init(struct causes *causes, const char *folder);
/** Remove it. */
void causes_finish(struct causes *causes);

/** mode=lock: work for so many hash rounds while holding the one lock of all workers. */
uint64_t rebuild_cache(struct causes *causes, struct truth *truth, uint64_t seed, uint64_t rounds);

/** mode=io: write a record of 4 KiB and wait until it is on disk. Returns 0 or an errno value. */
int append_audit_record(struct causes *causes, struct truth *truth);

/** mode=alloc: allocate and free some thousand blocks of many sizes, large ones among them. */
uint64_t churn_memory(struct truth *truth, uint64_t seed);

/** mode=leak: forget so many bytes, in blocks of 1 KiB, unless the limit is reached. */
void leak_session(struct truth *truth, uint64_t bytes, uint64_t limit);

/** mode=syscalls: read a file of 4 KiB byte by byte, so many times. */
uint64_t read_templates(struct causes *causes, struct truth *truth, uint64_t reads);

#endif
