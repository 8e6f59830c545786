/* SPDX-License-Identifier: MIT */
#include "mem_artifact.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TABLES  24
#define MAX_COLUMNS 32
#define MAX_FACTS   64

struct column {
	char *name;
	uint32_t type;
	char *data; /* fixed width: the values; text: the bytes */
	size_t bytes, room;
	size_t *ends; /* text: where each row ends */
	size_t ends_room;
	int32_t **offsets; /* text: by chunk, made when viewed */
	uint32_t offset_chunks;
};

struct table {
	char *name;
	struct column columns[MAX_COLUMNS];
	uint32_t column_count;
	uint64_t rows;
	int64_t broken_chunk;
};

struct mem_artifact {
	struct pfc_artifact about;
	struct pfc_writer writer;
	struct pfc_reader reader;
	uint32_t chunk_rows;
	struct table tables[MAX_TABLES];
	uint32_t table_count;
	struct {
		char *key;
		char *text;
		double number;
	} facts[MAX_FACTS];
	uint32_t fact_count;
	char *document;
	uint64_t document_bytes;
};

static size_t width_of(uint32_t type)
{
	static const size_t widths[] = { 0, 1, 2, 4, 8, 4, 8, 8 };

	return type < 8 ? widths[type] : 0;
}

static void *grow(void *old, size_t *room, size_t need, size_t each)
{
	if (need > *room) {
		*room = need * 2;
		old = realloc(old, *room * each);
		assert(old);
	}
	return old;
}

static int32_t declare(void *ctx, const struct pfc_table *def)
{
	struct mem_artifact *artifact = ctx;
	struct table *table = &artifact->tables[artifact->table_count];
	uint32_t i;

	assert(artifact->table_count < MAX_TABLES && def->column_count <= MAX_COLUMNS);
	table->name = strdup(def->name);
	table->column_count = def->column_count;
	table->broken_chunk = -1;
	for (i = 0; i < def->column_count; i++) {
		table->columns[i].name = strdup(def->columns[i].name);
		table->columns[i].type = def->columns[i].type;
	}
	return (int32_t)artifact->table_count++;
}

static void append_text(struct column *column, uint64_t rows_before, uint64_t count,
			const struct pfc_string *strings)
{
	uint64_t i;

	column->ends = grow(column->ends, &column->ends_room, rows_before + count, sizeof(*column->ends));
	for (i = 0; i < count; i++) {
		column->data = grow(column->data, &column->room, column->bytes + strings[i].bytes + 1, 1);
		memcpy(column->data + column->bytes, strings[i].data, strings[i].bytes);
		column->bytes += strings[i].bytes;
		column->ends[rows_before + i] = column->bytes;
	}
}

static int32_t append(void *ctx, uint32_t number, uint64_t count, const void *const *columns)
{
	struct mem_artifact *artifact = ctx;
	struct table *table = &artifact->tables[number];
	struct column *column;
	size_t bytes;
	uint32_t i;

	assert(number < artifact->table_count);
	for (i = 0; i < table->column_count; i++) {
		column = &table->columns[i];
		if (column->type == PFC_UTF8) {
			append_text(column, table->rows, count, columns[i]);
			continue;
		}
		bytes = count * width_of(column->type);
		column->data = grow(column->data, &column->room, column->bytes + bytes + 1, 1);
		memcpy(column->data + column->bytes, columns[i], bytes);
		column->bytes += bytes;
	}
	table->rows += count;
	return PFC_OK;
}

static int32_t write_bytes(void *ctx, const void *data, uint64_t bytes)
{
	struct mem_artifact *artifact = ctx;

	artifact->document = realloc(artifact->document, artifact->document_bytes + bytes + 1);
	assert(artifact->document);
	memcpy(artifact->document + artifact->document_bytes, data, bytes);
	artifact->document_bytes += bytes;
	artifact->document[artifact->document_bytes] = '\0';
	return PFC_OK;
}

static int32_t commit(void *ctx)
{
	(void)ctx;
	return PFC_OK;
}

static int32_t add_fact(struct mem_artifact *artifact, const char *key, double number, const char *text)
{
	assert(artifact->fact_count < MAX_FACTS);
	artifact->facts[artifact->fact_count].key = strdup(key);
	artifact->facts[artifact->fact_count].text = strdup(text);
	artifact->facts[artifact->fact_count++].number = number;
	return PFC_OK;
}

static int32_t fact_number(void *ctx, const char *key, double value)
{
	char text[64];

	snprintf(text, sizeof(text), "%g", value);
	return add_fact(ctx, key, value, text);
}

static int32_t fact_text(void *ctx, const char *key, const char *value)
{
	return add_fact(ctx, key, NAN, value);
}

static int32_t describe(void *ctx, struct pfc_artifact *ret)
{
	*ret = ((struct mem_artifact *)ctx)->about;
	return PFC_OK;
}

static uint32_t rows_of_chunk(const struct mem_artifact *artifact, const struct table *table)
{
	return artifact->chunk_rows ? artifact->chunk_rows : table->rows ? (uint32_t)table->rows : 1;
}

static int32_t find_table(void *ctx, const char *name, struct pfc_table_view *ret)
{
	struct mem_artifact *artifact = ctx;
	uint32_t i, rows;

	for (i = 0; i < artifact->table_count; i++) {
		const struct table *table = &artifact->tables[i];

		if (strcmp(table->name, name) == 0) {
			rows = rows_of_chunk(artifact, table);
			ret->table = i;
			ret->row_count = table->rows;
			ret->chunk_count = (uint32_t)((table->rows + rows - 1) / rows);
			ret->column_count = table->column_count;
			return PFC_OK;
		}
	}
	return PFC_ENOENT;
}

