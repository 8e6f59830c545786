/* SPDX-License-Identifier: MIT */
/* What following by perf is made of: track_events.c opens, track_records.c reads, track_perf.c puts it into the state. */
#ifndef CORE_TARGET_TRACK_INSIDE_H
#define CORE_TARGET_TRACK_INSIDE_H

#include "target/track.h"

#define RECORD_BYTES_MAX 65536u
#define PENDING_MAX      65536u

struct ring {
	int fd;
	void *base;
	uint64_t data_bytes;
};

/** A record that waits for its moment; which fields count depends on its kind. */
struct pending {
	uint64_t time_ns;
	uint64_t order;
	uint32_t kind; /* enum pfc_target_event_kind */
	int32_t pid;
	int32_t tid;
	int32_t ppid;
	struct proc_map map;
	char *text;   /* owned */
	bool is_seen; /* a mapping whose file was looked at */
};

struct track_perf {
	size_t page_bytes;
	uint32_t ring_count;
	struct ring *rings;
	int *events; /* descriptors of all threads' events */
	size_t event_count;
	size_t event_room;
	size_t event_max;
	int32_t *opened; /* threads that have events */
	bool is_wide;    /* the events are those of whole CPUs: most records are of others */
	uint64_t *born;  /* with is_wide: a bit for each process whose fork was read and not applied yet */
	uint32_t born_limit;
	size_t opened_count;
	struct pending *pending;
	size_t pending_count;
	size_t pending_room;
	uint64_t order;
	uint64_t rescan_ns; /* when the next rescan may be; 0: none is due */
	uint64_t rescanned_ns;
	uint64_t entrants_ns; /* when the group is listed next */
	unsigned char record[RECORD_BYTES_MAX];
};

/** One ring a CPU. */
int track_events_rings(struct track_perf *perf, struct pfc_error *err);
/**
 * Events on whole CPUs, which cost nothing where threads are switched. Records of others come too, and are left out when they are applied.
 * Returns 0, or -errno where only one's own threads may be observed.
 */
int track_events_wide(struct track_perf *perf);
/** Events on all threads of a process and its descendants, or on a control group. */
int track_events_tree(struct track_perf *perf, int32_t root_pid, struct pfc_error *err);
int track_events_group(struct track_perf *perf, const struct container *container, struct pfc_error *err);

/** Take the records of a ring; each waits in perf->pending for its moment. */
void track_records_drain(struct tracker *tracker, struct track_perf *perf, const struct ring *ring);

/** With is_wide: whether a process is the target's, as far as records have been read. */
bool track_records_ours(struct tracker *tracker, const struct track_perf *perf, int32_t pid);
void track_records_forget(struct track_perf *perf, int32_t pid);

#endif
