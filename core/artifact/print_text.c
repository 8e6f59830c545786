/* SPDX-License-Identifier: MIT */
#include "artifact/print_parts.h"

#include <inttypes.h>
#include <string.h>

#include "artifact/format.h"

#define WIDTH_ROWS 200 /* columns are as wide as these rows ask for */
#define WIDTH_MAX  60

/* Columns on a terminal, near enough: characters, not their widths. */
static int characters(const char *text)
{
	int count = 0;

	for (; *text != '\0'; text++) {
		count += ((unsigned char)*text & 0xc0) != 0x80;
	}
	return count;
}

/* The cell as people read it: "7 main" for an id with its text. */
static int text_cell(struct print *print, uint32_t table, uint32_t column, uint64_t row, struct str *ret)
{
	bool is_id = false;
	int rc = print_cell(print, table, column, row, &is_id);

	ret->bytes = 0;
	str_add(ret, "");
	if (rc == 0) {
		print_escape(ret, str_text(&print->cell));
		if (is_id && str_text(&print->label)[0] != '\0') {
			str_add(ret, " ");
			print_escape(ret, str_text(&print->label));
		}
		rc = ret->failed ? PFC_ENOMEM : 0;
	}
	return rc;
}

static int measure(struct print *print, uint32_t table, uint32_t column, struct str *cell, int *ret)
{
	uint64_t rows = print_shown(print, table);
	int width = (int)strlen(print_def(print, table)->columns[column].name);
	int rc = 0;

	for (uint64_t row = 0; row < rows && row < WIDTH_ROWS && rc == 0; row++) {
		rc = text_cell(print, table, column, row, cell);
		if (rc == 0 && characters(str_text(cell)) > width) {
			width = characters(str_text(cell));
		}
	}
	*ret = width < WIDTH_MAX ? width : WIDTH_MAX;
	return rc;
}

static bool is_left(const struct print *print, uint32_t table, uint32_t column)
{
	return print_def(print, table)->columns[column].type == PFC_UTF8 ||
	       cells_target(print->cells, table, column) >= 0;
}

static void put_cell(struct print *print, const char *text, int width, bool left, bool last)
{
	int pad = width - characters(text);

	fprintf(print->to, "%*s%s", !left && pad > 0 ? pad : 0, "", text);
	if (!last) {
		fprintf(print->to, "%*s", (left && pad > 0 ? pad : 0) + 2, "");
	}
}

static int text_rows(struct print *print, uint32_t table, const int *widths, struct str *cell)
{
	const struct pfc_table *def = print_def(print, table);
	uint64_t rows = print_shown(print, table);
	int rc = 0;

	for (uint32_t i = 0; i < def->column_count; i++) {
		put_cell(print, def->columns[i].name, widths[i], is_left(print, table, i),
			 i + 1 == def->column_count);
	}
	fputc('\n', print->to);
	for (uint64_t row = 0; row < rows && rc == 0; row++) {
		for (uint32_t i = 0; i < def->column_count && rc == 0; i++) {
			rc = text_cell(print, table, i, row, cell);
			put_cell(print, rc == 0 ? str_text(cell) : "", widths[i], is_left(print, table, i),
				 i + 1 == def->column_count);
		}
		fputc('\n', print->to);
	}
	return rc;
}

static int text_table(struct print *print, uint32_t table)
{
	const struct pfc_table *def = print_def(print, table);
	int widths[FORMAT_COLUMNS_MAX];
	struct str cell = { 0 };
	int rc = 0;

	fprintf(print->to, "%s: %" PRIu64 " of %" PRIu64 " rows\n", def->name, print_shown(print, table),
		print_rows(print, table));
	for (uint32_t i = 0; i < def->column_count && rc == 0; i++) {
		rc = measure(print, table, i, &cell, &widths[i]);
	}
	if (rc == 0) {
		rc = text_rows(print, table, widths, &cell);
	}
	str_finish(&cell);
	return rc;
}

static void text_pairs(FILE *to, const char *title, const json_t *values)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)values, key, value)
	{
		struct str escaped = { 0 };

		print_escape(&escaped, key);
		str_add(&escaped, " = ");
		if (json_is_string(value)) {
			print_escape(&escaped, json_string_value(value));
		} else if (json_is_integer(value)) {
			str_format(&escaped, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		} else {
			str_format(&escaped, "%g", json_number_value(value));
		}
		fprintf(to, "%-8s %s\n", title, str_text(&escaped));
		str_finish(&escaped);
		title = "";
	}
}

static int text_head(struct print *print, const struct pfc_artifact *about)
{
	json_t *report = artifact_reader_report(print->reader);

	if (report == NULL) {
		return PFC_ENOMEM;
	}
	fprintf(print->to, "%s: %s%s%s, %s\n", print->request->name, about->type,
		about->signal[0] != '\0' ? ", " : "", about->signal,
		about->partial != 0 ? "partial" : "complete");
	if (!artifact_reader_is_sealed(print->reader)) {
		fputs("not sealed: its stage ended before it could say that this is all\n", print->to);
	}
	text_pairs(print->to, "facts", json_object_get(report, "facts"));
	text_pairs(print->to, "lost", json_object_get(report, "lost"));
	json_decref(report);
	for (uint32_t i = 0; i < artifact_reader_table_count(print->reader); i++) {
		const struct pfc_table *def = print_def(print, i);

		fprintf(print->to, "%-8s %s: %" PRIu64 " rows (", i == 0 ? "tables" : "", def->name,
			print_rows(print, i));
		for (uint32_t c = 0; c < def->column_count; c++) {
			fprintf(print->to, "%s%s %s%s%s", c > 0 ? ", " : "", def->columns[c].name,
				format_type_name(def->columns[c].type),
				def->columns[c].unit[0] != '\0' ? " " : "", def->columns[c].unit);
		}
		fputs(")\n", print->to);
	}
	return 0;
}

/* What a person asks about first: the last dated table, else the last one with rows. */
static int counting_table(const struct print *print)
{
	int found = -1;
	bool dated = false;

	for (uint32_t i = 0; i < artifact_reader_table_count(print->reader); i++) {
		bool is_dated = print_def(print, i)->time_column >= 0;

		if (is_dated || (!dated && print_rows(print, i) > 0)) {
			found = (int)i;
			dated = dated || is_dated;
		}
	}
	return found;
}

int print_text(struct print *print, const struct pfc_artifact *about)
{
	int table = counting_table(print);
	int rc = 0;

	if (print->request->table == NULL) {
		rc = text_head(print, about);
		if (rc == 0 && table >= 0) {
			fputc('\n', print->to);
			rc = text_table(print, (uint32_t)table);
		}
		return rc;
	}
	for (uint32_t i = 0; i < artifact_reader_table_count(print->reader) && rc == 0; i++) {
		rc = print_wants(print, i) ? text_table(print, i) : 0;
	}
	return rc;
}
