/* SPDX-License-Identifier: MIT */
#include "artifact/table.h"

#include <stdlib.h>
#include <string.h>

#include "artifact/json_text.h"

/* What the founding version of the structs had: a smaller one is no struct of ours. */
#define TABLE_BYTES_MIN  (offsetof(struct pfc_table, columns) + sizeof(void *))
#define COLUMN_BYTES_MIN (offsetof(struct pfc_column, unit) + sizeof(void *))
#define STRIDE_MAX       4096

static int table_begin(struct table *table, const char *name, uint32_t column_count)
{
	memset(table, 0, sizeof(*table));
	table->columns = calloc(column_count, sizeof(*table->columns));
	table->texts = calloc(1 + 2 * (size_t)column_count, FORMAT_NAME_BYTES);
	if (table->columns == NULL || table->texts == NULL) {
		table_finish(table);
		return PFC_ENOMEM;
	}
	strcpy(table->texts, name);
	table->def.struct_size = sizeof(table->def);
	table->def.column_count = column_count;
	table->def.name = table->texts;
	table->def.columns = table->columns;
	table->def.column_stride = sizeof(struct pfc_column);
	table->def.time_column = -1;
	return 0;
}

/* Returns what is wrong with the column, or NULL. */
static const char *set_column(struct table *table, uint32_t index, uint32_t type, const char *name,
			      const char *unit)
{
	struct pfc_column *column = &table->columns[index];
	char *name_to = table->texts + (1 + 2 * (size_t)index) * FORMAT_NAME_BYTES;

	if (format_type_bytes(type) == 0) {
		return "a column has no known type";
	}
	if (name == NULL || !format_name_ok(name, false)) {
		return "a column's name is not lower_snake of 1 to 63 bytes";
	}
	if (unit == NULL || !format_unit_ok(unit)) {
		return "a column's unit is missing, longer than 63 bytes or not printable";
	}
	for (uint32_t i = 0; i < index; i++) {
		if (strcmp(table->columns[i].name, name) == 0) {
			return "two columns have one name";
		}
	}
	strcpy(name_to, name);
	strcpy(name_to + FORMAT_NAME_BYTES, unit);
	*column = (struct pfc_column){ .struct_size = sizeof(*column),
				       .type = type,
				       .name = name_to,
				       .unit = name_to + FORMAT_NAME_BYTES };
	return NULL;
}

static const char *set_time(struct table *table, int64_t time_column)
{
	if (time_column < -1 || time_column >= (int64_t)table->def.column_count) {
		return "time_column is not a column";
	}
	if (time_column >= 0 && table->columns[time_column].type != PFC_U64) {
		return "the time column is not u64";
	}
	table->def.time_column = (int32_t)time_column;
	return NULL;
}

static const char *copy_columns(struct table *table, const struct pfc_table *def)
{
	for (uint32_t i = 0; i < def->column_count; i++) {
		const char *at = (const char *)def->columns + (size_t)i * def->column_stride;
		struct pfc_column column = { 0 };
		const char *why;
		uint32_t bytes;

		memcpy(&bytes, at, sizeof(bytes));
		if (bytes < COLUMN_BYTES_MIN || bytes > def->column_stride) {
			return "a column's struct_size does not fit";
		}
		memcpy(&column, at, bytes < sizeof(column) ? bytes : sizeof(column));
		why = set_column(table, i, column.type, column.name, column.unit);
		if (why != NULL) {
			return why;
		}
	}
	return set_time(table, def->time_column);
}

