/* SPDX-License-Identifier: MIT */
/* The stage's end of a target stream: makes the public service profcore.target/1 out of the socket that target_serve gave. */
#ifndef CORE_TARGET_CLIENT_H
#define CORE_TARGET_CLIENT_H

#include <profcore/ext/draft/target.h>

#include "base/error.h"

struct target_client;

/** [moved] fd. Several services may be made of one client: each call of target_client_service gives an independent cursor. */
int target_client_create(int fd, struct target_client **ret, struct pfc_error *err);

/** The public service; lives as long as the client. */
const struct pfc_target_service *target_client_service(struct target_client *client);

void target_client_destroy(struct target_client *client);

#endif
