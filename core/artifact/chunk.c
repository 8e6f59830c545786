/* SPDX-License-Identifier: MIT */
#include "artifact/chunk.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_FIRST 64 /* a table that stays tiny stays cheap */
#define TEXT_FIRST 1024

_Static_assert(CHUNK_ROWS_MAX <= FORMAT_CHUNK_ROWS_MAX, "readers refuse larger chunks");

static uint32_t rows_max_of(const struct table *table)
{
	uint32_t row_bytes = 0;
	uint32_t rows;

	for (uint32_t i = 0; i < table->def.column_count; i++) {
		row_bytes += format_type_bytes(table->columns[i].type);
	}
	rows = CHUNK_BYTES_MAX / row_bytes;
	return rows < CHUNK_ROWS_MAX ? rows : CHUNK_ROWS_MAX;
}

int chunk_create(const struct table *table, struct chunk **ret)
{
	struct chunk *chunk = calloc(1, sizeof(*chunk));

	if (chunk == NULL) {
		return PFC_ENOMEM;
	}
	chunk->columns = calloc(table->def.column_count, sizeof(*chunk->columns));
	if (chunk->columns == NULL) {
		free(chunk);
		return PFC_ENOMEM;
	}
	chunk->table = *table;
	chunk->rows_max = rows_max_of(table);
	chunk->first_ns = UINT64_MAX;
	*ret = chunk;
	return 0;
}

static int check_strings(const struct pfc_string *strings, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		if (strings[i].bytes > CHUNK_STRING_MAX ||
		    (strings[i].data == NULL && strings[i].bytes > 0)) {
			return PFC_EINVAL;
		}
	}
	return 0;
}

int chunk_check(const struct chunk *chunk, uint64_t row_count, const void *const *columns)
{
	if (row_count == 0) {
		return 0;
	}
	if (columns == NULL) {
		return PFC_EINVAL;
	}
	for (uint32_t i = 0; i < chunk->table.def.column_count; i++) {
		if (columns[i] == NULL) {
			return PFC_EINVAL;
		}
		if (chunk->table.columns[i].type == PFC_UTF8 && check_strings(columns[i], row_count) != 0) {
			return PFC_EINVAL;
		}
	}
	return 0;
}

/* How many of the strings still fit below the limit of a column. */
static uint64_t strings_fitting(const struct chunk_column *column, const struct pfc_string *strings,
				uint64_t count, size_t *ret_bytes)
{
	size_t bytes = 0;
	uint64_t i;

	for (i = 0; i < count && column->text_bytes + bytes + strings[i].bytes <= CHUNK_STRING_MAX; i++) {
		bytes += (size_t)strings[i].bytes;
	}
	*ret_bytes = bytes;
	return i;
}

static uint64_t rows_fitting(const struct chunk *chunk, uint64_t first, uint64_t count,
			     const void *const *columns)
{
	uint64_t room = chunk->rows_max - chunk->rows;
	size_t bytes;

	if (count > room) {
		count = room;
	}
	for (uint32_t i = 0; i < chunk->table.def.column_count; i++) {
		if (chunk->table.columns[i].type == PFC_UTF8) {
			count = strings_fitting(&chunk->columns[i],
						(const struct pfc_string *)columns[i] + first, count, &bytes);
		}
	}
	return count;
}

static int grow(char **data, size_t *room, size_t need, size_t start)
{
	size_t bytes = *room > 0 ? *room : start;
	char *grown;

	while (bytes < need) {
		bytes *= 2;
	}
	if (bytes == *room) {
		return 0;
	}
	grown = realloc(*data, bytes);
	if (grown == NULL) {
		return PFC_ENOMEM;
	}
	*data = grown;
	*room = bytes;
	return 0;
}

static int reserve(struct chunk *chunk, uint32_t index, uint64_t first, uint64_t count, const void *source)
{
	struct chunk_column *column = &chunk->columns[index];
	uint32_t type = chunk->table.columns[index].type;
	size_t width = format_type_bytes(type);
	size_t rows = chunk->rows + (size_t)count + (type == PFC_UTF8 ? 1 : 0);
	size_t bytes;
	int rc = grow(&column->data, &column->room, rows * width, ROWS_FIRST * width);

	if (rc == 0 && type == PFC_UTF8) {
		strings_fitting(column, (const struct pfc_string *)source + first, count, &bytes);
		rc = grow(&column->text, &column->text_room, column->text_bytes + bytes, TEXT_FIRST);
	}
	return rc;
}

