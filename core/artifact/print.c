/* SPDX-License-Identifier: MIT */
#include "artifact/print.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "artifact/cells.h"
#include "artifact/format.h"
#include "artifact/json_text.h"
#include "artifact/utf8.h"

#define WIDTH_ROWS 200 /* the columns of text are as wide as these rows ask for */
#define WIDTH_MAX  60

struct print {
	struct artifact_reader *reader;
	const struct pfc_reader *face;
	const struct print_request *request;
	struct cells *cells;
	FILE *to;
	bool is_terminal;
	struct str cell; /* scratch */
	struct str label;
};

static const struct pfc_table *def_of(const struct print *print, uint32_t table)
{
	return artifact_reader_table_def(print->reader, table);
}

static uint64_t rows_of(const struct print *print, uint32_t table)
{
	struct pfc_table_view view = { .struct_size = sizeof(view) };

	return print->face->table(print->face->ctx, def_of(print, table)->name, &view) == 0 ? view.row_count
											    : 0;
}

static uint64_t shown_rows(const struct print *print, uint32_t table)
{
	uint64_t rows = rows_of(print, table);

	return rows < print->request->limit ? rows : print->request->limit;
}

/* Fill print->cell, and print->label for an id (*ret_is_id). */
static int load_cell(struct print *print, uint32_t table, uint32_t column, uint64_t row, bool *ret_is_id)
{
	int target = cells_target(print->cells, table, column);
	int rc;

	print->cell.bytes = 0;
	print->label.bytes = 0;
	str_add(&print->cell, "");
	str_add(&print->label, "");
	rc = cells_add(print->cells, table, column, row, &print->cell);
	if (rc == 0 && target >= 0) {
		rc = cells_add_label(print->cells, (uint32_t)target,
				     strtoull(str_text(&print->cell), NULL, 10), &print->label);
	}
	*ret_is_id = target >= 0;
	return rc;
}

/* Control characters, also those of C1, must not reach a terminal. */
static void add_escaped(struct str *to, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f) {
			str_format(to, "\\x%02x", c);
		} else if (c == 0xc2 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] < 0xa0) {
			str_format(to, "\\x%02x", (unsigned char)*++text);
		} else {
			str_add_bytes(to, text, 1);
		}
	}
}

/* ---- JSON ---- */

static void json_text(FILE *to, const char *text)
{
	fputc('"', to);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\') {
			fputc('\\', to);
			fputc(c, to);
		} else if (c < 0x20 || c == 0x7f) {
			fprintf(to, "\\u%04x", c);
		} else {
			fputc(c, to);
		}
	}
	fputc('"', to);
}

static int json_cell(struct print *print, uint32_t table, uint32_t column, uint64_t row)
{
	const struct pfc_column *def = &def_of(print, table)->columns[column];
	bool is_id;
	int rc = load_cell(print, table, column, row, &is_id);

	if (rc != 0) {
		return rc;
	}
	fprintf(print->to, "%s\"%s\":", column > 0 ? "," : "", def->name);
	if (def->type == PFC_UTF8) {
		json_text(print->to, str_text(&print->cell));
	} else if (def->type == PFC_F64 && !isfinite(strtod(str_text(&print->cell), NULL))) {
		fputs("null", print->to);
	} else {
		fputs(str_text(&print->cell), print->to);
	}
	if (is_id) {
		fprintf(print->to, ",\"%s_text\":", def->name);
		json_text(print->to, str_text(&print->label));
	}
	return 0;
}

static int json_table(struct print *print, uint32_t table)
{
	uint64_t rows = shown_rows(print, table);
	int rc = 0;

	fprintf(print->to, "\"%s\":[", def_of(print, table)->name);
	for (uint64_t row = 0; row < rows && rc == 0; row++) {
		fputs(row > 0 ? ",\n{" : "\n{", print->to);
		for (uint32_t i = 0; i < def_of(print, table)->column_count && rc == 0; i++) {
			rc = json_cell(print, table, i, row);
		}
		fputc('}', print->to);
	}
	fputs("]", print->to);
	return rc;
}

static int json_head(struct print *print, const struct pfc_artifact *about)
{
	json_t *report = artifact_reader_report(print->reader);
	char *text = json_text_print(report);

	json_decref(report);
	if (text == NULL) {
		return PFC_ENOMEM;
	}
	fputs("{\"artifact\":", print->to);
	json_text(print->to, print->request->name);
	fputs(",\"type\":", print->to);
	json_text(print->to, about->type);
	fputs(",\"signal\":", print->to);
	json_text(print->to, about->signal);
	fprintf(print->to, ",\"state\":\"%s\",", about->partial != 0 ? "partial" : "complete");
	fprintf(print->to, "%.*s", (int)strlen(text) - 2, text + 1); /* without its braces */
	free(text);
	return 0;
}

