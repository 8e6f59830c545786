/* SPDX-License-Identifier: MIT */
/* load-test: the life of the stage. See load.h for its parts. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

PFC_MANIFEST("manifest.ini");

/* Descriptors beside one a connection: host, epoll, outputs. */
#define OTHER_DESCRIPTORS 64
/* From here on the client, not the server, may be what limits the rate. */
#define BUSY_CPU_PCT 90
/* Open loop: our own lateness, as a share of the median, and requests not sent, from which on they are worth a line. */
#define LATE_PCT   10
#define MISSED_PCT 1

struct load_test {
	const struct pfc_host *host;
	struct load_settings settings;
	struct load_recorder *recorder;
	struct load_client *client;
	struct load_span span;
};

static int32_t create(const struct pfc_host *host, void **ret_self)
{
	struct load_test *self = calloc(1, sizeof(*self));

	if (self == NULL) {
		return host->fail(host->ctx, PFC_ENOMEM, "allocating the stage", "no memory", NULL);
	}
	self->host = host;
	*ret_self = self;
	return PFC_OK;
}

/* The server may not run yet (a target that is launched): look at the URL and its host, connect to nothing. */
static int32_t probe(void *pointer)
{
	struct load_test *self = pointer;
	int status;

	load_settings_finish(&self->settings);
	status = load_settings_read(self->host, &self->settings);
	return status != 0 ? status : load_settings_resolve(self->host, &self->settings);
}

static int32_t allow_descriptors(struct load_test *self)
{
	struct rlimit limit;
	rlim_t needed = self->settings.connections + OTHER_DESCRIPTORS;
	char why[128];

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) {
		return PFC_OK;
	}
	if (limit.rlim_max >= needed) {
		limit.rlim_cur = needed;
		if (setrlimit(RLIMIT_NOFILE, &limit) == 0) {
			return PFC_OK;
		}
	}
	snprintf(why, sizeof(why), "%u connections need %llu open files, the limit is %llu",
		 self->settings.connections, (unsigned long long)needed, (unsigned long long)limit.rlim_max);
	return self->host->fail(self->host->ctx, PFC_ENOSPC, "raising the limit of open files", why,
				"lower connections, or raise ulimit -n");
}

static int32_t prepare(void *pointer)
{
	struct load_test *self = pointer;
	const struct pfc_host *host = self->host;
	int status = allow_descriptors(self);

	if (status == 0) {
		status = load_recorder_create(host, &self->recorder);
	}
	if (status != 0) {
		return status;
	}
	status = load_client_create(&self->settings, self->recorder, host->stop_fd(host->ctx), &self->client);
	if (status != 0) {
		return host->fail(host->ctx, status, "preparing the connections",
				  status == PFC_ENOMEM ? "no memory" : strerror(errno), "lower connections");
	}
	return PFC_OK;
}

static int32_t start(void *pointer, uint64_t t0_ns)
{
	struct load_test *self = pointer;

	self->span.t0_ns = t0_ns;
	return PFC_OK;
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec used = { 0 };

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * LOAD_NS_PER_S + (uint64_t)used.tv_nsec;
}

static int32_t run(void *pointer)
{
	struct load_test *self = pointer;
	const struct pfc_host *host = self->host;
	struct pfc_window window = { .struct_size = sizeof(window) };
	uint64_t t1_ns = UINT64_MAX;
	uint64_t cpu_ns = thread_cpu_ns();
	int status;

	if (host->window(host->ctx, &window) == 0 && window.duration_ns > 0) {
		t1_ns = self->span.t0_ns + window.duration_ns;
	}
	status = load_client_run(self->client, self->span.t0_ns, t1_ns);
	self->span.t1_ns = load_client_end(self->client);
	self->span.cpu_ns = thread_cpu_ns() - cpu_ns;
	if (status != 0) {
		return host->fail(host->ctx, status, "waiting for answers", strerror(errno), NULL);
	}
	return PFC_OK;
}

/* Open loop: was the rate kept, and is the median the server's or our own? */
static void warn_open_loop(const struct load_test *self)
{
	const struct pfc_host *host = self->host;
	const struct load_recorder *recorder = self->recorder;
	uint64_t late_ns = histogram_quantile(&recorder->late, 0.5);
	uint64_t median_ns = histogram_quantile(&recorder->response, 0.5);
	char text[256];

	if (recorder->never_sent * 100 > recorder->requests * MISSED_PCT) {
		snprintf(text, sizeof(text),
			 "%llu of %llu requests that were due were never sent: no connection was free (more "
			 "connections?), continuing",
			 (unsigned long long)recorder->never_sent, (unsigned long long)recorder->requests);
		host->log(host->ctx, PFC_LOG_WARNING, text);
	}
	if (late_ns * 100 > median_ns * LATE_PCT) {
		snprintf(text, sizeof(text),
			 "requests left %.0f us late at the median, of %.0f us in all: this machine is slow "
			 "to wake "
			 "the load client, see service_p50_ms, continuing",
			 (double)late_ns / 1e3, (double)median_ns / 1e3);
		host->log(host->ctx, PFC_LOG_WARNING, text);
	}
}

