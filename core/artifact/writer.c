/* SPDX-License-Identifier: MIT */
/*
 * The writer of one output: a set of tables, or a document. The first error sticks: nothing more is written
 * then, and what is offered later is counted as lost ("not_written").
 */
#include "artifact/artifact.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/chunk.h"
#include "artifact/document.h"
#include "artifact/facts.h"
#include "artifact/json_text.h"

struct artifact_writer {
	struct pfc_writer face;
	char *type;
	bool is_tables;
	bool declaring; /* no schema written yet */
	bool sealed;
	int status; /* the first error, 0 for none */
	struct pfc_error error;
	struct output output;
	struct chunk *chunks[FORMAT_TABLES_MAX];
	uint32_t table_count;
	int32_t counting; /* table whose rows count, -1 for none yet */
	atomic_uint_fast64_t rows;
	struct document document;
	struct facts facts;
};

static int write_schemas(struct artifact_writer *writer)
{
	for (uint32_t i = 0; i < writer->table_count; i++) {
		char *text = table_print(&writer->chunks[i]->table);
		int rc = text != NULL ? output_json(&writer->output, FORMAT_SCHEMA, i, text) : PFC_ENOMEM;

		free(text);
		if (rc != 0) {
			return rc;
		}
	}
	writer->declaring = false;
	return 0;
}

/* Commit the first `count` tables in declared order, so that a row never refers to one that is not there. */
static int flush_tables(struct artifact_writer *writer, uint32_t count)
{
	int rc = writer->declaring ? write_schemas(writer) : 0;

	for (uint32_t i = 0; i < count && rc == 0; i++) {
		rc = chunk_flush(writer->chunks[i], i, &writer->output);
	}
	return rc;
}

static int flush_meta(struct artifact_writer *writer)
{
	char *text;
	int rc;

	if (!atomic_load(&writer->facts.changed)) {
		return 0;
	}
	text = facts_print(&writer->facts);
	rc = text != NULL ? output_json(&writer->output, FORMAT_META, 0, text) : PFC_ENOMEM;
	free(text);
	return rc;
}

static int flush_all(struct artifact_writer *writer)
{
	int rc;

	if (!writer->is_tables) {
		return document_flush(&writer->document, &writer->output);
	}
	rc = flush_tables(writer, writer->table_count);
	return rc == 0 ? flush_meta(writer) : rc;
}

static void drop_open_rows(struct artifact_writer *writer)
{
	for (uint32_t i = 0; i < writer->table_count; i++) {
		facts_lose(&writer->facts, "not_written", writer->chunks[i]->rows);
		if ((int32_t)i == writer->counting) {
			atomic_store(&writer->rows, writer->chunks[i]->committed);
		}
		writer->chunks[i]->rows = 0;
	}
}

/*
 * Remember the first error. A caller's mistake leaves the file sound: what came before it is still
 * written.
 */
static int stick(struct artifact_writer *writer, int status, const char *what, const char *why)
{
	if (status == 0 || writer->status != 0) {
		return writer->status;
	}
	if (status != PFC_EIO && status != PFC_ENOSPC) {
		(void)flush_all(writer);
	}
	writer->status = status;
	if (why == NULL && writer->output.errnum != 0) {
		error_errno(&writer->error, writer->output.errnum, "%s", what);
		if (status == PFC_ENOSPC) {
			error_hint(&writer->error, "free some space, or choose another output folder");
		}
	} else {
		error_set(&writer->error, status, why != NULL ? why : "out of memory", "%s", what);
	}
	writer->error.status = status;
	drop_open_rows(writer);
	return status;
}

static const char *check_units(const struct artifact_writer *writer, const struct table *table)
{
	for (uint32_t i = 0; i < table->def.column_count; i++) {
		const char *unit = table->columns[i].unit;
		bool found = strncmp(unit, "id:", 3) != 0 || strcmp(unit + 3, table->def.name) == 0;

		for (uint32_t t = 0; t < writer->table_count && !found; t++) {
			found = strcmp(unit + 3, writer->chunks[t]->table.def.name) == 0;
		}
		if (!found) {
			return "an id column refers to a table that is not declared before it";
		}
	}
	return NULL;
}

static const char *check_table(const struct artifact_writer *writer, const struct table *table)
{
	for (uint32_t i = 0; i < writer->table_count; i++) {
		if (strcmp(writer->chunks[i]->table.def.name, table->def.name) == 0) {
			return "two tables have one name";
		}
	}
	return check_units(writer, table);
}

