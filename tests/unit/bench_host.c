/* SPDX-License-Identifier: MIT */
#include "bench_host.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void log_line(void *ctx, uint32_t level, const char *text)
{
	(void)ctx;
	(void)level;
	fprintf(stderr, "# %s\n", text);
}

static int32_t fail(void *ctx, int32_t status, const char *what, const char *why, const char *hint)
{
	struct bench_host *bench = ctx;

	bench->failed = status;
	snprintf(bench->what, sizeof(bench->what), "%s", what);
	snprintf(bench->why, sizeof(bench->why), "%s", why);
	snprintf(bench->hint, sizeof(bench->hint), "%s", hint ? hint : "");
	return status;
}

static int32_t option(void *ctx, const char *key, struct pfc_value *ret)
{
	struct bench_host *bench = ctx;
	unsigned i;

	for (i = 0; i < bench->option_count; i++) {
		if (strcmp(bench->options[i].key, key) == 0) {
			ret->text = bench->options[i].text;
			ret->real = atof(ret->text);
			ret->integer = strcmp(ret->text, "true") == 0 ? 1 : atoll(ret->text);
			ret->is_set = 1;
			return PFC_OK;
		}
	}
	return PFC_ENOENT;
}

static const char *text(void *ctx, uint32_t which)
{
	(void)ctx;
	return which == PFC_TEXT_STAGE      ? "bench"
	       : which == PFC_TEXT_RUN_NAME ? "synthetic"
	       : which == PFC_TEXT_RUN_ID   ? "20260101-000000-synthetic"
					    : "";
}

static uint64_t now(void *ctx)
{
	(void)ctx;
	return 12345;
}

static int32_t window(void *ctx, struct pfc_window *ret)
{
	*ret = ((struct bench_host *)ctx)->window;
	return PFC_OK;
}

static int32_t output(void *ctx, const char *port, const struct pfc_writer **ret)
{
	struct bench_host *bench = ctx;
	unsigned i;

	for (i = 0; i < bench->output_count && strcmp(bench->outputs[i].port, port) != 0; i++) {
	}
	if (i == bench->output_count) {
		assert(i < BENCH_MAX);
		snprintf(bench->outputs[i].port, sizeof(bench->outputs[i].port), "%s", port);
		bench->outputs[i].artifact =
			mem_artifact_create("bench", bench->outputs[i].port, "text/plain", "", 0);
		bench->output_count++;
	}
	*ret = mem_artifact_writer(bench->outputs[i].artifact);
	return PFC_OK;
}

static uint32_t input_count(void *ctx, const char *port)
{
	struct bench_host *bench = ctx;
	uint32_t count = 0;
	unsigned i;

	for (i = 0; i < bench->input_count; i++) {
		count += strcmp(bench->inputs[i].port, port) == 0;
	}
	return count;
}

static int32_t input(void *ctx, const char *port, uint32_t index, const struct pfc_reader **ret)
{
	struct bench_host *bench = ctx;
	unsigned i;

	for (i = 0; i < bench->input_count; i++) {
		if (strcmp(bench->inputs[i].port, port) == 0 && index-- == 0) {
			*ret = bench->inputs[i].reader;
			return PFC_OK;
		}
	}
	return PFC_ENOENT;
}

static int32_t loss(void *ctx, const char *port, const char *cause, uint64_t count)
{
	(void)ctx;
	(void)port;
	(void)cause;
	(void)count;
	return PFC_OK;
}

static const void *extension(void *ctx, const char *id)
{
	(void)ctx;
	(void)id;
	return NULL;
}

void bench_host_init(struct bench_host *bench)
{
	memset(bench, 0, sizeof(*bench));
	bench->window.struct_size = sizeof(bench->window);
	bench->host = (struct pfc_host){ .struct_size = sizeof(bench->host),
					 .ctx = bench,
					 .log = log_line,
					 .fail = fail,
					 .option = option,
					 .text = text,
					 .now = now,
					 .window = window,
					 .output = output,
					 .input_count = input_count,
					 .input = input,
					 .loss = loss,
					 .extension = extension };
}

void bench_host_option(struct bench_host *bench, const char *key, const char *value)
{
	assert(bench->option_count < BENCH_MAX);
	bench->options[bench->option_count].key = key;
	bench->options[bench->option_count++].text = value;
}

void bench_host_input(struct bench_host *bench, const char *port, const struct pfc_reader *reader)
{
	assert(bench->input_count < BENCH_MAX);
	bench->inputs[bench->input_count].port = port;
	bench->inputs[bench->input_count++].reader = reader;
}

int32_t bench_host_run(struct bench_host *bench, pfc_plugin_entry entry)
{
	const struct pfc_plugin *plugin = entry(&bench->host);
	void *self = NULL;
	int32_t status = plugin->create ? plugin->create(&bench->host, &self) : PFC_OK;

	if (status == PFC_OK) {
		status = plugin->process(self);
	}
	if (plugin->destroy) {
		plugin->destroy(self);
	}
	return status;
}

const char *bench_host_output(const struct bench_host *bench, const char *port, uint64_t *ret_bytes)
{
	unsigned i;

	for (i = 0; i < bench->output_count; i++) {
		if (strcmp(bench->outputs[i].port, port) == 0) {
			return mem_artifact_document(bench->outputs[i].artifact, ret_bytes);
		}
	}
	return NULL;
}

void bench_host_finish(struct bench_host *bench)
{
	unsigned i;

	for (i = 0; i < bench->output_count; i++) {
		mem_artifact_destroy(bench->outputs[i].artifact);
	}
	bench->output_count = 0;
}
