/* SPDX-License-Identifier: MIT */
/* A plugin that does everything right but one thing, named by BEHAVIOUR: see misbehave.h. */
#include "misbehave.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

PFC_MANIFEST(MANIFEST_FILE);

#define TICK_MS 50

const char behaviour[] = BEHAVIOUR;

static const struct pfc_column columns[] = {
	{ .struct_size = sizeof(struct pfc_column), .type = PFC_U64, .name = "time", .unit = "ns" },
};

static const struct pfc_table table = {
	.struct_size = sizeof(table),
	.column_count = 1,
	.name = "rows",
	.columns = columns,
	.column_stride = sizeof(struct pfc_column),
	.time_column = 0,
};

static int32_t create(const struct pfc_host *host, void **ret_self)
{
	struct self *self = calloc(1, sizeof(*self));

	act("create");
	if (!self) {
		return host->fail(host->ctx, PFC_ENOMEM, "create", "out of memory", NULL);
	}
	self->host = host;
	*ret_self = self;
	return PFC_OK;
}

static int32_t probe(void *ctx)
{
	(void)ctx;
	act("probe");
	return PFC_OK;
}

static int32_t prepare(void *ctx)
{
	struct self *self = ctx;
	int32_t rc;

	act("prepare");
	rc = self->host->output(self->host->ctx, behaves("ask-unknown-port") ? "no-such-port" : "rows", &self->writer);
	if (rc != PFC_OK || behaves("lie-output")) {
		return rc;
	}
	if (strncmp(behaviour, "garbage", 7) == 0) {
		return write_garbage(self);
	}
	return self->writer->declare(self->writer->ctx, &table);
}

static int32_t start(void *ctx, uint64_t t0_ns)
{
	(void)ctx;
	(void)t0_ns;
	act("start");
	return PFC_OK;
}

static int32_t tick(struct self *self)
{
	uint64_t now = self->host->now(self->host->ctx);
	const void *row[] = { &now };

	self->host->metric(self->host->ctx, "rows", (double)++self->rows);
	if (behaves("lie-output") || strncmp(behaviour, "garbage", 7) == 0) {
		return PFC_OK;
	}
	return self->writer->append(self->writer->ctx, 0, 1, row);
}

static int32_t run(void *ctx)
{
	struct self *self = ctx;
	struct pollfd stop = { .fd = self->host->stop_fd(self->host->ctx), .events = POLLIN };
	int32_t rc = tick(self);

	/* Somewhere in the window, not at its first instant. */
	poll(&stop, 1, TICK_MS);
	act("run");
	rc = rc ? rc : act_in_run(self);
	while (rc == PFC_OK && poll(&stop, 1, TICK_MS) == 0) {
		rc = tick(self);
	}
	return rc;
}

static int32_t stop(void *ctx, uint64_t t1_ns)
{
	(void)ctx;
	(void)t1_ns;
	act("stop");
	return PFC_OK;
}

static int32_t finish(void *ctx)
{
	(void)ctx;
	act("finish");
	return PFC_OK;
}

static int32_t try_to_open(struct self *self)
{
	static const char *const paths[] = { "/etc/passwd", "/etc/shadow", "/proc/1/environ", "/proc/1/maps", "/tmp" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (open(paths[i], O_RDONLY | O_CLOEXEC) >= 0) {
			return self->host->fail(self->host->ctx, PFC_EPROTO, paths[i], "it worked", NULL);
		}
	}
	if (open("/tmp/profcore-misbehave", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0) {
		return self->host->fail(self->host->ctx, PFC_EPROTO, "create a file in /tmp", "it worked", NULL);
	}
	return self->writer->write(self->writer->ctx, "denied\n", 7);
}

static int32_t process(void *ctx)
{
	struct self *self = ctx;
	int32_t rc = self->host->output(self->host->ctx, "text", &self->writer);

	act("process");
	if (rc != PFC_OK || behaves("lie-document")) {
		return rc;
	}
	if (behaves("open-files")) { /* a stage without privileges reads and writes what it was given, nothing else */
		return try_to_open(self);
	}
	return self->writer->write(self->writer->ctx, "line\n", 5);
}

static void destroy(void *ctx)
{
	act("destroy");
	free(ctx);
}

#ifndef ENTRY
#define ENTRY pfc_plugin_v1
#endif

PFC_EXPORT const struct pfc_plugin *ENTRY(const struct pfc_host *host);

const struct pfc_plugin *ENTRY(const struct pfc_host *host)
{
	static struct pfc_plugin plugin = {
		.struct_size = sizeof(plugin),
		.create = create,
		.probe = probe,
		.prepare = prepare,
		.start = start,
		.run = run,
		.stop = stop,
		.finish = finish,
		.process = process,
		.destroy = destroy,
	};

	act("entry");
	if (behaves("wrong-size")) {
		plugin.struct_size = 3;
	} else if (behaves("huge-size")) { /* claims members where other data stands */
		plugin.struct_size = 0x7ffffff0;
	} else if (behaves("no-callbacks")) {
		plugin.create = NULL;
		plugin.run = NULL;
	} else if (behaves("return-null")) {
		return NULL;
	}
	(void)host;
	return &plugin;
}
