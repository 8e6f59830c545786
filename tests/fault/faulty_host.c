/* SPDX-License-Identifier: MIT */
#include "faulty_host.h"

#include <profcore/ext/draft/stacks.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* 0, or the error that this call shall return. */
static int32_t fault(struct faulty_host *faulty, const char *call)
{
	if (++faulty->calls != faulty->fail_at) {
		return 0;
	}
	faulty->failed = call;
	return faulty->status;
}

/* ---- writers ---- */

static int32_t writer_fault(struct faulty_writer *writer, const char *call)
{
	if (writer->error == 0) {
		writer->error = fault(writer->host, call);
	}
	return writer->error;
}

static int32_t writer_declare(void *ctx, const struct pfc_table *def)
{
	struct faulty_writer *writer = ctx;
	int32_t rc = writer_fault(writer, "writer.declare");

	return rc != 0 ? rc : writer->real->declare(writer->real->ctx, def);
}

static int32_t writer_append(void *ctx, uint32_t table, uint64_t row_count, const void *const *columns)
{
	struct faulty_writer *writer = ctx;
	int32_t rc = writer_fault(writer, "writer.append");

	return rc != 0 ? rc : writer->real->append(writer->real->ctx, table, row_count, columns);
}

static int32_t writer_write(void *ctx, const void *data, uint64_t bytes)
{
	struct faulty_writer *writer = ctx;
	int32_t rc = writer_fault(writer, "writer.write");

	return rc != 0 ? rc : writer->real->write(writer->real->ctx, data, bytes);
}

static int32_t writer_commit(void *ctx)
{
	struct faulty_writer *writer = ctx;
	int32_t rc = writer_fault(writer, "writer.commit");

	return rc != 0 ? rc : writer->real->commit(writer->real->ctx);
}

static int32_t writer_fact_number(void *ctx, const char *key, double value)
{
	struct faulty_writer *writer = ctx;
	int32_t rc = writer_fault(writer, "writer.fact_number");

	return rc != 0 ? rc : writer->real->fact_number(writer->real->ctx, key, value);
}

static int32_t writer_fact_text(void *ctx, const char *key, const char *value)
{
	struct faulty_writer *writer = ctx;
	int32_t rc = writer_fault(writer, "writer.fact_text");

	return rc != 0 ? rc : writer->real->fact_text(writer->real->ctx, key, value);
}

static const struct pfc_writer *wrap_writer(struct faulty_host *faulty, const struct pfc_writer *real)
{
	struct faulty_writer *writer;

	for (unsigned i = 0; i < faulty->writer_count; i++) {
		if (faulty->writers[i].real == real) {
			return &faulty->writers[i].face;
		}
	}
	if (faulty->writer_count == FAULTY_MAX) {
		abort();
	}
	writer = &faulty->writers[faulty->writer_count++];
	*writer = (struct faulty_writer){ .host = faulty, .real = real };
	writer->face = (struct pfc_writer){ .struct_size = sizeof(writer->face),
					    .ctx = writer,
					    .declare = writer_declare,
					    .append = writer_append,
					    .write = writer_write,
					    .commit = writer_commit,
					    .fact_number = writer_fact_number,
					    .fact_text = writer_fact_text };
	return &writer->face;
}

/* ---- readers ---- */

static int32_t reader_describe(void *ctx, struct pfc_artifact *ret)
{
	struct faulty_reader *reader = ctx;
	int32_t rc = fault(reader->host, "reader.describe");

	return rc != 0 ? rc : reader->real->describe(reader->real->ctx, ret);
}

static int32_t reader_table(void *ctx, const char *name, struct pfc_table_view *ret)
{
	struct faulty_reader *reader = ctx;
	int32_t rc = fault(reader->host, "reader.table");

	return rc != 0 ? rc : reader->real->table(reader->real->ctx, name, ret);
}

static int32_t reader_column(void *ctx, uint32_t table, const char *name)
{
	struct faulty_reader *reader = ctx;
	int32_t rc = fault(reader->host, "reader.column");

	return rc != 0 ? rc : reader->real->column(reader->real->ctx, table, name);
}

static int32_t reader_view(void *ctx, uint32_t table, uint32_t chunk, uint32_t column,
			   struct pfc_column_view *ret)
{
	struct faulty_reader *reader = ctx;
	int32_t rc = fault(reader->host, "reader.view");

	return rc != 0 ? rc : reader->real->view(reader->real->ctx, table, chunk, column, ret);
}

static int32_t reader_document(void *ctx, const void **ret_data, uint64_t *ret_bytes)
{
	struct faulty_reader *reader = ctx;
	int32_t rc = fault(reader->host, "reader.document");

	return rc != 0 ? rc : reader->real->document(reader->real->ctx, ret_data, ret_bytes);
}

static int32_t reader_fact(void *ctx, const char *key, double *ret_number, const char **ret_text)
{
	struct faulty_reader *reader = ctx;
	int32_t rc = fault(reader->host, "reader.fact");

	return rc != 0 ? rc : reader->real->fact(reader->real->ctx, key, ret_number, ret_text);
}

