/* SPDX-License-Identifier: MIT */
/* A target stream that a test writes itself; files are opened by the path of the mapping. */
#ifndef TESTS_UNIT_FAKE_TARGET_H
#define TESTS_UNIT_FAKE_TARGET_H

#include <stdbool.h>

#include <profcore/ext/draft/target.h>

struct fake_target {
	struct pfc_target_service service;
	struct pfc_target_event *events; /* texts owned */
	uint32_t count, room, next;
	uint32_t opens;  /* calls of open_mapped */
	int open_status; /* 0: open the file; else what open_mapped returns */
};

void fake_target_init(struct fake_target *fake);
void fake_target_finish(struct fake_target *fake);

void fake_target_map(struct fake_target *fake, uint64_t time_ns, int32_t pid, uint64_t start, uint64_t length,
		     uint64_t offset, const char *path);
void fake_target_fork(struct fake_target *fake, uint64_t time_ns, int32_t ppid, int32_t pid, int32_t tid);
/** kind: EXEC, NAME, EXIT. */
void fake_target_event(struct fake_target *fake, uint32_t kind, uint64_t time_ns, int32_t pid, int32_t tid,
		       const char *text);
void fake_target_sync(struct fake_target *fake, uint64_t time_ns);

/** The executable mappings that /proc/PID/maps shows now, dated 0. */
void fake_target_snapshot(struct fake_target *fake, int32_t pid);

#endif
