/* SPDX-License-Identifier: MIT */
/*
 * profcore.target/1 (draft): the live set of the target's processes, and its files.
 *
 * The core tracks fork, exec, exit, names and mappings once for all stages, and streams them. It opens the target's files
 * below the target's own root, without parsing them, and passes the descriptors: a stage needs no right of its own for it
 * but the privilege `target-files` in its manifest.
 */
#ifndef PROFCORE_EXT_DRAFT_TARGET_H
#define PROFCORE_EXT_DRAFT_TARGET_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PFC_EXT_TARGET "profcore.target/1"

/** Kinds of events. */
enum pfc_target_event_kind {
	/*
	 * pid/tid were created by ppid; a thread when pid == ppid, else a process. A new process has its parent's mappings and
	 * name, a new thread the name: no MAP and NAME repeat them.
	 */
	PFC_TARGET_FORK = 1,
	PFC_TARGET_EXEC = 2, /* pid runs a new program: its mappings start anew; text = new name */
	PFC_TARGET_NAME = 3, /* tid is called text now */
	PFC_TARGET_EXIT = 4, /* tid ended; the process when tid == pid */
	PFC_TARGET_MAP = 5,  /* executable mapping; text = path as the target sees it, "[vdso]", "//anon", ... */
	PFC_TARGET_SYNC = 6, /* every event before time_ns has been delivered */
	PFC_TARGET_LOST = 7, /* `length` events were lost before time_ns: mappings may be missing */
};

/** Files that belong to a mapped file or to its process. */
enum pfc_target_related {
	PFC_TARGET_DEBUG_BUILD_ID = 1, /* /usr/lib/debug/.build-id/ab/cdef.debug; name: the build-id in hex */
	PFC_TARGET_DEBUG_BESIDE = 2,   /* in the mapped file's folder; name: the file's, of .gnu_debuglink */
	PFC_TARGET_DEBUG_BELOW = 3,    /* likewise, in .debug/ below that folder */
	PFC_TARGET_DEBUG_GLOBAL = 4,   /* likewise, in /usr/lib/debug/ and that folder */
	PFC_TARGET_PERF_MAP = 5,       /* /tmp/perf-PID.map, the process's pid as it sees it itself; name: NULL */
};

/** One event. What is there before the first call comes first, with time_ns = 0. */
struct pfc_target_event {
	uint32_t struct_size;
	uint32_t kind; /* enum pfc_target_event_kind */
	uint64_t time_ns;
	int32_t pid;
	int32_t tid;
	int32_t ppid;
	uint32_t generation; /* of the target: 1, then one more for each restart of its container */
	uint64_t start;      /* MAP: first address */
	uint64_t length;     /* MAP: bytes */
	uint64_t offset;     /* MAP: offset in the file */
	uint64_t inode;      /* MAP: 0 when not a file */
	uint32_t dev_major;
	uint32_t dev_minor;
	const char *text; /* owned by the host until the next call */
};

/** The service. Each stage has its own stream. */
struct pfc_target_service {
	uint32_t struct_size;
	uint32_t reserved0;
	void *ctx;

	/** [any] Readable when next() has something. Returns a descriptor that is not to be read or closed. */
	int32_t (*fd)(void *ctx);

	/**
	 * [owner] The next event. The caller sets ret->struct_size.
	 * Returns 0; PFC_EAGAIN when there is none now; PFC_ECANCELED when the stream has ended.
	 */
	int32_t (*next)(void *ctx, struct pfc_target_event *ret);

	/**
	 * [any] Open the file behind a mapping for reading, as the target's root shows it, checked against the mapping's inode.
	 * The answer comes within two seconds. The caller closes the descriptor, reads it with pread, and treats it as hostile.
	 * Returns a descriptor >= 0; PFC_ENOENT (gone or replaced), PFC_EPERM, PFC_ETIMEDOUT, PFC_EINVAL (not a regular file).
	 */
	int32_t (*open_mapped)(void *ctx, const struct pfc_target_event *map);

	/**
	 * [any] Open a file that belongs to a mapping, below the target's root and only where such files are. kind: enum
	 * pfc_target_related, says what `name` is; of `map`, pid, text and the file's identity count. PERF_MAP takes any mapping of
	 * the process, and the process must be alive. As open_mapped else. Test it with PFC_HAS.
	 * Returns a descriptor >= 0; PFC_ENOENT; PFC_EPERM (also: a perf map that is neither the process's own nor root's);
	 * PFC_ETIMEDOUT; PFC_EINVAL (not a regular file, not a name).
	 */
	int32_t (*open_related)(void *ctx, const struct pfc_target_event *map, uint32_t kind, const char *name);
};

#ifdef __cplusplus
}
#endif
#endif
