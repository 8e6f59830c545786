/* SPDX-License-Identifier: MIT */
/*
 * The reader of one artifact: the file mapped, its index, and checks of each buffer when it is first
 * viewed.
 */
#include "artifact/artifact.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "artifact/index.h"
#include "artifact/residence.h"

#define CALLER_BYTES_MIN 8
#define CALLER_BYTES_MAX 4096

struct fact {
	const char *key; /* of the index's JSON */
	const char *text;
	double number; /* NAN for a text */
	char digits[32];
};

struct artifact_reader {
	struct pfc_reader face;
	struct pfc_artifact about;
	char *texts[4]; /* producer, port, type, signal */
	bool is_tables;
	char *map; /* NULL for an empty document */
	uint64_t map_bytes;
	struct index index;
	struct residence residence;
	struct fact *facts;
	size_t fact_count;
};

/* Give a caller as much of a struct as its version knows; what it knows and we do not becomes zero. */
static int give(void *ret, const void *ours, uint32_t our_bytes)
{
	uint32_t bytes;

	memcpy(&bytes, ret, sizeof(bytes));
	if (bytes < CALLER_BYTES_MIN || bytes > CALLER_BYTES_MAX) {
		return PFC_EINVAL;
	}
	memset(ret, 0, bytes);
	memcpy(ret, ours, bytes < our_bytes ? bytes : our_bytes);
	memcpy(ret, &bytes, sizeof(bytes));
	return 0;
}

static int32_t face_describe(void *ctx, struct pfc_artifact *ret)
{
	const struct artifact_reader *reader = ctx;

	return give(ret, &reader->about, sizeof(reader->about));
}

static int32_t face_table(void *ctx, const char *name, struct pfc_table_view *ret)
{
	const struct artifact_reader *reader = ctx;

	for (uint32_t i = 0; i < reader->index.table_count; i++) {
		const struct index_table *table = reader->index.tables[i];
		struct pfc_table_view view = { .table = i,
					       .row_count = table->row_count,
					       .chunk_count = table->chunk_count,
					       .column_count = table->table.def.column_count };

		if (strcmp(table->table.def.name, name) == 0) {
			return give(ret, &view, sizeof(view));
		}
	}
	return PFC_ENOENT;
}

static int32_t face_column(void *ctx, uint32_t number, const char *name)
{
	const struct artifact_reader *reader = ctx;
	const struct pfc_table *def;

	if (number >= reader->index.table_count) {
		return PFC_ENOENT;
	}
	def = &reader->index.tables[number]->table.def;
	for (uint32_t i = 0; i < def->column_count; i++) {
		if (strcmp(def->columns[i].name, name) == 0) {
			return (int32_t)i;
		}
	}
	return PFC_ENOENT;
}

static bool offsets_ascend(const int32_t *offsets, uint64_t row_count, uint64_t data_bytes)
{
	int32_t wrong = offsets[0] < 0;

	for (uint64_t i = 0; i < row_count; i++) {
		wrong |= offsets[i + 1] < offsets[i];
	}
	return !wrong && (uint64_t)offsets[row_count] <= data_bytes;
}

/*
 * Fill the view from one descriptor. The descriptors are checked again: only the mapping is used, never
 * what was there.
 */
static bool view_buffer(struct artifact_reader *reader, const struct index_table *table,
			const struct index_chunk *chunk, uint32_t buffer, const void **ret_data,
			uint64_t *ret_bytes, bool verify)
{
	struct format_buffer descriptor;

	memcpy(&descriptor, reader->map + chunk->body + buffer * sizeof(descriptor), sizeof(descriptor));
	if (!index_buffer_ok(table, chunk->row_count, chunk->body_bytes, buffer, &descriptor)) {
		return false;
	}
	*ret_data = reader->map + chunk->body + descriptor.offset;
	*ret_bytes = descriptor.bytes;
	residence_touch(&reader->residence, chunk->body + descriptor.offset, descriptor.bytes);
	return !verify || format_crc(*ret_data, *ret_bytes) == descriptor.crc;
}

static int view_column(struct artifact_reader *reader, const struct index_table *table,
		       struct index_chunk *chunk, uint32_t column, struct pfc_column_view *view)
{
	uint32_t buffer = table->buffer_of[column];
	uint64_t bit = 1ull << column;
	bool verify = (atomic_load_explicit(&chunk->verified, memory_order_acquire) & bit) == 0;
	const void *offsets = NULL;
	uint64_t bytes;

