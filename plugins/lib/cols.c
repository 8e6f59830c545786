/* SPDX-License-Identifier: MIT */
#include "cols.h"

#include <string.h>

#include <profcore/status.h>

int cols_begin(struct cols *cols, const struct pfc_reader *reader, const char *table,
	       const char *const *names, uint32_t count)
{
	uint32_t i;

	memset(cols, 0, sizeof(*cols));
	if (count > COLS_MAX) {
		return PFC_EINVAL;
	}
	cols->reader = reader;
	cols->count = count;
	cols->table.struct_size = sizeof(cols->table);
	if (reader->table(reader->ctx, table, &cols->table) != PFC_OK) {
		cols->table.chunk_count = 0;
		cols->table.row_count = 0;
		return PFC_ENOENT;
	}
	for (i = 0; i < count; i++) {
		cols->numbers[i] = reader->column(reader->ctx, cols->table.table, names[i]);
	}
	return PFC_OK;
}

bool cols_next(struct cols *cols)
{
	const struct pfc_reader *reader = cols->reader;
	uint32_t chunk = cols->next_chunk, i;
	bool any = false;

	if (chunk >= cols->table.chunk_count || cols->cut) {
		return false;
	}
	cols->rows = UINT64_MAX;
	for (i = 0; i < cols->count; i++) {
		struct pfc_column_view *view = &cols->views[i];

		if (cols->numbers[i] < 0) {
			continue;
		}
		view->struct_size = sizeof(*view);
		if (reader->view(reader->ctx, cols->table.table, chunk, (uint32_t)cols->numbers[i], view) !=
		    PFC_OK) {
			cols->cut = true;
			return false;
		}
		cols->rows = view->row_count < cols->rows ? view->row_count : cols->rows;
		cols->first_row = view->first_row;
		any = true;
	}
	cols->next_chunk++;
	return any;
}

int64_t cols_int(const struct cols *cols, uint32_t column, uint64_t row, int64_t missing)
{
	const struct pfc_column_view *view = &cols->views[column];

	if (cols->numbers[column] < 0) {
		return missing;
	}
	switch (view->type) {
	case PFC_U8:
		return ((const uint8_t *)view->data)[row];
	case PFC_U16:
		return ((const uint16_t *)view->data)[row];
	case PFC_U32:
		return ((const uint32_t *)view->data)[row];
	case PFC_I32:
		return ((const int32_t *)view->data)[row];
	case PFC_U64:
	case PFC_I64:
		return ((const int64_t *)view->data)[row];
	default:
		return missing;
	}
}

uint32_t cols_id(const struct cols *cols, uint32_t column, uint64_t row)
{
	int64_t id = cols_int(cols, column, row, 0);

	return id < 0 || id >= UINT32_MAX ? UINT32_MAX : (uint32_t)id;
}

struct pfc_string cols_string(const struct cols *cols, uint32_t column, uint64_t row)
{
	const struct pfc_column_view *view = &cols->views[column];
	struct pfc_string string = { "", 0 };

	if (cols->numbers[column] >= 0 && view->type == PFC_UTF8) {
		string.data = (const char *)view->data + view->offsets[row];
		string.bytes = (uint64_t)(view->offsets[row + 1] - view->offsets[row]);
	}
	return string;
}