static int32_t face_declare(void *ctx, const struct pfc_table *def)
{
	struct artifact_writer *writer = ctx;
	struct table table;
	const char *why = NULL;
	int rc;

	if (writer->status != 0) {
		return writer->status;
	}
	if (!writer->is_tables || !writer->declaring || writer->sealed ||
	    writer->table_count == FORMAT_TABLES_MAX) {
		return stick(writer, PFC_EINVAL, "declare a table",
			     !writer->is_tables   ? "the output is a document"
			     : !writer->declaring ? "rows were appended before"
						  : "there are 64 tables already");
	}
	rc = table_copy(def, &table, &why);
	if (rc == 0) {
		why = check_table(writer, &table);
		rc = why != NULL ? PFC_EINVAL : chunk_create(&table, &writer->chunks[writer->table_count]);
		if (rc != 0) {
			table_finish(&table);
		}
	}
	if (rc != 0) {
		return stick(writer, rc, "declare a table", why);
	}
	if (table.def.time_column >= 0 || writer->counting < 0 ||
	    writer->chunks[writer->counting]->table.def.time_column < 0) {
		writer->counting = (int32_t)writer->table_count;
	}
	return (int32_t)writer->table_count++;
}

static int append_rows(struct artifact_writer *writer, uint32_t table, uint64_t row_count,
		       const void *const *columns)
{
	struct chunk *chunk = writer->chunks[table];
	uint64_t done = 0;

	while (done < row_count) {
		uint64_t taken = 0;
		int rc = chunk_append(chunk, done, row_count - done, columns, &taken);

		if (rc == 0 && taken == 0) {
			rc = flush_tables(writer, table + 1);
		}
		if (rc != 0) {
			facts_lose(&writer->facts, "not_written", row_count - done);
			return rc;
		}
		done += taken;
		if ((int32_t)table == writer->counting) {
			atomic_fetch_add_explicit(&writer->rows, taken, memory_order_relaxed);
		}
	}
	return 0;
}

static int32_t face_append(void *ctx, uint32_t table, uint64_t row_count, const void *const *columns)
{
	struct artifact_writer *writer = ctx;
	int rc = writer->status;

	if (rc != 0) {
		facts_lose(&writer->facts, "not_written", row_count);
		return rc;
	}
	if (table >= writer->table_count || writer->sealed) {
		facts_lose(&writer->facts, "not_written", row_count);
		return stick(writer, PFC_EINVAL, "append rows",
			     writer->sealed ? "the output is sealed" : "there is no such table");
	}
	rc = chunk_check(writer->chunks[table], row_count, columns);
	if (rc != 0) {
		facts_lose(&writer->facts, "not_written", row_count);
		return stick(writer, rc, "append rows",
			     "a column is NULL, or a string is NULL or longer than 8 MiB");
	}
	rc = append_rows(writer, table, row_count, columns);
	return rc == 0 ? 0 : stick(writer, rc, "append rows", NULL);
}

static int32_t face_write(void *ctx, const void *data, uint64_t bytes)
{
	struct artifact_writer *writer = ctx;
	int rc;

	if (writer->status != 0) {
		return writer->status;
	}
	if (writer->is_tables || writer->sealed || (data == NULL && bytes > 0)) {
		return stick(writer, PFC_EINVAL, "write to a document",
			     writer->is_tables ? "the output is a set of tables"
			     : writer->sealed  ? "the output is sealed"
					       : "data is NULL");
	}
	rc = document_write(&writer->document, &writer->output, data, bytes);
	return rc == 0 ? 0 : stick(writer, rc, "write to a document", NULL);
}

static int32_t face_commit(void *ctx)
{
	struct artifact_writer *writer = ctx;

	if (writer->status != 0 || writer->sealed) {
		return writer->status;
	}
	return stick(writer, flush_all(writer), "write an artifact", NULL);
}

static int fact_set(struct artifact_writer *writer, int rc)
{
	return stick(writer, rc, "state a fact",
		     rc == PFC_EINVAL   ? "the key is not lower_snake, or the value is missing or not finite"
		     : rc == PFC_ENOSPC ? "there are 256 facts already"
					: NULL);
}

static int32_t face_fact_number(void *ctx, const char *key, double value)
{
	struct artifact_writer *writer = ctx;

	return writer->status != 0 ? writer->status
				   : fact_set(writer, facts_set_number(&writer->facts, key, value));
}

static int32_t face_fact_text(void *ctx, const char *key, const char *value)
{
	struct artifact_writer *writer = ctx;

	return writer->status != 0 ? writer->status
				   : fact_set(writer, facts_set_text(&writer->facts, key, value));
}

static int begin(struct artifact_writer *writer, int fd, const char *type, struct pfc_error *err)
{
	int rc = 0;

	writer->type = strdup(type);
	if (writer->type == NULL) {
		return error_nomem(err);
	}
	if (!writer->is_tables) {
		document_init(&writer->document);
		writer->output.fd = fd;
		return 0;
	}
	if (strlen(type) >= FORMAT_TYPE_BYTES) {
		return error_set(err, PFC_EINVAL, "an artifact type has at most 47 bytes",
				 "output of type %s", type);
	}
	rc = output_begin(&writer->output, fd, type);
	if (rc != 0) {
		error_errno(err, writer->output.errnum, "write an artifact of type %s", type);
	}
	return rc;
}

