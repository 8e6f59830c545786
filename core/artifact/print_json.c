/* SPDX-License-Identifier: MIT */
#include "artifact/print_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/json_text.h"

static int json_cell(struct print *print, uint32_t table, uint32_t column, uint64_t row)
{
	const struct pfc_column *def = &print_def(print, table)->columns[column];
	bool is_id;
	int rc = print_cell(print, table, column, row, &is_id);

	if (rc != 0) {
		return rc;
	}
	fprintf(print->to, "%s\"%s\":", column > 0 ? "," : "", def->name);
	if (def->type == PFC_UTF8) {
		print_json_text(print->to, str_text(&print->cell));
	} else if (def->type == PFC_F64 && !isfinite(strtod(str_text(&print->cell), NULL))) {
		fputs("null", print->to);
	} else {
		fputs(str_text(&print->cell), print->to);
	}
	if (is_id) {
		fprintf(print->to, ",\"%s_text\":", def->name);
		print_json_text(print->to, str_text(&print->label));
	}
	return 0;
}

static int json_table(struct print *print, uint32_t table)
{
	uint64_t rows = print_shown(print, table);
	int rc = 0;

	fprintf(print->to, "\"%s\":[", print_def(print, table)->name);
	for (uint64_t row = 0; row < rows && rc == 0; row++) {
		fputs(row > 0 ? ",\n{" : "\n{", print->to);
		for (uint32_t i = 0; i < print_def(print, table)->column_count && rc == 0; i++) {
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
	print_json_text(print->to, print->request->name);
	fputs(",\"type\":", print->to);
	print_json_text(print->to, about->type);
	fputs(",\"signal\":", print->to);
	print_json_text(print->to, about->signal);
	fprintf(print->to, ",\"state\":\"%s\",", about->partial != 0 ? "partial" : "complete");
	fprintf(print->to, "%.*s", (int)strlen(text) - 2, text + 1); /* without its braces */
	free(text);
	return 0;
}

int print_json(struct print *print, const struct pfc_artifact *about)
{
	int rc = json_head(print, about);
	bool first = true;

	if (rc != 0) {
		return rc;
	}
	fputs(",\"tables\":{", print->to);
	for (uint32_t i = 0; i < artifact_reader_table_count(print->reader) && rc == 0; i++) {
		if (print_wants(print, i)) {
			fputs(first ? "\n" : ",\n", print->to);
			first = false;
			rc = json_table(print, i);
		}
	}
	fputs("}}\n", print->to);
	return rc;
}
