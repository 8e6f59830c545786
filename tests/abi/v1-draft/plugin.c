/* SPDX-License-Identifier: MIT */
/* A plugin of the founding set: every host function that a collector has, every type of column, every callback. */
#include <profcore/profcore.h>

#include <poll.h>
#include <stdlib.h>

PFC_MANIFEST("manifest.ini");

#define COLUMN(kind, label, of) { .struct_size = sizeof(struct pfc_column), .type = kind, .name = label, .unit = of }

static const struct pfc_column columns[] = {
	COLUMN(PFC_U64, "time", "ns"),   COLUMN(PFC_U8, "u8", "count"),   COLUMN(PFC_U16, "u16", "count"),
	COLUMN(PFC_U32, "u32", "count"), COLUMN(PFC_I32, "i32", "count"), COLUMN(PFC_I64, "i64", "count"),
	COLUMN(PFC_F64, "f64", "ratio"), COLUMN(PFC_UTF8, "text", "text"),
};

static const struct pfc_table table = {
	.struct_size = sizeof(table),
	.column_count = sizeof(columns) / sizeof(columns[0]),
	.name = "rows",
	.columns = columns,
	.column_stride = sizeof(struct pfc_column),
	.time_column = 0,
};

struct self {
	const struct pfc_host *host;
	const struct pfc_writer *writer;
	uint64_t t0_ns;
	uint32_t calls; /* one bit for each callback, in order */
};

static int32_t create(const struct pfc_host *host, void **ret_self)
{
	struct self *self = calloc(1, sizeof(*self));

	if (!self) {
		return host->fail(host->ctx, PFC_ENOMEM, "create", "out of memory", NULL);
	}
	self->host = host;
	self->calls = 1;
	*ret_self = self;
	return PFC_OK;
}

static int32_t probe(void *ctx)
{
	struct self *self = ctx;

	self->calls |= 2;
	return self->host->extension(self->host->ctx, "nobody.has-this/1") ? PFC_EPROTO : PFC_OK;
}

static int32_t prepare(void *ctx)
{
	struct self *self = ctx;
	int32_t rc = self->host->output(self->host->ctx, "rows", &self->writer);

	self->calls |= 4;
	return rc == PFC_OK ? self->writer->declare(self->writer->ctx, &table) : rc;
}

static int32_t start(void *ctx, uint64_t t0_ns)
{
	struct self *self = ctx;

	self->calls |= 8;
	self->t0_ns = t0_ns;
	return PFC_OK;
}

static int32_t run(void *ctx)
{
	struct self *self = ctx;
	const struct pfc_host *host = self->host;
	struct pollfd stop = { .fd = host->stop_fd(host->ctx), .events = POLLIN };

	self->calls |= 16;
	host->metric(host->ctx, "rows", 1);
	while (poll(&stop, 1, -1) <= 0) {
	}
	return PFC_OK;
}

static int32_t stop(void *ctx, uint64_t t1_ns)
{
	struct self *self = ctx;

	self->calls |= t1_ns > self->t0_ns ? 32 : 0;
	return PFC_OK;
}

static int32_t add_row(struct self *self, uint64_t time_ns, int64_t i)
{
	uint8_t u8 = (uint8_t)i;
	uint16_t u16 = (uint16_t)(i * 3);
	uint32_t u32 = (uint32_t)(i * 5);
	int32_t i32 = (int32_t)-i;
	int64_t i64 = -i * 7;
	double f64 = (double)i / 2;
	struct pfc_string text = { "row", 3 };
	const void *row[] = { &time_ns, &u8, &u16, &u32, &i32, &i64, &f64, &text };

	return self->writer->append(self->writer->ctx, 0, 1, row);
}

static int32_t finish(void *ctx)
{
	struct self *self = ctx;
	const struct pfc_host *host = self->host;
	int64_t rows = pfc_option_int(host, "rows", 10);
	int32_t rc = PFC_OK;

	self->calls |= 64;
	for (int64_t i = 0; i < rows && rc == PFC_OK; i++) {
		rc = add_row(self, self->t0_ns + (uint64_t)i, i);
	}
	self->writer->fact_number(self->writer->ctx, "callbacks", self->calls);
	self->writer->fact_text(self->writer->ctx, "stage", host->text(host->ctx, PFC_TEXT_STAGE));
	host->loss(host->ctx, "rows", "made_up", 3);
	return rc;
}

static void destroy(void *ctx)
{
	free(ctx);
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
		.stop = stop,
		.finish = finish,
		.destroy = destroy,
	};

	return host->struct_size >= PFC_HOST_FOUNDING_BYTES ? &plugin : NULL;
}
