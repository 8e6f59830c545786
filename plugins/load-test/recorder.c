/* SPDX-License-Identifier: MIT */
/* What is kept of each request: a row in `requests`, counters, histograms, live figures. */
#include "load.h"

#include <stdlib.h>

static const struct pfc_column columns[] = {
	{ sizeof(struct pfc_column), PFC_U64, "start", "ns" },
	{ sizeof(struct pfc_column), PFC_U64, "first_byte", "ns" },
	{ sizeof(struct pfc_column), PFC_U64, "end", "ns" },
	{ sizeof(struct pfc_column), PFC_U16, "status", "count" },
	{ sizeof(struct pfc_column), PFC_U8, "error", "count" },
	{ sizeof(struct pfc_column), PFC_U64, "bytes", "bytes" },
	{ sizeof(struct pfc_column), PFC_U32, "connection", "count" },
	{ sizeof(struct pfc_column), PFC_U16, "local_port", "count" },
};

const char *load_error_name(uint32_t error)
{
	static const char *const names[LOAD_ERRORS] = { "none",   "connect",  "timeout",
							"closed", "protocol", "other" };

	return error < LOAD_ERRORS ? names[error] : "unknown";
}

static int open_table(const struct pfc_host *host, struct load_recorder *recorder)
{
	struct pfc_table table = {
		.struct_size = sizeof(table),
		.column_count = sizeof(columns) / sizeof(columns[0]),
		.name = "requests",
		.columns = columns,
		.column_stride = sizeof(columns[0]),
		.time_column = 0,
	};
	int32_t number;
	int32_t status = host->output(host->ctx, "requests", &recorder->writer);

	if (status != 0) {
		return host->fail(host->ctx, status, "output requests", "the host does not have it", NULL);
	}
	number = recorder->writer->declare(recorder->writer->ctx, &table);
	if (number < 0) {
		return host->fail(host->ctx, number, "output requests", "its table cannot be declared", NULL);
	}
	recorder->table = (uint32_t)number;
	return 0;
}

int load_recorder_create(const struct pfc_host *host, struct load_recorder **ret)
{
	struct load_recorder *recorder = calloc(1, sizeof(*recorder));
	int status;

	if (recorder == NULL) {
		return host->fail(host->ctx, PFC_ENOMEM, "allocating the record of requests", "no memory",
				  NULL);
	}
	recorder->host = host;
	recorder->t1_ns = UINT64_MAX;
	status = open_table(host, recorder);
	if (status != 0) {
		load_recorder_destroy(recorder);
		return status;
	}
	*ret = recorder;
	return 0;
}

static void append_batch(struct load_recorder *recorder)
{
	struct load_batch *batch = &recorder->batch;
	const void *arrays[] = { batch->start, batch->first_byte, batch->end,        batch->status,
				 batch->error, batch->bytes,      batch->connection, batch->local_port };
	int32_t status;

	if (recorder->rows == 0) {
		return;
	}
	status = recorder->writer->append(recorder->writer->ctx, recorder->table, recorder->rows, arrays);
	if (status != 0) {
		/* The writer has counted these rows as lost. */
		recorder->status = recorder->status != 0 ? recorder->status : status;
	}
	recorder->rows = 0;
}

static void add_row(struct load_recorder *recorder, const struct load_record *record)
{
	struct load_batch *batch = &recorder->batch;
	uint32_t row = recorder->rows++;

	batch->start[row] = record->start_ns;
	batch->first_byte[row] = record->first_byte_ns;
	batch->end[row] = record->end_ns;
	batch->status[row] = record->error == LOAD_OK ? record->status : 0;
	batch->error[row] = record->error;
	batch->bytes[row] = record->bytes;
	batch->connection[row] = record->connection;
	batch->local_port[row] = record->local_port;
	if (recorder->rows == LOAD_BATCH_ROWS) {
		append_batch(recorder);
	}
}

/*
 * A request that timed out or was cut off waited at least this long: leaving it out would make the slowest server look
 * fast. One that was refused or broken off has no latency worth the name.
 */
static bool has_latency(const struct load_record *record)
{
	return record->error == LOAD_OK || record->error == LOAD_TIMEOUT || record->error == LOAD_OTHER;
}

static void count(struct load_recorder *recorder, const struct load_record *record)
{
	recorder->requests++;
	recorder->errors[record->error]++;
	recorder->bytes += record->bytes;
	recorder->never_sent += record->sent_ns == 0 && record->error != LOAD_CONNECT;
	if (record->end_ns > recorder->last_end_ns) {
		recorder->last_end_ns = record->end_ns;
	}
	if (record->error == LOAD_OK) {
		recorder->answers++;
		recorder->answers_in_window += record->end_ns <= recorder->t1_ns;
		recorder->by_status[record->status % 600]++;
	} else if (record->error == LOAD_OTHER) {
		recorder->unfinished += record->sent_ns != 0;
	}
}

void load_recorder_add(struct load_recorder *recorder, const struct load_record *record)
{
	count(recorder, record);
	if (has_latency(record)) {
		histogram_add(&recorder->response, record->end_ns - record->start_ns);
		histogram_add(&recorder->recent, record->end_ns - record->start_ns);
		if (record->sent_ns != 0) {
			histogram_add(&recorder->service, record->end_ns - record->sent_ns);
		}
	}
	add_row(recorder, record);
}

void load_recorder_skip(struct load_recorder *recorder, uint64_t waited_ns)
{
	recorder->requests++;
	recorder->errors[LOAD_OTHER]++;
	recorder->never_sent++;
	recorder->skipped++;
	histogram_add(&recorder->response, waited_ns);
}

uint64_t load_recorder_errors(const struct load_recorder *recorder)
{
	return recorder->requests - recorder->answers;
}

static void publish(struct load_recorder *recorder, uint64_t now_ns)
{
	const struct pfc_host *host = recorder->host;
	double seconds = (double)(now_ns - recorder->tick_ns) / (double)LOAD_NS_PER_S;

	host->metric(host->ctx, "rps", (double)(recorder->answers - recorder->tick_answers) / seconds);
	host->metric(host->ctx, "p99_ms", (double)histogram_quantile(&recorder->recent, 0.99) / 1e6);
	host->metric(host->ctx, "requests", (double)recorder->requests);
	host->metric(host->ctx, "errors", (double)load_recorder_errors(recorder));
	histogram_reset(&recorder->recent);
	recorder->tick_answers = recorder->answers;
}

int load_recorder_flush(struct load_recorder *recorder)
{
	int32_t status;

	append_batch(recorder);
	if (recorder->skipped > 0) {
		recorder->host->loss(recorder->host->ctx, "requests", "unsent", recorder->skipped);
		recorder->skipped = 0;
	}
	status = recorder->writer->commit(recorder->writer->ctx);
	recorder->status = recorder->status != 0 ? recorder->status : status;
	return recorder->status;
}

void load_recorder_tick(struct load_recorder *recorder, uint64_t now_ns)
{
	if (recorder->tick_ns == 0) {
		recorder->tick_ns = now_ns;
	}
	if (now_ns - recorder->tick_ns < LOAD_NS_PER_S) {
		return;
	}
	publish(recorder, now_ns);
	load_recorder_flush(recorder);
	recorder->tick_ns = now_ns;
}

void load_recorder_destroy(struct load_recorder *recorder)
{
	free(recorder);
}
