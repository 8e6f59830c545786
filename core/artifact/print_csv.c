/* SPDX-License-Identifier: MIT */
#include "artifact/print_parts.h"

#include <string.h>

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
	print_escape(&escaped, text);
	csv_quote(print->to, str_text(&escaped));
	str_finish(&escaped);
}

static void csv_head(struct print *print, uint32_t table)
{
	const struct pfc_table *def = print_def(print, table);

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
	uint64_t rows = print_shown(print, table);
	int rc = 0;

	csv_head(print, table);
	for (uint64_t row = 0; row < rows && rc == 0; row++) {
		for (uint32_t i = 0; i < print_def(print, table)->column_count && rc == 0; i++) {
			bool is_id = false;

			rc = print_cell(print, table, i, row, &is_id);
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

int print_csv(struct print *print)
{
	int rc = 0;

	for (uint32_t i = 0; i < artifact_reader_table_count(print->reader) && rc == 0; i++) {
		rc = print_wants(print, i) ? csv_table(print, i) : 0;
	}
	return rc;
}
