/* SPDX-License-Identifier: MIT */
/* What the files of the host share: host_target.c has the target and the services, host_data.c inputs and outputs. */
#ifndef CORE_STAGE_HOST_INSIDE_H
#define CORE_STAGE_HOST_INSIDE_H

#include "stage/host.h"

#include <pthread.h>
#include <stdatomic.h>

#include "artifact/artifact.h"
#include "stacks/stacks.h"
#include "stage/protocol.h"
#include "target/client.h"

/** Longest text of a plugin that goes to the core. */
#define LOG_LINE_BYTES_MAX 4000

struct host_metric {
	_Atomic double value;
	double sent;
	_Atomic bool is_set;
};

struct stage_host {
	struct pfc_host face;
	const struct spec *spec;
	int control;
	pthread_mutex_t send_lock;
	pthread_mutex_t lock; /* failure, pids */
	pthread_cond_t answered;
	struct pfc_error failure;
	bool has_failure;
	int32_t *pids;
	uint32_t pid_count;
	char *cgroup; /* the target's folder now; NULL: as the spec says */
	unsigned pids_answers;
	int32_t *given_pids; /* what the last target() handed out */
	uint32_t given_count;
	char *given_cgroup;
	_Atomic uint64_t t0_ns;
	_Atomic uint64_t t1_ns;
	_Atomic unsigned log_lines;
	struct artifact_writer **writers; /* one per spec output */
	struct artifact_reader **readers; /* one per spec input, opened when asked for */
	struct host_metric *metrics;      /* one per spec metric */
	struct target_client *client;
	struct target_client *stacks_client;
	struct stacks_service *stacks;
};

/** Copy a struct into the caller's, who may have been compiled with a smaller or a larger one. */
int host_give(void *ret, const void *from, uint32_t from_bytes);

/* Members of struct pfc_host; ctx is the stage_host. */
void host_log(void *ctx, uint32_t level, const char *text);
int32_t host_fail(void *ctx, int32_t status, const char *what, const char *why, const char *hint);
int32_t host_target(void *ctx, struct pfc_target *ret);
int32_t host_target_env(void *ctx, const char *name, const char *value);
int32_t host_output(void *ctx, const char *port, const struct pfc_writer **ret);
uint32_t host_input_count(void *ctx, const char *port);
int32_t host_input(void *ctx, const char *port, uint32_t index, const struct pfc_reader **ret);
int32_t host_loss(void *ctx, const char *port, const char *cause, uint64_t count);
int32_t host_metric(void *ctx, const char *name, double value);
int32_t host_gate(void *ctx, const char *expression, uint32_t verdict, const char *detail);
const void *host_extension(void *ctx, const char *id);

#endif
