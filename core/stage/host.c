/* SPDX-License-Identifier: MIT */
#include "stage/host.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <profcore/ext/draft/stacks.h>
#include <profcore/ext/draft/target.h>

#include "artifact/artifact.h"
#include "base/str.h"
#include "stacks/stacks.h"
#include "stage/protocol.h"
#include "target/client.h"

/* A plugin that logs in a loop must not drown the run: past this many lines only the count goes on. */
#define LOG_LINES_MAX      2000
#define LOG_LINE_BYTES_MAX 4000
#define ENV_BYTES_MAX      32768
/* The core answers a question for the target's pids from its main loop. */
#define ANSWER_SECONDS 5

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
	unsigned pids_answers;
	int32_t *given_pids; /* what the last target() handed out */
	uint32_t given_count;
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

/* ---- talk ---- */

int stage_host_send(struct stage_host *host, json_t *message)
{
	int rc;

	pthread_mutex_lock(&host->send_lock);
	rc = protocol_send(host->control, message);
	pthread_mutex_unlock(&host->send_lock);
	return rc;
}

static void host_log(void *ctx, uint32_t level, const char *text)
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

static int32_t host_fail(void *ctx, int32_t status, const char *what, const char *why, const char *hint)
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
static int give(void *ret, const void *from, uint32_t from_bytes)
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
			return give(ret, &spec->options[i].value, sizeof(spec->options[i].value));
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

	return give(ret, &window, sizeof(window));
}

void stage_host_set_t0(struct stage_host *host, uint64_t t0_ns)
{
	atomic_store(&host->t0_ns, t0_ns);
}

void stage_host_set_t1(struct stage_host *host, uint64_t t1_ns)
{
	atomic_store(&host->t1_ns, t1_ns);
}

/* ---- target ---- */

void stage_host_set_pids(struct stage_host *host, const json_t *pids)
{
	size_t count = json_array_size(pids);
	int32_t *list = calloc(count + 1, sizeof(*list));

	for (size_t i = 0; list != NULL && i < count; i++) {
		list[i] = (int32_t)json_integer_value(json_array_get(pids, i));
	}
	pthread_mutex_lock(&host->lock);
	free(host->pids);
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
		host->given_pids = host->pids;
		host->given_count = host->pid_count; /* a late answer to an older question may change the other */
		host->pids = NULL;
	}
	pthread_mutex_unlock(&host->lock);
	return rc;
}

static int32_t host_target(void *ctx, struct pfc_target *ret)
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
		.cgroup_path = host->spec->target_cgroup,
		.pids = host->given_pids,
		.pid_count = host->given_count,
		.held = host->spec->target_held && atomic_load(&host->t0_ns) == 0,
	};
	return give(ret, &target, sizeof(target));
}

static bool is_env_name(const char *name)
{
	size_t bytes = name != NULL ? strlen(name) : 0;

	return bytes > 0 && bytes < 256 && strchr(name, '=') == NULL;
}

static int32_t host_target_env(void *ctx, const char *name, const char *value)
{
	struct stage_host *host = ctx;

	if (!is_env_name(name) || value == NULL) {
		return PFC_EINVAL;
	}
	if (!host->spec->target_is_launched) {
		return PFC_ENOTSUP;
	}
	return stage_host_send(host, json_pack("{s:s, s:o, s:o}", "op", "env", "name", protocol_string(name, 256), "value",
					       protocol_string(value, ENV_BYTES_MAX)));
}

/* ---- data ---- */

static int32_t host_output(void *ctx, const char *port, const struct pfc_writer **ret)
{
	struct stage_host *host = ctx;

	for (size_t i = 0; i < host->spec->output_count; i++) {
		if (str_equal(host->spec->outputs[i].port, port)) {
			*ret = artifact_writer_face(host->writers[i]);
			return 0;
		}
	}
	return PFC_ENOENT;
}

static uint32_t host_input_count(void *ctx, const char *port)
{
	const struct spec *spec = ((struct stage_host *)ctx)->spec;
	uint32_t count = 0;

	for (size_t i = 0; i < spec->input_count; i++) {
		count += str_equal(spec->inputs[i].port, port);
	}
	return count;
}

/* The columns that the manifest says it cannot do without. */
static int check_needs(struct stage_host *host, const struct spec_input *input, const struct pfc_reader *reader)
{
	for (size_t i = 0; i < host->spec->need_count; i++) {
		const struct spec_need *need = &host->spec->needs[i];
		const char *dot = strchr(need->column, '.');
		struct pfc_table_view view = { .struct_size = sizeof(view) };
		char table[64];
		char why[256];

		if (!str_equal(need->port, input->port) || dot == NULL || dot - need->column >= (long)sizeof(table)) {
			continue;
		}
		memcpy(table, need->column, (size_t)(dot - need->column));
		table[dot - need->column] = '\0';
		if (reader->table(reader->ctx, table, &view) == 0 && reader->column(reader->ctx, view.table, dot + 1) >= 0) {
			continue;
		}
		snprintf(why, sizeof(why), "%s.%s has no column %s", input->producer, input->producer_port, need->column);
		return host_fail(host, PFC_EINVAL, "open an input", why, "a producer that writes this column");
	}
	return 0;
}

