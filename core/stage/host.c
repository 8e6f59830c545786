/* SPDX-License-Identifier: MIT */
#include "stage/host.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "stage/host_inside.h"

/* A plugin that logs in a loop must not drown the run: past this many lines only the count goes on. */
#define LOG_LINES_MAX 2000

/* ---- talk ---- */

int stage_host_send(struct stage_host *host, json_t *message)
{
	int rc;

	pthread_mutex_lock(&host->send_lock);
	rc = protocol_send(host->control, message);
	pthread_mutex_unlock(&host->send_lock);
	return rc;
}

void host_log(void *ctx, uint32_t level, const char *text)
{
	struct stage_host *host = ctx;
	unsigned line = atomic_fetch_add(&host->log_lines, 1);

	if (text == NULL || line > LOG_LINES_MAX) {
		return;
	}
	if (line == LOG_LINES_MAX) {
		text = "too many log lines: no more are kept from this stage";
		level = PFC_LOG_WARNING;
	}
	(void)stage_host_send(host, json_pack("{s:s, s:i, s:o}", "op", "log", "level", (int)level, "text",
					      protocol_string(text, LOG_LINE_BYTES_MAX)));
}

int32_t host_fail(void *ctx, int32_t status, const char *what, const char *why, const char *hint)
{
	struct stage_host *host = ctx;

	status = status < 0 ? status : PFC_EPROTO; /* a failure that calls itself a success */
	pthread_mutex_lock(&host->lock);
	error_set(&host->failure, status, why, "%s", what != NULL ? what : "");
	error_hint(&host->failure, "%s", hint != NULL ? hint : "");
	host->has_failure = true;
	pthread_mutex_unlock(&host->lock);
	return status;
}

bool stage_host_take_failure(struct stage_host *host, struct pfc_error *ret)
{
	bool has;

	pthread_mutex_lock(&host->lock);
	has = host->has_failure;
	if (has) {
		*ret = host->failure;
	}
	host->has_failure = false;
	pthread_mutex_unlock(&host->lock);
	return has;
}

/* ---- facts about the stage ---- */

/* Copies a struct into the caller's, who may have been compiled with a smaller or a larger one. */
int host_give(void *ret, const void *from, uint32_t from_bytes)
{
	uint32_t ret_bytes;

	if (ret == NULL) {
		return PFC_EINVAL;
	}
	memcpy(&ret_bytes, ret, sizeof(ret_bytes));
	if (ret_bytes < 2 * sizeof(uint32_t)) {
		return PFC_EINVAL;
	}
	if (ret_bytes > from_bytes) {
		memset((char *)ret + from_bytes, 0, ret_bytes - from_bytes);
	}
	memcpy((char *)ret + sizeof(uint32_t), (const char *)from + sizeof(uint32_t),
	       (ret_bytes < from_bytes ? ret_bytes : from_bytes) - sizeof(uint32_t));
	return 0;
}

static int32_t host_option(void *ctx, const char *key, struct pfc_value *ret)
{
	const struct spec *spec = ((struct stage_host *)ctx)->spec;

	for (size_t i = 0; i < spec->option_count; i++) {
		if (str_equal(spec->options[i].name, key)) {
			return host_give(ret, &spec->options[i].value, sizeof(spec->options[i].value));
		}
	}
	return PFC_ENOENT;
}

static const char *host_text(void *ctx, uint32_t which)
{
	const struct spec *spec = ((struct stage_host *)ctx)->spec;

	switch (which) {
	case PFC_TEXT_STAGE:
		return spec->stage;
	case PFC_TEXT_PLUGIN_DIR:
		return spec->plugin_dir;
	case PFC_TEXT_RUN_ID:
		return spec->run_id;
	case PFC_TEXT_RUN_NAME:
		return spec->run_name;
	default:
		return "";
	}
}