int artifact_writer_create(int fd, const char *type, struct artifact_writer **ret, struct pfc_error *err)
{
	struct artifact_writer *writer = calloc(1, sizeof(*writer));
	int rc;

	if (writer == NULL) {
		return error_nomem(err);
	}
	facts_init(&writer->facts);
	writer->is_tables = artifact_type_is_tables(type);
	writer->declaring = true;
	writer->counting = -1;
	writer->face = (struct pfc_writer){
		.struct_size = sizeof(writer->face),
		.ctx = writer,
		.declare = face_declare,
		.append = face_append,
		.write = face_write,
		.commit = face_commit,
		.fact_number = face_fact_number,
		.fact_text = face_fact_text,
	};
	rc = begin(writer, fd, type, err);
	if (rc != 0) {
		artifact_writer_destroy(writer);
		return rc;
	}
	*ret = writer;
	return 0;
}

const struct pfc_writer *artifact_writer_face(struct artifact_writer *writer)
{
	return &writer->face;
}

int artifact_writer_loss(struct artifact_writer *writer, const char *cause, uint64_t count)
{
	return facts_lose(&writer->facts, cause, count);
}

uint64_t artifact_writer_rows(const struct artifact_writer *writer)
{
	return atomic_load_explicit(&((struct artifact_writer *)writer)->rows, memory_order_relaxed);
}

static json_t *row_counts(const struct artifact_writer *writer)
{
	json_t *rows = json_object();

	for (uint32_t i = 0; i < writer->table_count; i++) {
		const struct chunk *chunk = writer->chunks[i];

		if (json_object_set_new(rows, chunk->table.def.name,
					json_integer((json_int_t)chunk->committed)) != 0) {
			json_decref(rows);
			return NULL;
		}
	}
	return rows;
}

static void print_checksum(const struct artifact_writer *writer, char ret[80])
{
	if (writer->is_tables) {
		snprintf(ret, 80, "crc32:%08x", writer->output.chain);
	} else {
		memcpy(ret, "sha256:", 7);
		sha256_hex(&writer->document.sha, ret + 7);
	}
}

static int write_seal(struct artifact_writer *writer)
{
	char checksum[80];
	json_t *rows = row_counts(writer);
	json_t *root;
	char *text;
	int rc = PFC_ENOMEM;

	print_checksum(writer, checksum);
	root = rows != NULL
		       ? json_pack("{s:s,s:O,s:s}", "state", "complete", "rows", rows, "checksum", checksum)
		       : NULL;
	text = json_text_print(root);
	if (text != NULL) {
		rc = output_json(&writer->output, FORMAT_SEAL, 0, text);
	}
	free(text);
	json_decref(root);
	json_decref(rows);
	return rc;
}

int artifact_writer_seal(struct artifact_writer *writer, struct pfc_error *err)
{
	if (writer->status == 0 && !writer->sealed) {
		int rc = flush_all(writer);

		if (rc == 0 && writer->is_tables) {
			rc = write_seal(writer);
		}
		stick(writer, rc, "write an artifact", NULL);
		writer->sealed = rc == 0;
	}
	if (writer->status != 0 && err != NULL) {
		*err = writer->error;
	}
	return writer->status;
}

json_t *artifact_writer_report(const struct artifact_writer *writer)
{
	const struct chunk *dated = writer->counting >= 0 ? writer->chunks[writer->counting] : NULL;
	bool has_times = dated != NULL && dated->first_ns <= dated->last_ns;
	char checksum[80];

	print_checksum(writer, checksum);
	return json_pack("{s:o,s:o,s:o,s:s,s:I,s:I,s:I,s:b}", "rows", row_counts(writer), "lost",
			 facts_lost(&writer->facts), "facts", facts_values(&writer->facts), "checksum",
			 checksum, "bytes", (json_int_t)writer->output.bytes, "first_ns",
			 (json_int_t)(has_times ? dated->first_ns : 0), "last_ns",
			 (json_int_t)(has_times ? dated->last_ns : 0), "sealed", (int)writer->sealed);
}

void artifact_writer_destroy(struct artifact_writer *writer)
{
	if (writer == NULL) {
		return;
	}
	for (uint32_t i = 0; i < writer->table_count; i++) {
		chunk_destroy(writer->chunks[i]);
	}
	document_finish(&writer->document);
	facts_finish(&writer->facts);
	free(writer->type);
	free(writer);
}
