/* SPDX-License-Identifier: MIT */
/*
 * The target's processes and the allocators in their files, as the core tells of them; probes on each while they are wanted.
 */
#ifndef MEMORY_PROBES_FOLLOW_H
#define MEMORY_PROBES_FOLLOW_H

#include <profcore/ext/draft/target.h>
#include <profcore/profcore.h>

#include "probes.h"

#define FILES_MAX       512U
#define FILES_A_PROCESS 16U

/** An allocator's file, or one that is known to have none. */
struct followed_file {
	uint32_t dev_major, dev_minor;
	uint64_t inode;
	int fd; /* -1: nothing to probe in it */
	struct probe_point points[PROBE_POINTS];
	uint32_t count;
	uint32_t count_frees; /* of these, at the end */
	uint32_t stepped;     /* of these, where no emulated instruction was found */
	char name[64];
	char allocator[40];
	char places[240]; /* "malloc, free+9": where the probes are */
	bool is_go, has_symbols;
};

struct followed_process {
	int32_t pid;
	uint64_t since_ns; /* that it has the program it has; 0: since before we looked */
	bool is_gone, was_attached, is_counted;
	uint64_t gone_ns;
	uint64_t cpu_ns; /* as last read */
	uint32_t files[FILES_A_PROCESS];
	uint32_t file_count;
	struct probe_link links[FILES_A_PROCESS]; /* of each file */
	bool is_attached[FILES_A_PROCESS];
};

/** A mapping of a file that was not looked into yet. */
struct followed_map {
	struct followed_map *next;
	struct pfc_target_event event;
	char text[];
};

struct follow {
	const struct pfc_host *host;
	const struct pfc_target_service *target;
	struct probes *probes;
	struct followed_file *files;
	uint32_t file_count;
	struct followed_process *processes;
	size_t process_count, process_room;
	struct followed_map *maps, **maps_end;
	bool is_started;    /* in the window what takes time is left to follow_work */
	uint64_t too_short; /* processes that ended before they were probed */
	bool is_on;
	bool with_frees;            /* when it is switched on next */
	uint64_t attached, refused; /* processes' files */
	int refused_error;
	char blind[160]; /* why the first program's own allocations may go unseen; "" */
};

int follow_open(struct follow *follow, const struct pfc_host *host, struct probes *probes);
void follow_close(struct follow *follow);

/** What the core tells. In the window nothing is done here but to note it. */
void follow_event(struct follow *follow, const struct pfc_target_event *event);

/** Look into new files, attach to new processes, let go of those that ended; for some milliseconds at most. */
void follow_work(struct follow *follow, uint64_t now_ns);

/** Attach everywhere, or nowhere. */
void follow_switch(struct follow *follow, bool on);

/** Files with something to probe. */
uint32_t follow_points(const struct follow *follow);

/** CPU time of all processes, of those that ended too. */
uint64_t follow_cpu_ns(struct follow *follow);

/** "glibc (libc.so.6)": those that are in use. */
void follow_allocators(const struct follow *follow, char *to, size_t to_bytes);

#endif
