/* SPDX-License-Identifier: MIT */
/* What a writer knows about its artifact as a whole: facts that the plugin states, and losses by cause. */
#ifndef CORE_ARTIFACT_FACTS_H
#define CORE_ARTIFACT_FACTS_H

#include <pthread.h>
#include <stdatomic.h>

#include <jansson.h>

#include "artifact/format.h"

#define FACTS_MAX     256
#define FACT_TEXT_MAX 512 /* bytes; longer texts are cut */
#define LOSS_CAUSES   64  /* the last one is "other": it takes what comes when the rest is full */

struct facts {
	json_t *values;       /* key to number or text; NULL until the first */
	pthread_mutex_t lock; /* of the losses: they are counted from any thread */
	struct {
		char cause[FORMAT_NAME_BYTES];
		uint64_t count;
	} losses[LOSS_CAUSES];
	uint32_t loss_count;
	atomic_bool changed; /* since facts_print */
};

void facts_init(struct facts *facts);

/**
 * [owner] Returns 0; PFC_EINVAL (key; a number that is not finite), PFC_ENOSPC (more than FACTS_MAX),
 * PFC_ENOMEM.
 */
int facts_set_number(struct facts *facts, const char *key, double value);
int facts_set_text(struct facts *facts, const char *key, const char *value);

/** [any] Returns 0, or PFC_EINVAL for a cause that is not lower_snake: it is then counted as "other". */
int facts_lose(struct facts *facts, const char *cause, uint64_t count);

/** New objects {"cause": count} and {"key": value}; NULL when memory ran out. */
json_t *facts_lost(const struct facts *facts);
json_t *facts_values(const struct facts *facts);

/** The JSON text of a meta block, freed by the caller; clears `changed`. NULL when memory ran out. */
char *facts_print(struct facts *facts);

void facts_finish(struct facts *facts);

#endif
