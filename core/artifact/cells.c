/* SPDX-License-Identifier: MIT */
#include "artifact/cells.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/format.h"
#include "artifact/utf8.h"

#define LABEL_DEPTH 4 /* sample -> stack -> location -> module -> string */
#define LABEL_BYTES 4096

/** The views of a column, one a chunk; taken at its first use. */
struct cells_column {
	struct pfc_column_view *views;
	uint32_t count;
};

struct cells {
	struct artifact_reader *reader;
	const struct pfc_reader *face;
	struct cells_column *columns[FORMAT_TABLES_MAX];
	uint64_t rows[FORMAT_TABLES_MAX];
	uint32_t chunks[FORMAT_TABLES_MAX];
	uint32_t table_count;
};

int cells_create(struct artifact_reader *reader, struct cells **ret)
{
	struct cells *cells = calloc(1, sizeof(*cells));

	if (cells == NULL) {
		return PFC_ENOMEM;
	}
	cells->reader = reader;
	cells->face = artifact_reader_face(reader);
	cells->table_count = artifact_reader_table_count(reader);
	for (uint32_t i = 0; i < cells->table_count; i++) {
		const struct pfc_table *def = artifact_reader_table_def(reader, i);
		struct pfc_table_view view = { .struct_size = sizeof(view) };

		cells->columns[i] = calloc(def->column_count, sizeof(*cells->columns[i]));
		if (cells->columns[i] == NULL ||
		    cells->face->table(cells->face->ctx, def->name, &view) != 0) {
			cells_destroy(cells);
			return PFC_ENOMEM;
		}
		cells->rows[i] = view.row_count;
		cells->chunks[i] = view.chunk_count;
	}
	*ret = cells;
	return 0;
}

static int load_column(struct cells *cells, uint32_t table, uint32_t column)
{
	struct cells_column *loaded = &cells->columns[table][column];
	struct pfc_column_view *views = calloc(cells->chunks[table], sizeof(*views));

	if (views == NULL) {
		return PFC_ENOMEM;
	}
	for (uint32_t i = 0; i < cells->chunks[table]; i++) {
		int rc;

		views[i].struct_size = sizeof(views[i]);
		rc = cells->face->view(cells->face->ctx, table, i, column, &views[i]);
		if (rc != 0) {
			free(views);
			return rc;
		}
	}
	loaded->views = views;
	loaded->count = cells->chunks[table];
	return 0;
}

/* The view that holds a row; *ret_at is the row's place in it. */
static int find(struct cells *cells, uint32_t table, uint32_t column, uint64_t row,
		const struct pfc_column_view **ret_view, uint64_t *ret_at)
{
	struct cells_column *loaded = &cells->columns[table][column];
	uint32_t low = 0;
	uint32_t high;

	if (row >= cells->rows[table]) {
		return PFC_ENOENT;
	}
	if (loaded->views == NULL) {
		int rc = load_column(cells, table, column);

		if (rc != 0) {
			return rc;
		}
	}
	for (high = loaded->count; high - low > 1;) {
		uint32_t middle = low + (high - low) / 2;

		if (loaded->views[middle].first_row <= row) {
			low = middle;
		} else {
			high = middle;
		}
	}
	*ret_view = &loaded->views[low];
	*ret_at = row - loaded->views[low].first_row;
	return 0;
}

#define VALUE(type) (((const type *)view->data)[at])

static uint64_t as_unsigned(const struct pfc_column_view *view, uint64_t at)
{
	switch (view->type) {
	case PFC_U8:
		return VALUE(uint8_t);
	case PFC_U16:
		return VALUE(uint16_t);
	case PFC_U32:
		return VALUE(uint32_t);
	default:
		return VALUE(uint64_t);
	}
}

static void add_value(const struct pfc_column_view *view, uint64_t at, struct str *to)
{
	char digits[32];

	switch (view->type) {
	case PFC_I32:
		str_format(to, "%" PRId32, VALUE(int32_t));
		break;
	case PFC_I64:
		str_format(to, "%" PRId64, VALUE(int64_t));
		break;
	case PFC_F64:
		format_number(VALUE(double), digits);
		str_add(to, digits);
		break;
	case PFC_UTF8:
		utf8_add_clean(to, (const char *)view->data + view->offsets[at],
			       (size_t)(view->offsets[at + 1] - view->offsets[at]));
		break;
	default:
		str_format(to, "%" PRIu64, as_unsigned(view, at));
	}
}

