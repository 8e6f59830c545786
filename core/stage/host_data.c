/* SPDX-License-Identifier: MIT */
/* Outputs, inputs, losses, metrics and gates, from their first use to their end. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "stage/host_inside.h"

int32_t host_output(void *ctx, const char *port, const struct pfc_writer **ret)
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

uint32_t host_input_count(void *ctx, const char *port)
{
	const struct spec *spec = ((struct stage_host *)ctx)->spec;
	uint32_t count = 0;

	for (size_t i = 0; i < spec->input_count; i++) {
		count += str_equal(spec->inputs[i].port, port);
	}
	return count;
}

/* The columns that the manifest says it cannot do without. */
static int check_needs(struct stage_host *host, const struct spec_input *input,
		       const struct pfc_reader *reader)
{
	for (size_t i = 0; i < host->spec->need_count; i++) {
		const struct spec_need *need = &host->spec->needs[i];
		const char *dot = strchr(need->column, '.');
		struct pfc_table_view view = { .struct_size = sizeof(view) };
		char table[64];
		char why[256];

		if (!str_equal(need->port, input->port) || dot == NULL ||
		    dot - need->column >= (long)sizeof(table)) {
			continue;
		}
		memcpy(table, need->column, (size_t)(dot - need->column));
		table[dot - need->column] = '\0';
		if (reader->table(reader->ctx, table, &view) == 0 &&
		    reader->column(reader->ctx, view.table, dot + 1) >= 0) {
			continue;
		}
		snprintf(why, sizeof(why), "%s.%s has no column %s", input->producer, input->producer_port,
			 need->column);
		return host_fail(host, PFC_EINVAL, "open an input", why,
				 "a producer that writes this column");
	}
	return 0;
}

static int open_input(struct stage_host *host, size_t index)
{
	const struct spec_input *input = &host->spec->inputs[index];
	struct artifact_about about = { input->producer, input->producer_port, input->type, input->signal,
					input->partial };
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

int32_t host_input(void *ctx, const char *port, uint32_t index, const struct pfc_reader **ret)
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

int32_t host_loss(void *ctx, const char *port, const char *cause, uint64_t count)
{
	struct stage_host *host = ctx;

	for (size_t i = 0; i < host->spec->output_count; i++) {
		if (str_equal(host->spec->outputs[i].port, port)) {
			return artifact_writer_loss(host->writers[i], cause, count);
		}
	}
	return PFC_ENOENT;
}

int32_t host_metric(void *ctx, const char *name, double value)
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

int32_t host_gate(void *ctx, const char *expression, uint32_t verdict, const char *detail)
{
	if (expression == NULL || detail == NULL || verdict < PFC_GATE_PASS ||
	    verdict > PFC_GATE_INCONCLUSIVE) {
		return PFC_EINVAL;
	}
	return stage_host_send(ctx, json_pack("{s:s, s:o, s:i, s:o}", "op", "gate", "expression",
					      protocol_string(expression, LOG_LINE_BYTES_MAX), "verdict",
					      (int)verdict, "detail",
					      protocol_string(detail, LOG_LINE_BYTES_MAX)));
}

void stage_host_mark_restarts(struct stage_host *host, const json_t *restarts)
{
	size_t count = json_array_size(restarts);

	for (size_t i = 0; count > 0 && i < host->spec->output_count; i++) {
		const struct pfc_writer *face = artifact_writer_face(host->writers[i]);

		face->fact_number(face->ctx, "target.generations", (double)count + 1);
		for (size_t k = 0; k < count; k++) {
			char key[64];

			snprintf(key, sizeof(key), "target.generation_%zu.from_ns", k + 2);
			face->fact_number(face->ctx, key,
					  (double)json_integer_value(json_array_get(restarts, k)));
		}
	}
}

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
						      host->spec->outputs[i].port, "sealed", seal && rc == 0,
						      "report", artifact_writer_report(host->writers[i])));
	}
	return first;
}
