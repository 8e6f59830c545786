/* SPDX-License-Identifier: MIT */
/* The target as a plugin asks for it, and the services that are made when they are asked for. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <profcore/ext/draft/stacks.h>
#include <profcore/ext/draft/target.h>

#include "base/str.h"
#include "stage/host_inside.h"

#define ENV_BYTES_MAX 32768
/* The core answers a question for the target's pids from its main loop. */
#define ANSWER_SECONDS 5

void stage_host_set_pids(struct stage_host *host, const json_t *pids, const char *cgroup)
{
	size_t count = json_array_size(pids);
	int32_t *list = calloc(count + 1, sizeof(*list));

	for (size_t i = 0; list != NULL && i < count; i++) {
		list[i] = (int32_t)json_integer_value(json_array_get(pids, i));
	}
	pthread_mutex_lock(&host->lock);
	free(host->pids);
	free(host->cgroup);
	host->cgroup = strdup(cgroup);
	host->pids = list;
	host->pid_count = list != NULL ? (uint32_t)count : 0;
	host->pids_answers++;
	pthread_cond_broadcast(&host->answered);
	pthread_mutex_unlock(&host->lock);
}

/* Asks the core for the processes tracked now; the control thread takes the answer in. */
static int ask_pids(struct stage_host *host)
{
	struct timespec until;
	unsigned seen;
	int rc = 0;

	pthread_mutex_lock(&host->lock);
	seen = host->pids_answers;
	pthread_mutex_unlock(&host->lock);
	if (stage_host_send(host, json_pack("{s:s}", "op", "pids")) < 0) {
		return PFC_EIO;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ANSWER_SECONDS;
	pthread_mutex_lock(&host->lock);
	while (rc == 0 && host->pids_answers == seen) {
		rc = pthread_cond_timedwait(&host->answered, &host->lock, &until) == 0 ? 0 : PFC_ETIMEDOUT;
	}
	if (rc == 0) {
		free(host->given_pids);
		free(host->given_cgroup);
		host->given_pids = host->pids;
		host->given_cgroup = host->cgroup;
		host->cgroup = NULL;
		host->given_count =
			host->pid_count; /* a late answer to an older question may change the other */
		host->pids = NULL;
	}
	pthread_mutex_unlock(&host->lock);
	return rc;
}

int32_t host_target(void *ctx, struct pfc_target *ret)
{
	struct stage_host *host = ctx;
	struct pfc_target target;
	int rc;

	if (!host->spec->has_target) {
		return PFC_ETARGET;
	}
	rc = ask_pids(host);
	if (rc < 0) {
		return rc;
	}
	target = (struct pfc_target){
		.kind = host->spec->target_kind,
		.name = host->spec->target_name,
		.cgroup_path = host->given_cgroup != NULL ? host->given_cgroup : host->spec->target_cgroup,
		.pids = host->given_pids,
		.pid_count = host->given_count,
		.held = host->spec->target_held && atomic_load(&host->t0_ns) == 0,
	};
	return host_give(ret, &target, sizeof(target));
}

static bool is_env_name(const char *name)
{
	size_t bytes = name != NULL ? strlen(name) : 0;

	return bytes > 0 && bytes < 256 && strchr(name, '=') == NULL;
}

int32_t host_target_env(void *ctx, const char *name, const char *value)
{
	struct stage_host *host = ctx;

	if (!is_env_name(name) || value == NULL) {
		return PFC_EINVAL;
	}
	if (!host->spec->target_is_launched) {
		return PFC_ENOTSUP;
	}
	return stage_host_send(host,
			       json_pack("{s:s, s:o, s:o}", "op", "env", "name", protocol_string(name, 256),
					 "value", protocol_string(value, ENV_BYTES_MAX)));
}

/* ---- services ---- */

static const void *open_target_service(struct stage_host *host)
{
	struct pfc_error err;

	if (host->spec->target_fd < 0) {
		return NULL;
	}
	if (host->client == NULL && target_client_create(host->spec->target_fd, &host->client, &err) < 0) {
		host_log(host, PFC_LOG_WARNING, err.why);
		return NULL;
	}
	return target_client_service(host->client);
}

static const void *open_stacks_service(struct stage_host *host)
{
	const struct pfc_target_service *target = NULL;
	struct pfc_error err;

	if (host->stacks != NULL) {
		return stacks_service_face(host->stacks);
	}
	if (host->spec->target_stacks_fd >= 0) {
		if (target_client_create(host->spec->target_stacks_fd, &host->stacks_client, &err) < 0) {
			host_log(host, PFC_LOG_WARNING, err.why);
			return NULL;
		}
		target = target_client_service(host->stacks_client);
	}
	if (stacks_service_create(&host->face, target, &host->stacks, &err) < 0) {
		host_log(host, PFC_LOG_WARNING, err.why);
		return NULL;
	}
	stacks_service_set_cache(host->stacks, host->spec->cache_fd);
	return stacks_service_face(host->stacks);
}

const void *host_extension(void *ctx, const char *id)
{
	if (str_equal(id, PFC_EXT_TARGET)) {
		return open_target_service(ctx);
	}
	if (str_equal(id, PFC_EXT_STACKS)) {
		return open_stacks_service(ctx);
	}
	return NULL;
}