static int open_input(struct stage_host *host, size_t index)
{
	const struct spec_input *input = &host->spec->inputs[index];
	struct artifact_about about = { input->producer, input->producer_port, input->type, input->signal, input->partial };
	struct pfc_error err;
	int rc;

	if (host->readers[index] != NULL) {
		return 0;
	}
	rc = artifact_reader_open(input->fd, &about, &host->readers[index], &err);
	if (rc < 0) {
		return host_fail(host, rc, err.what, err.why, err.hint);
	}
	return check_needs(host, input, artifact_reader_face(host->readers[index]));
}

static int32_t host_input(void *ctx, const char *port, uint32_t index, const struct pfc_reader **ret)
{
	struct stage_host *host = ctx;

	for (size_t i = 0; i < host->spec->input_count; i++) {
		if (str_equal(host->spec->inputs[i].port, port) && index-- == 0) {
			int rc = open_input(host, i);

			if (rc == 0) {
				*ret = artifact_reader_face(host->readers[i]);
			}
			return rc;
		}
	}
	return PFC_ENOENT;
}

static int32_t host_loss(void *ctx, const char *port, const char *cause, uint64_t count)
{
	struct stage_host *host = ctx;

	for (size_t i = 0; i < host->spec->output_count; i++) {
		if (str_equal(host->spec->outputs[i].port, port)) {
			return artifact_writer_loss(host->writers[i], cause, count);
		}
	}
	return PFC_ENOENT;
}

static int32_t host_metric(void *ctx, const char *name, double value)
{
	struct stage_host *host = ctx;

	for (size_t i = 0; i < host->spec->metric_count; i++) {
		if (str_equal(host->spec->metrics[i], name)) {
			atomic_store(&host->metrics[i].value, value);
			atomic_store(&host->metrics[i].is_set, true);
			return 0;
		}
	}
	return PFC_ENOENT;
}

void stage_host_send_metrics(struct stage_host *host)
{
	json_t *values = NULL;

	for (size_t i = 0; i < host->spec->metric_count; i++) {
		struct host_metric *metric = &host->metrics[i];
		double value = atomic_load(&metric->value);

		if (!atomic_load(&metric->is_set) || value == metric->sent) {
			continue;
		}
		metric->sent = value;
		values = values != NULL ? values : json_object();
		json_object_set_new(values, host->spec->metrics[i], json_real(value));
	}
	if (values != NULL) {
		(void)stage_host_send(host, json_pack("{s:s, s:o}", "op", "metrics", "values", values));
	}
}

static int32_t host_gate(void *ctx, const char *expression, uint32_t verdict, const char *detail)
{
	if (expression == NULL || detail == NULL || verdict < PFC_GATE_PASS || verdict > PFC_GATE_INCONCLUSIVE) {
		return PFC_EINVAL;
	}
	return stage_host_send(ctx, json_pack("{s:s, s:o, s:i, s:o}", "op", "gate", "expression",
					      protocol_string(expression, LOG_LINE_BYTES_MAX), "verdict", (int)verdict,
					      "detail", protocol_string(detail, LOG_LINE_BYTES_MAX)));
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
	return stacks_service_face(host->stacks);
}

static const void *host_extension(void *ctx, const char *id)
{
	if (str_equal(id, PFC_EXT_TARGET)) {
		return open_target_service(ctx);
	}
	if (str_equal(id, PFC_EXT_STACKS)) {
		return open_stacks_service(ctx);
	}
	return NULL;
}

/* ---- life ---- */

int stage_host_close_outputs(struct stage_host *host, bool seal, struct pfc_error *err)
{
	int first = 0;

	for (size_t i = 0; i < host->spec->output_count; i++) {
		const struct pfc_writer *face = artifact_writer_face(host->writers[i]);
		struct pfc_error why;
		int rc = seal ? artifact_writer_seal(host->writers[i], &why) : 0;

		if (!seal) {
			(void)face->commit(face->ctx);
		}
		if (rc < 0 && first == 0) {
			first = rc;
			*err = why;
		}
		(void)stage_host_send(host, json_pack("{s:s, s:s, s:b, s:o}", "op", "output", "port",
						      host->spec->outputs[i].port, "sealed", seal && rc == 0, "report",
						      artifact_writer_report(host->writers[i])));
	}
	return first;
}

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
		int rc = artifact_writer_create(spec->outputs[i].fd, spec->outputs[i].type, &host->writers[i], err);

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
	pthread_mutex_destroy(&host->lock);
	pthread_mutex_destroy(&host->send_lock);
	pthread_cond_destroy(&host->answered);
	free(host);
}