static const struct pfc_reader *wrap_reader(struct faulty_host *faulty, const struct pfc_reader *real)
{
	struct faulty_reader *reader = &faulty->readers[faulty->reader_count];

	if (faulty->reader_count++ == FAULTY_MAX) {
		abort();
	}
	*reader = (struct faulty_reader){ .host = faulty, .real = real };
	reader->face = (struct pfc_reader){ .struct_size = sizeof(reader->face),
					    .ctx = reader,
					    .describe = reader_describe,
					    .table = reader_table,
					    .column = reader_column,
					    .view = reader_view,
					    .document = reader_document,
					    .fact = reader_fact };
	return &reader->face;
}

/* ---- the host ---- */

static void host_log(void *ctx, uint32_t level, const char *text)
{
	(void)ctx;
	(void)level;
	(void)text;
}

static int32_t host_fail(void *ctx, int32_t status, const char *what, const char *why, const char *hint)
{
	struct faulty_host *faulty = ctx;

	faulty->explained++;
	return faulty->bench.host.fail(&faulty->bench, status, what, why, hint);
}

static int32_t host_option(void *ctx, const char *key, struct pfc_value *ret)
{
	struct faulty_host *faulty = ctx;
	int32_t rc = fault(faulty, "option");

	return rc != 0 ? rc : faulty->bench.host.option(&faulty->bench, key, ret);
}

static const char *host_text(void *ctx, uint32_t which)
{
	struct faulty_host *faulty = ctx;

	return faulty->bench.host.text(&faulty->bench, which);
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
	return ((struct faulty_host *)ctx)->stop_fd;
}

static int32_t host_window(void *ctx, struct pfc_window *ret)
{
	struct faulty_host *faulty = ctx;
	int32_t rc = fault(faulty, "window");

	return rc != 0 ? rc : faulty->bench.host.window(&faulty->bench, ret);
}

static int32_t host_target(void *ctx, struct pfc_target *ret)
{
	struct faulty_host *faulty = ctx;
	int32_t rc = fault(faulty, "target");

	if (rc == 0) {
		*ret = (struct pfc_target){ .struct_size = sizeof(*ret),
					    .kind = "pid",
					    .name = "this test",
					    .pids = &faulty->pid,
					    .pid_count = 1,
					    .cgroup_path = "" };
	}
	return rc;
}

static int32_t host_target_env(void *ctx, const char *name, const char *value)
{
	int32_t rc = fault(ctx, "target_env");

	(void)name;
	(void)value;
	return rc != 0 ? rc : PFC_ENOTSUP;
}

static int32_t host_output(void *ctx, const char *port, const struct pfc_writer **ret)
{
	struct faulty_host *faulty = ctx;
	const struct pfc_writer *real;
	int32_t rc = fault(faulty, "output");

	if (rc == 0) {
		rc = faulty->bench.host.output(&faulty->bench, port, &real);
	}
	if (rc == 0) {
		*ret = wrap_writer(faulty, real);
	}
	return rc;
}

static uint32_t host_input_count(void *ctx, const char *port)
{
	struct faulty_host *faulty = ctx;

	return faulty->bench.host.input_count(&faulty->bench, port);
}

static int32_t host_input(void *ctx, const char *port, uint32_t index, const struct pfc_reader **ret)
{
	struct faulty_host *faulty = ctx;
	const struct pfc_reader *real;
	int32_t rc = fault(faulty, "input");

	if (rc == 0) {
		rc = faulty->bench.host.input(&faulty->bench, port, index, &real);
	}
	if (rc == 0) {
		*ret = wrap_reader(faulty, real);
	}
	return rc;
}

static int32_t host_loss(void *ctx, const char *port, const char *cause, uint64_t count)
{
	(void)port;
	(void)cause;
	(void)count;
	return fault(ctx, "loss");
}

static int32_t host_metric(void *ctx, const char *name, double value)
{
	(void)name;
	(void)value;
	return fault(ctx, "metric");
}

static int32_t host_gate(void *ctx, const char *expression, uint32_t verdict, const char *detail)
{
	(void)expression;
	(void)verdict;
	(void)detail;
	return fault(ctx, "gate");
}

static const void *host_extension(void *ctx, const char *id)
{
	struct faulty_host *faulty = ctx;

	if (fault(faulty, "extension") != 0 || strcmp(id, PFC_EXT_STACKS) != 0) {
		return NULL;
	}
	if (faulty->stacks == NULL && stacks_service_create(&faulty->host, NULL, &faulty->stacks, NULL) < 0) {
		return NULL;
	}
	return stacks_service_face(faulty->stacks);
}

void faulty_host_init(struct faulty_host *faulty)
{
	memset(faulty, 0, sizeof(*faulty));
	bench_host_init(&faulty->bench);
	faulty->stop_fd = -1;
	faulty->pid = getpid();
	faulty->host = (struct pfc_host){ .struct_size = sizeof(faulty->host),
					  .ctx = faulty,
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
					  .extension = host_extension };
}

void faulty_host_finish(struct faulty_host *faulty)
{
	stacks_service_destroy(faulty->stacks);
	bench_host_finish(&faulty->bench);
}
