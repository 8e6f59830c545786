/* SPDX-License-Identifier: MIT */
/*
 * The stack service (include/profcore/ext/draft/stacks.h) for the stage host: follows the target's mappings, unwinds,
 * interns, symbolizes, writes the stacks artifact. Runs in stage processes only: it parses hostile bytes.
 */
#ifndef CORE_STACKS_STACKS_H
#define CORE_STACKS_STACKS_H

#include <profcore/ext/draft/stacks.h>
#include <profcore/ext/draft/target.h>
#include <profcore/host.h>

#include "base/error.h"

struct stacks_service;

/**
 * Make the service for one stage.
 *
 * target: this service's own stream of the target, NULL when there is none (addresses then stay without module).
 * Memory: borrows both until destroy.
 */
int stacks_service_create(const struct pfc_host *host, const struct pfc_target_service *target,
			  struct stacks_service **ret, struct pfc_error *err);

/** Keep names in a folder (cache.h) from one run to the next. The descriptor stays the caller's. */
void stacks_service_set_cache(struct stacks_service *service, int folder);

const struct pfc_stacks *stacks_service_face(struct stacks_service *service);

void stacks_service_destroy(struct stacks_service *service);

#endif
