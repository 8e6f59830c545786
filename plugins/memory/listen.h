/* SPDX-License-Identifier: MIT */
/*
 * A perf event on all of the target, read in the window: rings, attachment, drain, loss. The event and what becomes of its samples are
 * the tier's (faults.c, mapcalls.c).
 */
#ifndef MEMORY_LISTEN_H
#define MEMORY_LISTEN_H

#include <profcore/ext/draft/stacks.h>
#include <profcore/profcore.h>

#include <stdbool.h>
#include <stdint.h>

#include "lib/perf/attach.h"
#include "lib/perf/event.h"
#include "lib/perf/populate.h"
#include "lib/perf/record.h"
#include "lib/perf/ring.h"

#define LISTEN_EVENTS_MAX 8

struct listen;

/** A sample that is no duplicate: `event` is the index of its event, `out` what the stack service wants, but for the weight. */
typedef int32_t (*listen_take)(void *ctx, uint32_t event, const struct perf_record_sample *sample,
			       struct pfc_stack_sample *out);

struct listen {
	const struct pfc_host *host;
	struct perf_event events[LISTEN_EVENTS_MAX]; /* chosen by listen_choose */
	struct perf_attach attaches[LISTEN_EVENTS_MAX];
	uint32_t event_count;
	struct perf_ring *rings;
	uint32_t ring_count;
	char *group; /* folder of the target's control group; NULL */
	struct perf_populate populate;
	listen_take take;
	void *take_ctx;
	uint64_t lost, garbled, throttled, compat;
	uint64_t renewed_ns;
};

/** Choose one more event; perf's word in wish->name. Returns 0 or refusal->status. */
int listen_choose(struct listen *listen, const struct perf_event_wish *wish, struct perf_refusal *refusal);

/** Try the events on the target's first process. Returns 0 or refusal->status. */
int listen_probe(struct listen *listen, struct perf_refusal *refusal);

/** Open rings and events, disabled. Returns 0 or refusal->status. */
int listen_open(struct listen *listen, uint64_t ring_bytes, struct perf_refusal *refusal);

/** Change the frequency of all events; those that threads created in the window have inherited keep what they began with. */
void listen_set_frequency(struct listen *listen, uint64_t frequency_hz);

void listen_enable(struct listen *listen);
void listen_disable(struct listen *listen);

/** Read what there is. Returns 0 or the first error of `take`. */
int32_t listen_drain(struct listen *listen, uint64_t now_ns);

/** Descriptors to wait for: -1 after the last. */
int listen_fd(const struct listen *listen, uint32_t index);

/** What the events counted, exactly, and the samples that were lost; after listen_disable. */
void listen_count(struct listen *listen, uint64_t *ret_events, uint64_t *ret_lost);

void listen_close(struct listen *listen);

#endif
