/* SPDX-License-Identifier: MIT */
/* The stage's end of a target stream: makes the public service profcore.target/1 out of the socket that target_serve gave. */
#ifndef CORE_TARGET_CLIENT_H
#define CORE_TARGET_CLIENT_H

#include <profcore/ext/draft/target.h>

#include "base/error.h"

struct target_client;

/**
 * [moved] fd, also when it fails. One client is one stream with one reader: who needs a second reader (the plugin, and the
 * stack service) asks for a second stream by target_serve. The stream costs nothing while nobody reads it.
 *
 * Returns: 0; PFC_EPROTO (fd is no target stream); PFC_ENOMEM.
 */
int target_client_create(int fd, struct target_client **ret, struct pfc_error *err);

/** The public service, always the same; lives as long as the client. */
const struct pfc_target_service *target_client_service(struct target_client *client);

void target_client_destroy(struct target_client *client);

#endif
