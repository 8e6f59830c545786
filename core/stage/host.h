/* SPDX-License-Identifier: MIT */
/* The host of one plugin: struct pfc_host made of the spec, the control socket, artifact files and the services. */
#ifndef CORE_STAGE_HOST_H
#define CORE_STAGE_HOST_H

#include "stage/spec.h"

struct stage_host;

/** Borrows spec until destroy. control: the socket to the core. */
int stage_host_create(const struct spec *spec, int control, struct stage_host **ret, struct pfc_error *err);

const struct pfc_host *stage_host_face(struct stage_host *host);

/** [any] What the control thread learns. */
void stage_host_set_t0(struct stage_host *host, uint64_t t0_ns);
void stage_host_set_t1(struct stage_host *host, uint64_t t1_ns);
void stage_host_set_pids(struct stage_host *host, const json_t *pids, const char *cgroup);

/** [any] Send metrics that changed since the last call. */
void stage_host_send_metrics(struct stage_host *host);

/** [any] Send a message; one packet at a time. [moved] message. */
int stage_host_send(struct stage_host *host, json_t *message);

/** The failure that the plugin stated since the last call, if any; cleared. */
bool stage_host_take_failure(struct stage_host *host, struct pfc_error *ret);

/** State in each output that the target began anew, and when (ns); nothing where the list is empty. */
void stage_host_mark_restarts(struct stage_host *host, const json_t *restarts);

/**
 * End of the outputs: seal (when all went well) or commit what is there, and report each to the core. Returns the first error.
 */
int stage_host_close_outputs(struct stage_host *host, bool seal, struct pfc_error *err);

void stage_host_destroy(struct stage_host *host);

#endif
