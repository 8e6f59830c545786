/* SPDX-License-Identifier: MIT */
/*
 * null: the smallest complete plugin, to copy. A collector that measures nothing of the target: it sleeps, and notes how
 * late the machine woke it. One output with one table, one option, one live metric; nothing else that is not needed.
 */
#include <profcore/profcore.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* The text beside this file goes into the .so: the core reads it there, and loads nothing for it. */
PFC_MANIFEST("manifest.ini");

/* Columns of the one table, in order. Every column has a unit. */
static const struct pfc_column columns[] = {
	{ .struct_size = sizeof(struct pfc_column), .type = PFC_U64, .name = "time", .unit = "ns" },
	{ .struct_size = sizeof(struct pfc_column), .type = PFC_U64, .name = "late", .unit = "ns" },
};

/* time_column = 0: column 0 dates a row. struct_size and column_stride let hosts and plugins of different age meet. */
static const struct pfc_table table = {
	.struct_size = sizeof(table),
	.column_count = 2,
	.name = "ticks",
	.columns = columns,
	.column_stride = sizeof(struct pfc_column),
	.time_column = 0,
};

/* All state lives here: no globals. */
struct null {
	const struct pfc_host *host;
	const struct pfc_writer *writer; /* the host's: never freed here */
	uint32_t table;
	uint64_t interval_ns;
	uint64_t start_ns;
	uint64_t ticks;
};

/* Read the options: they come parsed and range-checked. What takes time belongs into prepare. */
static int32_t null_create(const struct pfc_host *host, void **ret_self)
{
	struct null *self = calloc(1, sizeof(*self));

	if (!self) {
		return host->fail(host->ctx, PFC_ENOMEM, "create null", "out of memory", NULL);
	}
	self->host = host;
	self->interval_ns = (uint64_t)pfc_option_int(host, "interval", 100000000);
	*ret_self = self;
	return PFC_OK;
}

/* Open everything. A probe (can this work here?) is left out: it always can. A missing callback counts as done. */
static int32_t null_prepare(void *ctx)
{
	struct null *self = ctx;
	const struct pfc_host *host = self->host;
	int32_t rc = host->output(host->ctx, "ticks", &self->writer);

	if (rc == PFC_OK) {
		rc = self->writer->declare(self->writer->ctx, &table);
	}
	if (rc < 0) {
		return host->fail(host->ctx, rc, "declare table ticks", "the host refused it", NULL);
	}
	self->table = (uint32_t)rc;
	return PFC_OK;
}

/* Only flip the switch: the window opens within milliseconds of this. */
static int32_t null_start(void *ctx, uint64_t t0_ns)
{
	struct null *self = ctx;

	(void)t0_ns; /* a collector measures from here on, before T0; a driver would wait for T0 in run */
	self->start_ns = self->host->now(self->host->ctx);
	return PFC_OK;
}

/* One row, dated `time_ns`. append copies; the host puts rows where a kill cannot take them. */
static int32_t add_row(struct null *self, uint64_t time_ns, uint64_t late_ns)
{
	const void *row[] = { &time_ns, &late_ns };

	self->host->metric(self->host->ctx, "ticks", (double)++self->ticks);
	return self->writer->append(self->writer->ctx, self->table, 1, row);
}

/* The plugin's own loop: returns when stop_fd is readable. It must always poll that descriptor. */
static int32_t null_run(void *ctx)
{
	struct null *self = ctx;
	const struct pfc_host *host = self->host;
	struct pollfd stop = { .fd = host->stop_fd(host->ctx), .events = POLLIN };
	uint64_t due_ns = self->start_ns + self->interval_ns;
	uint64_t now_ns;
	int32_t rc = PFC_OK;

	while (rc == PFC_OK) {
		int ready;

		now_ns = host->now(host->ctx);
		ready = poll(&stop, 1, due_ns > now_ns ? (int)((due_ns - now_ns + 999999) / 1000000) : 0);
		if (ready > 0) {
			break;
		}
		if (ready < 0 && errno != EINTR) {
			return host->fail(host->ctx, PFC_EIO, "wait", strerror(errno), NULL);
		}
		now_ns = host->now(host->ctx);
		if (now_ns < due_ns) {
			continue;
		}
		rc = add_row(self, now_ns, now_ns - due_ns);
		due_ns += self->interval_ns;
		if (due_ns <= now_ns) { /* whole intervals were missed: count what is lost, never hide it */
			host->loss(host->ctx, "ticks", "missed", (now_ns - due_ns) / self->interval_ns + 1);
			due_ns = now_ns + self->interval_ns;
		}
	}
	return rc;
}

/* Last words about the whole artifact. The host closes the writer. */
static int32_t null_finish(void *ctx)
{
	struct null *self = ctx;

	if (self->ticks == 0) {
		return self->host->fail(self->host->ctx, PFC_ENODATA, "collect ticks", "the window held none",
					"use a longer run.duration, or a shorter interval");
	}
	self->writer->fact_number(self->writer->ctx, "ticks", (double)self->ticks);
	return PFC_OK;
}

/* Accepts NULL. */
static void null_destroy(void *ctx)
{
	free(ctx);
}

/* The one exported function. A host that lacks part of the founding set is no host: refuse it. */
const struct pfc_plugin *pfc_plugin_v1(const struct pfc_host *host)
{
	static const struct pfc_plugin plugin = {
		.struct_size = sizeof(plugin),
		.create = null_create,
		.prepare = null_prepare,
		.start = null_start,
		.run = null_run,
		.finish = null_finish,
		.destroy = null_destroy,
	};

	return host->struct_size >= PFC_HOST_FOUNDING_BYTES ? &plugin : NULL;
}