	view->type = table->table.columns[column].type;
	view->first_row = chunk->first_row;
	view->row_count = chunk->row_count;
	if (view->type == PFC_UTF8 &&
	    !view_buffer(reader, table, chunk, buffer++, &offsets, &bytes, verify)) {
		return PFC_ECORRUPT;
	}
	if (!view_buffer(reader, table, chunk, buffer, &view->data, &view->data_bytes, verify)) {
		return PFC_ECORRUPT;
	}
	view->offsets = offsets;
	if (offsets != NULL && verify && !offsets_ascend(offsets, view->row_count, view->data_bytes)) {
		return PFC_ECORRUPT;
	}
	if (verify) {
		atomic_fetch_or_explicit(&chunk->verified, bit, memory_order_release);
	}
	return 0;
}

static int32_t face_view(void *ctx, uint32_t table, uint32_t chunk, uint32_t column,
			 struct pfc_column_view *ret)
{
	struct artifact_reader *reader = ctx;
	struct pfc_column_view view = { 0 };
	struct index_table *from;
	int rc;

	if (table >= reader->index.table_count) {
		return PFC_ENOENT;
	}
	from = reader->index.tables[table];
	if (chunk >= from->chunk_count || column >= from->table.def.column_count) {
		return PFC_ENOENT;
	}
	rc = view_column(reader, from, &from->chunks[chunk], column, &view);
	return rc == 0 ? give(ret, &view, sizeof(view)) : rc;
}

static int32_t face_document(void *ctx, const void **ret_data, uint64_t *ret_bytes)
{
	const struct artifact_reader *reader = ctx;

	if (reader->is_tables) {
		return PFC_EINVAL;
	}
	*ret_data = reader->map != NULL ? reader->map : "";
	*ret_bytes = reader->map_bytes;
	return 0;
}

static int32_t face_fact(void *ctx, const char *key, double *ret_number, const char **ret_text)
{
	const struct artifact_reader *reader = ctx;

	for (size_t i = 0; i < reader->fact_count; i++) {
		if (strcmp(reader->facts[i].key, key) != 0) {
			continue;
		}
		if (ret_number != NULL) {
			*ret_number = reader->facts[i].number;
		}
		if (ret_text != NULL) {
			*ret_text = reader->facts[i].text;
		}
		return 0;
	}
	return PFC_ENOENT;
}

static int load_facts(struct artifact_reader *reader)
{
	json_t *values = json_object_get(reader->index.meta, "facts");
	const char *key;
	json_t *value;

	if (json_object_size(values) == 0) {
		return 0;
	}
	reader->facts = calloc(json_object_size(values), sizeof(*reader->facts));
	if (reader->facts == NULL) {
		return PFC_ENOMEM;
	}
	json_object_foreach(values, key, value)
	{
		struct fact *fact = &reader->facts[reader->fact_count];

		if (!json_is_number(value) && !json_is_string(value)) {
			continue;
		}
		fact->key = key;
		fact->number = json_is_number(value) ? json_number_value(value) : NAN;
		format_number(fact->number, fact->digits);
		fact->text = json_is_string(value) ? json_string_value(value) : fact->digits;
		reader->fact_count++;
	}
	return 0;
}

static uint64_t sum_losses(const struct artifact_reader *reader)
{
	uint64_t sum = 0;
	const char *cause;
	json_t *count;

	json_object_foreach(json_object_get(reader->index.meta, "lost"), cause, count)
	{
		json_int_t value = json_integer_value(count);

		if (value > 0) {
			sum = sum + (uint64_t)value < sum ? UINT64_MAX : sum + (uint64_t)value;
		}
	}
	return sum;
}

/* Map the file, and index it when it holds tables. The first bytes decide when the caller does not know. */
static int load(struct artifact_reader *reader, int fd, const char *type, struct pfc_error *err)
{
	struct stat st;
	int rc;

	if (fstat(fd, &st) != 0) {
		return error_errno(err, errno, "read an artifact");
	}
	if (!S_ISREG(st.st_mode)) {
		return error_set(err, PFC_EINVAL, "it is not a regular file", "read an artifact");
	}
	if (reader->is_tables) {
		rc = index_read(fd, (uint64_t)st.st_size, &reader->index, err);
		if (rc != 0) {
			return rc;
		}
		if (type[0] != '\0' && strcmp(reader->index.type, type) != 0) {
			return error_set(err, PFC_ECORRUPT, "it holds another type than the run says",
					 "read an artifact of type %s", type);
		}
	}
	reader->map_bytes = reader->is_tables ? reader->index.bytes : (uint64_t)st.st_size;
	if (reader->map_bytes > 0) {
		void *map = mmap(NULL, (size_t)reader->map_bytes, PROT_READ, MAP_SHARED, fd, 0);

		if (map == MAP_FAILED) {
			return error_errno(err, errno, "map an artifact of %llu bytes",
					   (unsigned long long)reader->map_bytes);
		}
		reader->map = map;
	}
	reader->residence.map = reader->map;
	reader->residence.map_bytes = reader->map_bytes;
	return load_facts(reader) == 0 ? 0 : error_nomem(err);
}