static int32_t find_column(void *ctx, uint32_t number, const char *name)
{
	const struct table *table = &((struct mem_artifact *)ctx)->tables[number];
	uint32_t i;

	for (i = 0; i < table->column_count; i++) {
		if (strcmp(table->columns[i].name, name) == 0) {
			return (int32_t)i;
		}
	}
	return PFC_ENOENT;
}

static void view_text(struct column *column, uint32_t chunk, struct pfc_column_view *ret)
{
	size_t from = ret->first_row ? column->ends[ret->first_row - 1] : 0;
	uint64_t i;

	if (chunk >= column->offset_chunks) {
		column->offsets = realloc(column->offsets, (chunk + 1) * sizeof(*column->offsets));
		assert(column->offsets);
		for (; column->offset_chunks <= chunk; column->offset_chunks++) {
			column->offsets[column->offset_chunks] = NULL;
		}
	}
	if (!column->offsets[chunk]) {
		column->offsets[chunk] = calloc(ret->row_count + 1, sizeof(int32_t));
		assert(column->offsets[chunk]);
		for (i = 0; i < ret->row_count; i++) {
			column->offsets[chunk][i + 1] = (int32_t)(column->ends[ret->first_row + i] - from);
		}
	}
	ret->offsets = column->offsets[chunk];
	ret->data = column->data + from;
	ret->data_bytes = (uint64_t)ret->offsets[ret->row_count];
}

static int32_t view(void *ctx, uint32_t number, uint32_t chunk, uint32_t at, struct pfc_column_view *ret)
{
	struct mem_artifact *artifact = ctx;
	struct table *table = &artifact->tables[number];
	struct column *column = &table->columns[at];
	uint64_t rows = rows_of_chunk(artifact, table);

	if (chunk * rows >= table->rows) {
		return PFC_ENOENT;
	}
	if (table->broken_chunk == chunk) {
		return PFC_ECORRUPT;
	}
	ret->type = column->type;
	ret->first_row = chunk * rows;
	ret->row_count = table->rows - ret->first_row < rows ? table->rows - ret->first_row : rows;
	ret->offsets = NULL;
	if (column->type == PFC_UTF8) {
		view_text(column, chunk, ret);
		return PFC_OK;
	}
	ret->data = column->data + ret->first_row * width_of(column->type);
	ret->data_bytes = ret->row_count * width_of(column->type);
	return PFC_OK;
}

static int32_t document(void *ctx, const void **ret_data, uint64_t *ret_bytes)
{
	*ret_data = mem_artifact_document(ctx, ret_bytes);
	return *ret_data ? PFC_OK : PFC_EINVAL;
}

static int32_t fact(void *ctx, const char *key, double *ret_number, const char **ret_text)
{
	struct mem_artifact *artifact = ctx;
	uint32_t i;

	for (i = artifact->fact_count; i-- > 0;) {
		if (strcmp(artifact->facts[i].key, key) == 0) {
			if (ret_number) {
				*ret_number = artifact->facts[i].number;
			}
			if (ret_text) {
				*ret_text = artifact->facts[i].text;
			}
			return PFC_OK;
		}
	}
	return PFC_ENOENT;
}

struct mem_artifact *mem_artifact_create(const char *producer, const char *port, const char *type,
					 const char *signal, uint32_t chunk_rows)
{
	struct mem_artifact *artifact = calloc(1, sizeof(*artifact));

	assert(artifact);
	artifact->about = (struct pfc_artifact){ .struct_size = sizeof(artifact->about),
						 .producer = producer,
						 .port = port,
						 .type = type,
						 .signal = signal };
	artifact->writer = (struct pfc_writer){ sizeof(struct pfc_writer),
						0,
						artifact,
						declare,
						append,
						write_bytes,
						commit,
						fact_number,
						fact_text };
	artifact->reader = (struct pfc_reader){ sizeof(struct pfc_reader),
						0,
						artifact,
						describe,
						find_table,
						find_column,
						view,
						document,
						fact };
	artifact->chunk_rows = chunk_rows;
	return artifact;
}

const struct pfc_writer *mem_artifact_writer(struct mem_artifact *artifact)
{
	return &artifact->writer;
}

const struct pfc_reader *mem_artifact_reader(struct mem_artifact *artifact)
{
	return &artifact->reader;
}

void mem_artifact_mark(struct mem_artifact *artifact, bool partial, uint64_t lost)
{
	artifact->about.partial = partial;
	artifact->about.lost = lost;
}

void mem_artifact_break(struct mem_artifact *artifact, const char *name, uint32_t chunk)
{
	uint32_t i;

	for (i = 0; i < artifact->table_count; i++) {
		if (strcmp(artifact->tables[i].name, name) == 0) {
			artifact->tables[i].broken_chunk = chunk;
		}
	}
}

const char *mem_artifact_document(const struct mem_artifact *artifact, uint64_t *ret_bytes)
{
	if (ret_bytes) {
		*ret_bytes = artifact->document_bytes;
	}
	return artifact->document;
}

void mem_artifact_destroy(struct mem_artifact *artifact)
{
	uint32_t i, k, chunk;

	if (!artifact) {
		return;
	}
	for (i = 0; i < artifact->table_count; i++) {
		for (k = 0; k < artifact->tables[i].column_count; k++) {
			struct column *column = &artifact->tables[i].columns[k];

			for (chunk = 0; chunk < column->offset_chunks; chunk++) {
				free(column->offsets[chunk]);
			}
			free(column->offsets);
			free(column->ends);
			free(column->data);
			free(column->name);
		}
		free(artifact->tables[i].name);
	}
	for (i = 0; i < artifact->fact_count; i++) {
		free(artifact->facts[i].key);
		free(artifact->facts[i].text);
	}
	free(artifact->document);
	free(artifact);
}
