/* SPDX-License-Identifier: MIT */
#include "artifact/print.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "artifact/print_parts.h"
#include "artifact/utf8.h"

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
	utf8_add_clean(&text, data, (size_t)bytes);
	rc = text.failed ? PFC_ENOMEM : 0;
	if (rc == 0 && print->request->form == PRINT_JSON) {
		fputs("{\"artifact\":", print->to);
		print_json_text(print->to, print->request->name);
		fputs(",\"type\":", print->to);
		print_json_text(print->to, about->type);
		fprintf(print->to, ",\"state\":\"%s\",\"bytes\":%" PRIu64 ",\"text\":",
			about->partial != 0 ? "partial" : "complete", bytes);
		print_json_text(print->to, str_text(&text));
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
		str_format(&names, "%s%s", i > 0 ? ", " : "", print_def(print, i)->name);
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
		found = found || print_wants(print, i);
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