static const char *normalise(const struct pfc_table *from, struct pfc_table *to)
{
	memset(to, 0, sizeof(*to));
	to->time_column = -1;
	if (from == NULL || from->struct_size < TABLE_BYTES_MIN) {
		return "the table's struct_size does not fit";
	}
	memcpy(to, from, from->struct_size < sizeof(*to) ? from->struct_size : sizeof(*to));
	if (to->column_stride == 0) {
		to->column_stride = COLUMN_BYTES_MIN;
	}
	if (to->column_stride < COLUMN_BYTES_MIN || to->column_stride > STRIDE_MAX ||
	    to->column_stride % 8 != 0) {
		return "column_stride does not fit";
	}
	if (to->name == NULL || !format_name_ok(to->name, false)) {
		return "the table's name is not lower_snake of 1 to 63 bytes";
	}
	if (to->columns == NULL || to->column_count == 0 || to->column_count > FORMAT_COLUMNS_MAX) {
		return "a table has 1 to 64 columns";
	}
	return NULL;
}

int table_copy(const struct pfc_table *from, struct table *ret, const char **ret_why)
{
	struct pfc_table def;
	struct table table;

	*ret_why = normalise(from, &def);
	if (*ret_why != NULL) {
		return PFC_EINVAL;
	}
	if (table_begin(&table, def.name, def.column_count) != 0) {
		return PFC_ENOMEM;
	}
	*ret_why = copy_columns(&table, &def);
	if (*ret_why != NULL) {
		table_finish(&table);
		return PFC_EINVAL;
	}
	*ret = table;
	return 0;
}

static const char *parse_column(struct table *table, uint32_t index, json_t *value)
{
	const char *name = json_string_value(json_object_get(value, "name"));
	const char *type = json_string_value(json_object_get(value, "type"));
	const char *unit = json_string_value(json_object_get(value, "unit"));

	return set_column(table, index, type != NULL ? format_type_of(type) : 0, name, unit);
}

static int parse_object(json_t *root, struct table *ret)
{
	const char *name = json_string_value(json_object_get(root, "name"));
	json_t *columns = json_object_get(root, "columns");
	json_t *time_column = json_object_get(root, "time_column");
	size_t count = json_array_size(columns);
	struct table table;

	if (name == NULL || !format_name_ok(name, false) || count == 0 || count > FORMAT_COLUMNS_MAX ||
	    !json_is_integer(time_column)) {
		return PFC_ECORRUPT;
	}
	if (table_begin(&table, name, (uint32_t)count) != 0) {
		return PFC_ENOMEM;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (parse_column(&table, i, json_array_get(columns, i)) != NULL) {
			table_finish(&table);
			return PFC_ECORRUPT;
		}
	}
	if (set_time(&table, json_integer_value(time_column)) != NULL) {
		table_finish(&table);
		return PFC_ECORRUPT;
	}
	*ret = table;
	return 0;
}

int table_parse(const char *text, size_t bytes, struct table *ret)
{
	json_t *root = NULL;
	int rc = json_text_parse(text, bytes, &root);

	if (rc == 0) {
		rc = parse_object(root, ret);
	}
	json_decref(root);
	return rc;
}

char *table_print(const struct table *table)
{
	json_t *columns = json_array();
	json_t *root;
	char *text;

	for (uint32_t i = 0; i < table->def.column_count; i++) {
		const struct pfc_column *column = &table->columns[i];

		/* A column that memory had no room for makes `columns` too short: the check below sees it. */
		json_array_append_new(columns,
				      json_pack("{s:s,s:s,s:s}", "name", column->name, "type",
						format_type_name(column->type), "unit", column->unit));
	}
	if (json_array_size(columns) != table->def.column_count) {
		json_decref(columns);
		return NULL;
	}
	root = json_pack("{s:s,s:i,s:o}", "name", table->def.name, "time_column", (int)table->def.time_column,
			 "columns", columns);
	text = json_text_print(root);
	json_decref(root);
	return text;
}

uint32_t table_buffers(const struct table *table)
{
	uint32_t count = table->def.column_count;

	for (uint32_t i = 0; i < table->def.column_count; i++) {
		count += table->columns[i].type == PFC_UTF8;
	}
	return count;
}

int table_find(const struct table *const *tables, uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(tables[i]->def.name, name) == 0) {
			return (int)i;
		}
	}
	return -1;
}

void table_finish(struct table *table)
{
	free(table->columns);
	free(table->texts);
	memset(table, 0, sizeof(*table));
}
