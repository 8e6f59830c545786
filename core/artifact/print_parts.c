/* SPDX-License-Identifier: MIT */
#include "artifact/print_parts.h"

#include <stdlib.h>
#include <string.h>

const struct pfc_table *print_def(const struct print *print, uint32_t table)
{
	return artifact_reader_table_def(print->reader, table);
}

uint64_t print_rows(const struct print *print, uint32_t table)
{
	struct pfc_table_view view = { .struct_size = sizeof(view) };

	return print->face->table(print->face->ctx, print_def(print, table)->name, &view) == 0
		       ? view.row_count
		       : 0;
}

uint64_t print_shown(const struct print *print, uint32_t table)
{
	uint64_t rows = print_rows(print, table);

	return rows < print->request->limit ? rows : print->request->limit;
}

int print_cell(struct print *print, uint32_t table, uint32_t column, uint64_t row, bool *ret_is_id)
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

void print_escape(struct str *to, const char *text)
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

bool print_wants(const struct print *print, uint32_t table)
{
	return print->request->table == NULL ||
	       strcmp(print->request->table, print_def(print, table)->name) == 0;
}

void print_json_text(FILE *to, const char *text)
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