/* What makes the figures mean less than they seem to. */
static void warn(const struct load_test *self)
{
	const struct pfc_host *host = self->host;
	const struct load_recorder *recorder = self->recorder;
	uint64_t refused = 0;
	double window_ns = (double)(self->span.t1_ns - self->span.t0_ns);
	char errors[256];
	char text[512];
	uint32_t i;

	for (i = 400; i < 600; i++) {
		refused += recorder->by_status[i];
	}
	if (refused > 0) {
		snprintf(text, sizeof(text), "%llu of %llu answers have status 400 or above, continuing",
			 (unsigned long long)refused, (unsigned long long)recorder->answers);
		host->log(host->ctx, PFC_LOG_WARNING, text);
	}
	if (load_recorder_errors(recorder) > 0) {
		load_summary_errors(recorder, errors, sizeof(errors));
		snprintf(text, sizeof(text), "%llu of %llu requests failed: %s, continuing",
			 (unsigned long long)load_recorder_errors(recorder),
			 (unsigned long long)recorder->requests, errors);
		host->log(host->ctx, PFC_LOG_WARNING, text);
	}
	if (self->settings.rate > 0) {
		warn_open_loop(self);
	}
	if (self->span.t1_ns > self->span.t0_ns &&
	    (double)self->span.cpu_ns * 100 > window_ns * BUSY_CPU_PCT) {
		host->log(
			host->ctx, PFC_LOG_WARNING,
			"the load client used its whole CPU: the server may be able to do more, continuing");
	}
}

static int32_t write_summary(struct load_test *self)
{
	const struct pfc_host *host = self->host;
	const struct pfc_writer *writer;
	char *text = load_summary_text(&self->settings, self->recorder, &self->span);
	int32_t status;

	if (text == NULL) {
		return host->fail(host->ctx, PFC_ENOMEM, "writing the summary", "no memory", NULL);
	}
	status = host->output(host->ctx, "summary", &writer);
	if (status == 0) {
		status = writer->write(writer->ctx, text, strlen(text));
	}
	if (status == 0) {
		status = writer->commit(writer->ctx);
	}
	free(text);
	return status == 0 ? PFC_OK
			   : host->fail(host->ctx, status, "output summary", "it cannot be written", NULL);
}

/* How complete `requests` is, for those who read the artifact alone. */
static int state_facts(const struct load_test *self)
{
	const struct load_recorder *recorder = self->recorder;
	const struct pfc_writer *writer = recorder->writer;
	double answered = recorder->requests > 0 ? (double)recorder->answers / (double)recorder->requests : 0;
	int status = writer->fact_text(writer->ctx, "mode", self->settings.rate > 0 ? "open" : "closed");

	if (status == 0) {
		status = writer->fact_number(writer->ctx, "answered_pct", answered * 100);
	}
	if (status == 0) {
		status = writer->fact_number(writer->ctx, "unfinished", (double)recorder->unfinished);
	}
	return status != 0 ? status
			   : writer->fact_number(writer->ctx, "unsent", (double)recorder->never_sent);
}

static int32_t finish(void *pointer)
{
	struct load_test *self = pointer;
	const struct pfc_host *host = self->host;
	char what[256];
	char errors[256];
	int status = state_facts(self);

	if (status == 0) {
		status = load_recorder_flush(self->recorder);
	}
	if (status != 0) {
		return host->fail(host->ctx, status, "output requests", "rows could not be written",
				  "see whether the disk is full");
	}
	status = write_summary(self);
	if (status != 0 || self->recorder->answers > 0) {
		if (status == 0) {
			warn(self);
		}
		return status;
	}
	load_summary_errors(self->recorder, errors, sizeof(errors));
	snprintf(what, sizeof(what), "no answer from %.200s", self->settings.url_text);
	return host->fail(host->ctx, PFC_ENODATA, what, errors[0] != '\0' ? errors : "no request was sent",
			  self->recorder->errors[LOAD_CONNECT] > 0
				  ? "is the service listening there?"
				  : "try it with curl; a longer window or timeout may help");
}

static void destroy(void *pointer)
{
	struct load_test *self = pointer;

	if (self == NULL) {
		return;
	}
	load_client_destroy(self->client);
	load_recorder_destroy(self->recorder);
	load_settings_finish(&self->settings);
	free(self);
}

const struct pfc_plugin *pfc_plugin_v1(const struct pfc_host *host)
{
	static const struct pfc_plugin plugin = {
		.struct_size = sizeof(plugin),
		.create = create,
		.probe = probe,
		.prepare = prepare,
		.start = start,
		.run = run,
		.finish = finish,
		.destroy = destroy,
	};

	return host->struct_size >= PFC_HOST_FOUNDING_BYTES ? &plugin : NULL;
}