/* ---- CSV ---- */

static void csv_quote(FILE *to, const char *text)
{
	if (strpbrk(text, ",\"\r\n") == NULL) {
		fputs(text, to);
		return;
	}
	fputc('"', to);
	for (; *text != '\0'; text++) {
		if (*text == '"') {
			fputc('"', to);
		}
		fputc(*text, to);
	}
	fputc('"', to);
}

/* A file gets the text as it is, a terminal never. */
static void csv_text(const struct print *print, const char *text)
{
	struct str escaped = { 0 };

	if (!print->is_terminal) {
		csv_quote(print->to, text);
		return;
	}
	add_escaped(&escaped, text);
	csv_quote(print->to, str_text(&escaped));
	str_finish(&escaped);
}

static void csv_head(struct print *print, uint32_t table)
{
	const struct pfc_table *def = def_of(print, table);

	for (uint32_t i = 0; i < def->column_count; i++) {
		fprintf(print->to, "%s%s", i > 0 ? "," : "", def->columns[i].name);
		if (cells_target(print->cells, table, i) >= 0) {
			fprintf(print->to, ",%s_text", def->columns[i].name);
		}
	}
	fputs("\r\n", print->to);
}

static int csv_table(struct print *print, uint32_t table)
{
	uint64_t rows = shown_rows(print, table);
	int rc = 0;

	csv_head(print, table);
	for (uint64_t row = 0; row < rows && rc == 0; row++) {
		for (uint32_t i = 0; i < def_of(print, table)->column_count && rc == 0; i++) {
			bool is_id = false;

			rc = load_cell(print, table, i, row, &is_id);
			if (rc == 0) {
				fputs(i > 0 ? "," : "", print->to);
				csv_text(print, str_text(&print->cell));
				if (is_id) {
					fputc(',', print->to);
					csv_text(print, str_text(&print->label));
				}
			}
		}
		fputs("\r\n", print->to);
	}
	return rc;
}

/* ---- text ---- */

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
	int rc = load_cell(print, table, column, row, &is_id);

	ret->bytes = 0;
	str_add(ret, "");
	if (rc == 0) {
		add_escaped(ret, str_text(&print->cell));
		if (is_id && str_text(&print->label)[0] != '\0') {
			str_add(ret, " ");
			add_escaped(ret, str_text(&print->label));
		}
		rc = ret->failed ? PFC_ENOMEM : 0;
	}
	return rc;
}

static int measure(struct print *print, uint32_t table, uint32_t column, struct str *cell, int *ret)
{
	uint64_t rows = shown_rows(print, table);
	int width = (int)strlen(def_of(print, table)->columns[column].name);
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
	return def_of(print, table)->columns[column].type == PFC_UTF8 ||
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
	const struct pfc_table *def = def_of(print, table);
	uint64_t rows = shown_rows(print, table);
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
	const struct pfc_table *def = def_of(print, table);
	int widths[FORMAT_COLUMNS_MAX];
	struct str cell = { 0 };
	int rc = 0;

	fprintf(print->to, "%s: %" PRIu64 " of %" PRIu64 " rows\n", def->name, shown_rows(print, table),
		rows_of(print, table));
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

		add_escaped(&escaped, key);
		str_add(&escaped, " = ");
		if (json_is_string(value)) {
			add_escaped(&escaped, json_string_value(value));
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
		const struct pfc_table *def = def_of(print, i);

		fprintf(print->to, "%-8s %s: %" PRIu64 " rows (", i == 0 ? "tables" : "", def->name,
			rows_of(print, i));
		for (uint32_t c = 0; c < def->column_count; c++) {
			fprintf(print->to, "%s%s %s%s%s", c > 0 ? ", " : "", def->columns[c].name,
				format_type_name(def->columns[c].type),
				def->columns[c].unit[0] != '\0' ? " " : "", def->columns[c].unit);
		}
		fputs(")\n", print->to);
	}
	return 0;
}

/* ---- all ---- */

static bool is_wanted(const struct print *print, uint32_t table)
{
	return print->request->table == NULL ||
	       strcmp(print->request->table, def_of(print, table)->name) == 0;
}

/* What a person asks about first: the last dated table, else the last one with rows. */
static int counting_table(const struct print *print)
{
	int found = -1;
	bool dated = false;

	for (uint32_t i = 0; i < artifact_reader_table_count(print->reader); i++) {
		bool is_dated = def_of(print, i)->time_column >= 0;

		if (is_dated || (!dated && rows_of(print, i) > 0)) {
			found = (int)i;
			dated = dated || is_dated;
		}
	}
	return found;
}

static int print_text(struct print *print, const struct pfc_artifact *about)
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
		rc = is_wanted(print, i) ? text_table(print, i) : 0;
	}
	return rc;
}