static uint64_t host_now(void *ctx)
{
	struct timespec now;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int32_t host_stop_fd(void *ctx)
{
	return ((struct stage_host *)ctx)->spec->stop_fd;
}

static int32_t host_window(void *ctx, struct pfc_window *ret)
{
	struct stage_host *host = ctx;
	struct pfc_window window = {
		.t0_ns = atomic_load(&host->t0_ns),
		.t1_ns = atomic_load(&host->t1_ns),
		.duration_ns = host->spec->duration_ns,
	};

	return host_give(ret, &window, sizeof(window));
}

void stage_host_set_t0(struct stage_host *host, uint64_t t0_ns)
{
	atomic_store(&host->t0_ns, t0_ns);
}

void stage_host_set_t1(struct stage_host *host, uint64_t t1_ns)
{
	atomic_store(&host->t1_ns, t1_ns);
}

/* ---- life ---- */

static int open_outputs(struct stage_host *host, struct pfc_error *err)
{
	const struct spec *spec = host->spec;

	host->writers = calloc(spec->output_count + 1, sizeof(struct artifact_writer *));
	host->readers = calloc(spec->input_count + 1, sizeof(struct artifact_reader *));
	host->metrics = calloc(spec->metric_count + 1, sizeof(*host->metrics));
	if (host->writers == NULL || host->readers == NULL || host->metrics == NULL) {
		return error_nomem(err);
	}
	for (size_t i = 0; i < spec->metric_count; i++) {
		host->metrics[i].sent = NAN; /* so that a first 0 is news */
	}
	for (size_t i = 0; i < spec->output_count; i++) {
		int rc = artifact_writer_create(spec->outputs[i].fd, spec->outputs[i].type, &host->writers[i],
						err);

		if (rc < 0) {
			return rc;
		}
	}
	return 0;
}

int stage_host_create(const struct spec *spec, int control, struct stage_host **ret, struct pfc_error *err)
{
	struct stage_host *host = calloc(1, sizeof(*host));
	int rc;

	if (host == NULL) {
		return error_nomem(err);
	}
	host->spec = spec;
	host->control = control;
	atomic_store(&host->t0_ns, spec->t0_ns);
	atomic_store(&host->t1_ns, spec->t1_ns);
	pthread_mutex_init(&host->lock, NULL);
	pthread_mutex_init(&host->send_lock, NULL);
	pthread_cond_init(&host->answered, NULL);
	host->face = (struct pfc_host){
		.struct_size = sizeof(host->face),
		.abi_minor = PFC_ABI_MINOR,
		.ctx = host,
		.log = host_log,
		.fail = host_fail,
		.option = host_option,
		.text = host_text,
		.now = host_now,
		.stop_fd = host_stop_fd,
		.window = host_window,
		.target = host_target,
		.target_env = host_target_env,
		.output = host_output,
		.input_count = host_input_count,
		.input = host_input,
		.loss = host_loss,
		.metric = host_metric,
		.gate = host_gate,
		.extension = host_extension,
	};
	rc = open_outputs(host, err);
	if (rc == 0) {
		*ret = host;
		host = NULL;
	}
	stage_host_destroy(host);
	return rc;
}

const struct pfc_host *stage_host_face(struct stage_host *host)
{
	return &host->face;
}

void stage_host_destroy(struct stage_host *host)
{
	if (host == NULL) {
		return;
	}
	stacks_service_destroy(host->stacks);
	target_client_destroy(host->stacks_client);
	target_client_destroy(host->client);
	for (size_t i = 0; host->writers != NULL && i < host->spec->output_count; i++) {
		artifact_writer_destroy(host->writers[i]);
	}
	for (size_t i = 0; host->readers != NULL && i < host->spec->input_count; i++) {
		artifact_reader_close(host->readers[i]);
	}
	free(host->writers);
	free(host->readers);
	free(host->metrics);
	free(host->pids);
	free(host->given_pids);
	free(host->cgroup);
	free(host->given_cgroup);
	pthread_mutex_destroy(&host->lock);
	pthread_mutex_destroy(&host->send_lock);
	pthread_cond_destroy(&host->answered);
	free(host);
}