int cells_add(struct cells *cells, uint32_t table, uint32_t column, uint64_t row, struct str *to)
{
	const struct pfc_column_view *view;
	uint64_t at;
	int rc = find(cells, table, column, row, &view, &at);

	if (rc == 0) {
		add_value(view, at, to);
		rc = to->failed ? PFC_ENOMEM : 0;
	}
	return rc;
}

int cells_target(const struct cells *cells, uint32_t table, uint32_t column)
{
	const struct pfc_column *def = &artifact_reader_table_def(cells->reader, table)->columns[column];

	if (strncmp(def->unit, "id:", 3) != 0 || def->type < PFC_U8 || def->type > PFC_U64) {
		return -1;
	}
	for (uint32_t i = 0; i < cells->table_count; i++) {
		if (strcmp(artifact_reader_table_def(cells->reader, i)->name, def->unit + 3) == 0) {
			return (int)i;
		}
	}
	return -1;
}

/* The column of a table that its label comes from, or -1. */
static int label_column(const struct cells *cells, uint32_t table)
{
	const struct pfc_table *def = artifact_reader_table_def(cells->reader, table);

	for (uint32_t i = 0; i < def->column_count; i++) {
		if (def->columns[i].type == PFC_UTF8) {
			return (int)i;
		}
	}
	for (uint32_t i = 0; i < def->column_count; i++) {
		int target = cells_target(cells, table, i);

		if (target >= 0 && (uint32_t)target != table) {
			return (int)i;
		}
	}
	return -1;
}

static int add_addresses(struct cells *cells, uint32_t table, uint64_t row, struct str *to)
{
	const struct pfc_table *def = artifact_reader_table_def(cells->reader, table);
	int rc = 0;

	for (uint32_t i = 0; i < def->column_count && rc == 0; i++) {
		const struct pfc_column_view *view;
		uint64_t at;

		if (strcmp(def->columns[i].unit, "address") == 0 && def->columns[i].type == PFC_U64) {
			rc = find(cells, table, i, row, &view, &at);
			if (rc == 0 && as_unsigned(view, at) != 0) {
				str_format(to, "+0x%" PRIx64, as_unsigned(view, at));
			}
		}
	}
	return rc;
}

static int add_label(struct cells *cells, uint32_t table, uint64_t row, unsigned depth, struct str *to)
{
	int column = label_column(cells, table);
	const struct pfc_column_view *view;
	uint64_t at;
	int target;
	int rc;

	if (column < 0 || row >= cells->rows[table]) {
		return 0;
	}
	rc = find(cells, table, (uint32_t)column, row, &view, &at);
	if (rc != 0) {
		return rc;
	}
	if (view->type == PFC_UTF8) {
		size_t bytes = (size_t)(view->offsets[at + 1] - view->offsets[at]);

		utf8_add_clean(to, (const char *)view->data + view->offsets[at],
			       bytes < LABEL_BYTES ? bytes : LABEL_BYTES);
		return 0;
	}
	target = cells_target(cells, table, (uint32_t)column);
	if (target >= 0 && depth > 0) {
		rc = add_label(cells, (uint32_t)target, as_unsigned(view, at), depth - 1, to);
	}
	return rc == 0 ? add_addresses(cells, table, row, to) : rc;
}

int cells_add_label(struct cells *cells, uint32_t table, uint64_t row, struct str *to)
{
	int rc = add_label(cells, table, row, LABEL_DEPTH, to);

	return rc == 0 && to->failed ? PFC_ENOMEM : rc;
}

void cells_destroy(struct cells *cells)
{
	if (cells == NULL) {
		return;
	}
	for (uint32_t i = 0; i < cells->table_count && cells->columns[i] != NULL; i++) {
		for (uint32_t c = 0; c < artifact_reader_table_def(cells->reader, i)->column_count; c++) {
			free(cells->columns[i][c].views);
		}
		free(cells->columns[i]);
	}
	free(cells);
}
