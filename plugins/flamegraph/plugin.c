/* SPDX-License-Identifier: MIT */
/* flamegraph: reads one stacks artifact, lays it out, writes one SVG. This file is the traffic with the host. */
#include <profcore/profcore.h>

#include <stdio.h>
#include <stdlib.h>

#include "flame.h"

PFC_MANIFEST("manifest.ini");

struct self {
	const struct pfc_host *host;
};

static int32_t create(const struct pfc_host *host, void **ret_self)
{
	struct self *self = calloc(1, sizeof(*self));

	if (!self) {
		return host->fail(host->ctx, PFC_ENOMEM, "create", "memory ran out", NULL);
	}
	self->host = host;
	*ret_self = self;
	return PFC_OK;
}

static void destroy(void *self)
{
	free(self);
}

static int32_t fail(const struct pfc_host *host, int status, const char *why, const char *hint)
{
	return host->fail(host->ctx, status, "draw a flame graph", why, hint);
}

static int32_t fail_empty(const struct pfc_host *host, const struct profile *profile)
{
	char why[384];

	if (profile->other_samples) {
		snprintf(why, sizeof(why),
			 "none of the %llu samples of %s.%s has %.100s in its stack (only_symbols)",
			 (unsigned long long)profile->other_samples, profile->producer, profile->port,
			 profile->only_symbols);
	} else if (profile->outside) {
		snprintf(why, sizeof(why), "%s.%s has no sample in the window, %llu outside it",
			 profile->producer, profile->port, (unsigned long long)profile->outside);
	} else {
		snprintf(why, sizeof(why), "%s.%s has no sample", profile->producer, profile->port);
	}
	return fail(host, PFC_ENODATA, why,
		    "put load on the target during the window, or sample for longer; the collector's log may "
		    "say more");
}

static void read_options(const struct pfc_host *host, struct flame *flame)
{
	flame->run_name = host->text(host->ctx, PFC_TEXT_RUN_NAME);
	flame->title = pfc_option_text(host, "title", "");
	flame->min_width_pct = pfc_option_real(host, "min_width", 0.01);
	flame->icicle = pfc_option_int(host, "direction", 0) == 1;
	flame->reverse = pfc_option_int(host, "reverse", 0) != 0;
	flame->by_module = pfc_option_int(host, "color", 0) == 1;
	flame->by_thread = pfc_option_int(host, "threads", 0) == 1;
	flame->max_depth = (uint32_t)pfc_option_int(host, "max_depth", 0);
}

static int32_t write_document(const struct pfc_host *host, const struct text *document)
{
	const struct pfc_writer *writer;
	int status = host->output(host->ctx, "svg", &writer);

	if (status == PFC_OK) {
		status = writer->write(writer->ctx, document->data, document->bytes);
	}
	if (status == PFC_OK) {
		status = writer->commit(writer->ctx);
	}
	return status == PFC_OK ? PFC_OK : fail(host, status, "the picture could not be written", NULL);
}

static int32_t draw(const struct pfc_host *host, const struct pfc_reader *reader, struct flame *flame)
{
	struct calltree_options options = { .reverse = flame->reverse,
					    .by_thread = flame->by_thread,
					    .max_depth = flame->max_depth,
					    .order = CALLTREE_BY_NAME };
	struct health health = { 0 };
	struct text document = { 0 };
	int status = health_read(flame->profile, reader, &health);

	flame->health = &health;
	if (status == PFC_OK) {
		status = calltree_build(flame->profile, &options, &flame->tree);
	}
	if (status == PFC_OK) {
		status = flame_layout(flame);
	}
	if (status == PFC_OK) {
		status = flame_document(flame, &document);
	}
	status = status == PFC_OK ? write_document(host, &document)
				  : fail(host, status, "memory ran out", NULL);
	text_finish(&document);
	free(flame->boxes);
	calltree_finish(&flame->tree);
	health_finish(&health);
	return status;
}

static int32_t process(void *data)
{
	const struct pfc_host *host = ((struct self *)data)->host;
	struct profile_options options = { .seed = host->now(host->ctx) };
	struct pfc_window window = { .struct_size = sizeof(window) };
	const struct pfc_reader *reader;
	struct flame flame = { 0 };
	int32_t status = host->input(host->ctx, "stacks", 0, &reader);

	if (status != PFC_OK) {
		return fail(host, status, "the input cannot be read", NULL);
	}
	read_options(host, &flame);
	if (host->window(host->ctx, &window) == PFC_OK) {
		options.t0_ns = window.t0_ns;
		options.t1_ns = window.t1_ns;
	}
	options.by_thread = flame.by_thread;
	status = profile_read(reader, &options, &flame.profile);
	if (status != PFC_OK) {
		return fail(host, status,
			    status == PFC_ENOENT ? "the artifact lacks its samples or stacks table"
						 : "memory ran out",
			    NULL);
	}
	status = flame.profile->samples ? draw(host, reader, &flame) : fail_empty(host, flame.profile);
	profile_destroy(flame.profile);
	return status;
}

const struct pfc_plugin *pfc_plugin_v1(const struct pfc_host *host)
{
	static const struct pfc_plugin plugin = {
		.struct_size = sizeof(plugin),
		.create = create,
		.process = process,
		.destroy = destroy,
	};

	return host->struct_size >= PFC_HOST_FOUNDING_BYTES ? &plugin : NULL;
}