static int print_json(struct print *print, const struct pfc_artifact *about)
{
	int rc = json_head(print, about);
	bool first = true;

	if (rc != 0) {
		return rc;
	}
	fputs(",\"tables\":{", print->to);
	for (uint32_t i = 0; i < artifact_reader_table_count(print->reader) && rc == 0; i++) {
		if (is_wanted(print, i)) {
			fputs(first ? "\n" : ",\n", print->to);
			first = false;
			rc = json_table(print, i);
		}
	}
	fputs("}}\n", print->to);
	return rc;
}

static int print_csv(struct print *print)
{
	int rc = 0;

	for (uint32_t i = 0; i < artifact_reader_table_count(print->reader) && rc == 0; i++) {
		rc = is_wanted(print, i) ? csv_table(print, i) : 0;
	}
	return rc;
}

/* A document: its bytes as they are, but for a terminal, and for JSON. */
static int print_document(struct print *print, const struct pfc_artifact *about)
{
	const void *data = NULL;
	struct str text = { 0 };
	uint64_t bytes = 0;
	int rc = print->face->document(print->face->ctx, &data, &bytes);

	if (rc != 0) {
		return rc;
	}
	if (print->request->form != PRINT_JSON && !print->is_terminal) {
		return fwrite(data, 1, (size_t)bytes, print->to) == bytes ? 0 : PFC_EIO;
	}
	utf8_add_clean(&text, data, strnlen(data != NULL ? data : "", (size_t)bytes));
	rc = text.failed ? PFC_ENOMEM : 0;
	if (rc == 0 && print->request->form == PRINT_JSON) {
		fputs("{\"artifact\":", print->to);
		json_text(print->to, print->request->name);
		fputs(",\"type\":", print->to);
		json_text(print->to, about->type);
		fprintf(print->to, ",\"state\":\"%s\",\"bytes\":%" PRIu64 ",\"text\":",
			about->partial != 0 ? "partial" : "complete", bytes);
		json_text(print->to, str_text(&text));
		fputs("}\n", print->to);
	} else if (rc == 0) {
		for (const char *c = str_text(&text); *c != '\0'; c++) {
			bool is_control = iscntrl((unsigned char)*c) && *c != '\n' && *c != '\t';

			fputc(is_control ? '?' : *c, print->to);
		}
	}
	str_finish(&text);
	return rc;
}

static int complain_no_table(const struct print *print, struct pfc_error *err)
{
	struct str names = { 0 };
	int rc;

	for (uint32_t i = 0; i < artifact_reader_table_count(print->reader); i++) {
		str_format(&names, "%s%s", i > 0 ? ", " : "", def_of(print, i)->name);
	}
	rc = error_set(err, PFC_ENOENT, "there is no such table", "%s: table '%s'", print->request->name,
		       print->request->table);
	error_hint(err, "one of: %s", str_text(&names));
	str_finish(&names);
	return rc;
}

static int print_tables(struct print *print, const struct pfc_artifact *about, struct pfc_error *err)
{
	bool found = print->request->table == NULL;
	int rc;

	for (uint32_t i = 0; i < artifact_reader_table_count(print->reader); i++) {
		found = found || is_wanted(print, i);
	}
	if (!found) {
		return complain_no_table(print, err);
	}
	rc = cells_create(print->reader, &print->cells);
	if (rc == 0) {
		rc = print->request->form == PRINT_JSON  ? print_json(print, about)
		     : print->request->form == PRINT_CSV ? print_csv(print)
							 : print_text(print, about);
	}
	if (rc == PFC_ENOMEM) {
		return error_nomem(err);
	}
	return rc == 0 ? 0
		       : error_set(err, rc,
				   "a part of the file does not match its checksum; what came before it is "
				   "right",
				   "show %s", print->request->name);
}

int print_artifact(struct artifact_reader *reader, const struct print_request *request, FILE *to,
		   struct pfc_error *err)
{
	struct print print = { .reader = reader,
			       .face = artifact_reader_face(reader),
			       .request = request,
			       .to = to,
			       .is_terminal = isatty(fileno(to)) == 1 };
	struct pfc_artifact about = { .struct_size = sizeof(about) };
	const void *data;
	uint64_t bytes;
	int rc;

	(void)print.face->describe(print.face->ctx, &about);
	if (print.face->document(print.face->ctx, &data, &bytes) == 0) {
		rc = print_document(&print, &about);
		if (rc != 0) {
			error_set(err, rc, "the output takes no more, or memory ran out", "show %s",
				  request->name);
		}
	} else {
		rc = print_tables(&print, &about, err);
	}
	cells_destroy(print.cells);
	str_finish(&print.cell);
	str_finish(&print.label);
	if (rc == 0 && (fflush(to) != 0 || ferror(to))) {
		rc = error_set(err, PFC_EIO, "the output takes no more", "show %s", request->name);
	}
	return rc;
}