static void copy_strings(struct chunk_column *column, uint32_t rows, const struct pfc_string *strings,
			 uint64_t count)
{
	int32_t *offsets = (int32_t *)(void *)column->data + rows;

	offsets[0] = (int32_t)column->text_bytes;
	for (uint64_t i = 0; i < count; i++) {
		if (strings[i].bytes > 0) {
			memcpy(column->text + column->text_bytes, strings[i].data, (size_t)strings[i].bytes);
			column->text_bytes += (size_t)strings[i].bytes;
		}
		offsets[i + 1] = (int32_t)column->text_bytes;
	}
}

static void copy_values(char *to, const char *from, size_t width, uint64_t count)
{
	if (count == 1 &&
	    width == 8) { /* one row at a time is common; a call to memcpy for it is not cheap */
		memcpy(to, from, 8);
	} else if (count == 1 && width == 4) {
		memcpy(to, from, 4);
	} else {
		memcpy(to, from, width * (size_t)count);
	}
}

int chunk_append(struct chunk *chunk, uint64_t first, uint64_t row_count, const void *const *columns,
		 uint64_t *ret_taken)
{
	uint64_t count = rows_fitting(chunk, first, row_count, columns);

	for (uint32_t i = 0; i < chunk->table.def.column_count && count > 0; i++) {
		if (reserve(chunk, i, first, count, columns[i]) != 0) {
			return PFC_ENOMEM;
		}
	}
	for (uint32_t i = 0; i < chunk->table.def.column_count && count > 0; i++) {
		struct chunk_column *column = &chunk->columns[i];
		size_t width = format_type_bytes(chunk->table.columns[i].type);

		if (chunk->table.columns[i].type == PFC_UTF8) {
			copy_strings(column, chunk->rows, (const struct pfc_string *)columns[i] + first,
				     count);
		} else {
			copy_values(column->data + chunk->rows * width,
				    (const char *)columns[i] + first * width, width, count);
		}
	}
	chunk->rows += (uint32_t)count;
	*ret_taken = count;
	return 0;
}

/* Least and greatest time of the rows held; rows need not be in order of time. */
static void time_range(const struct chunk *chunk, struct format_block *block)
{
	const uint64_t *times;

	if (chunk->table.def.time_column < 0) {
		return;
	}
	times = (const uint64_t *)(const void *)chunk->columns[chunk->table.def.time_column].data;
	block->first_ns = UINT64_MAX;
	for (uint32_t i = 0; i < chunk->rows; i++) {
		block->first_ns = times[i] < block->first_ns ? times[i] : block->first_ns;
		block->last_ns = times[i] > block->last_ns ? times[i] : block->last_ns;
	}
}

static void empty(struct chunk *chunk)
{
	chunk->rows = 0;
	for (uint32_t i = 0; i < chunk->table.def.column_count; i++) {
		chunk->columns[i].text_bytes = 0;
	}
}

int chunk_flush(struct chunk *chunk, uint32_t number, struct output *output)
{
	struct format_block block = { .kind = FORMAT_CHUNK, .table = number, .row_count = chunk->rows };
	struct output_buffer buffers[FORMAT_BUFFERS_MAX];
	uint32_t used = 0;
	int rc;

	if (chunk->rows == 0) {
		return 0;
	}
	for (uint32_t i = 0; i < chunk->table.def.column_count; i++) {
		const struct chunk_column *column = &chunk->columns[i];
		uint32_t type = chunk->table.columns[i].type;
		uint64_t values = chunk->rows + (type == PFC_UTF8 ? 1u : 0u);

		buffers[used++] = (struct output_buffer){ column->data, values * format_type_bytes(type) };
		if (type == PFC_UTF8) {
			buffers[used++] = (struct output_buffer){ column->text, column->text_bytes };
		}
	}
	time_range(chunk, &block);
	rc = output_block(output, &block, buffers, used);
	if (rc != 0) {
		return rc;
	}
	if (chunk->table.def.time_column >= 0) {
		chunk->first_ns = block.first_ns < chunk->first_ns ? block.first_ns : chunk->first_ns;
		chunk->last_ns = block.last_ns > chunk->last_ns ? block.last_ns : chunk->last_ns;
	}
	chunk->committed += chunk->rows;
	empty(chunk);
	return 0;
}

void chunk_destroy(struct chunk *chunk)
{
	if (chunk == NULL) {
		return;
	}
	for (uint32_t i = 0; i < chunk->table.def.column_count; i++) {
		free(chunk->columns[i].data);
		free(chunk->columns[i].text);
	}
	free(chunk->columns);
	table_finish(&chunk->table);
	free(chunk);
}