static int describe(struct artifact_reader *reader, const struct artifact_about *about)
{
	const char *type = reader->is_tables ? reader->index.type : about->type;
	const char *const texts[4] = { about->producer, about->port, type, about->signal };

	for (unsigned i = 0; i < 4; i++) {
		reader->texts[i] = strdup(texts[i] != NULL ? texts[i] : "");
		if (reader->texts[i] == NULL) {
			return PFC_ENOMEM;
		}
	}
	reader->about = (struct pfc_artifact){
		.struct_size = sizeof(reader->about),
		.producer = reader->texts[0],
		.port = reader->texts[1],
		.type = reader->texts[2],
		.signal = reader->texts[3],
		.document_bytes = reader->is_tables ? 0 : reader->map_bytes,
		.lost = sum_losses(reader),
	};
	reader->about.partial =
		about->partial || reader->about.lost > 0 || (reader->is_tables && !reader->index.sealed);
	return 0;
}

int artifact_reader_open(int fd, const struct artifact_about *about, struct artifact_reader **ret,
			 struct pfc_error *err)
{
	struct artifact_reader *reader = calloc(1, sizeof(*reader));
	const char *type = about->type != NULL ? about->type : "";
	int rc;

	if (reader == NULL) {
		return error_nomem(err);
	}
	residence_init(&reader->residence);
	reader->face = (struct pfc_reader){
		.struct_size = sizeof(reader->face),
		.ctx = reader,
		.describe = face_describe,
		.table = face_table,
		.column = face_column,
		.view = face_view,
		.document = face_document,
		.fact = face_fact,
	};
	reader->is_tables = type[0] == '\0' || artifact_type_is_tables(type);
	rc = load(reader, fd, type, err);
	if (rc == 0 && describe(reader, about) != 0) {
		rc = error_nomem(err);
	}
	if (rc != 0) {
		artifact_reader_close(reader);
		return rc;
	}
	*ret = reader;
	return 0;
}

const struct pfc_reader *artifact_reader_face(struct artifact_reader *reader)
{
	return &reader->face;
}

uint32_t artifact_reader_table_count(const struct artifact_reader *reader)
{
	return reader->index.table_count;
}

const struct pfc_table *artifact_reader_table_def(const struct artifact_reader *reader, uint32_t table)
{
	return table < reader->index.table_count ? &reader->index.tables[table]->table.def : NULL;
}

bool artifact_reader_is_sealed(const struct artifact_reader *reader)
{
	return reader->index.sealed;
}

json_t *artifact_reader_report(const struct artifact_reader *reader)
{
	json_t *facts = json_object_get(reader->index.meta, "facts");
	json_t *lost = json_object_get(reader->index.meta, "lost");
	json_t *rows = json_object();
	json_t *report;

	for (uint32_t i = 0; i < reader->index.table_count; i++) {
		const struct index_table *table = reader->index.tables[i];

		if (json_object_set_new(rows, table->table.def.name,
					json_integer((json_int_t)table->row_count)) != 0) {
			json_decref(rows);
			return NULL;
		}
	}
	report = json_pack("{s:o,s:o,s:O}", "facts",
			   json_is_object(facts) ? json_incref(facts) : json_object(), "lost",
			   json_is_object(lost) ? json_incref(lost) : json_object(), "rows", rows);
	json_decref(rows);
	return report;
}

void artifact_reader_release(struct artifact_reader *reader, uint32_t table, uint32_t chunk)
{
	if (table < reader->index.table_count && chunk < reader->index.tables[table]->chunk_count) {
		const struct index_chunk *from = &reader->index.tables[table]->chunks[chunk];

		residence_release(&reader->residence, from->body, from->body_bytes);
	}
}

void artifact_reader_close(struct artifact_reader *reader)
{
	if (reader == NULL) {
		return;
	}
	if (reader->map != NULL) {
		munmap(reader->map, (size_t)reader->map_bytes);
	}
	for (unsigned i = 0; i < 4; i++) {
		free(reader->texts[i]);
	}
	residence_finish(&reader->residence);
	index_finish(&reader->index);
	free(reader->facts);
	free(reader);
}
