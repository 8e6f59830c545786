/* SPDX-License-Identifier: MIT */
#include "artifact/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "artifact/json_text.h"

#define WINDOW_BYTES 16384 /* headers are read through this; small blocks share a read */

/* The end of what checks: not an error, the way every loop here ends. */
#define INDEX_END 1

_Static_assert(WINDOW_BYTES >=
		       sizeof(struct format_block) + FORMAT_BUFFERS_MAX * sizeof(struct format_buffer),
	       "a header and its descriptors fit");

struct scan {
	int fd;
	uint64_t file_bytes;
	uint64_t at; /* of the next block */
	uint32_t sequence;
	uint32_t chain;
	uint64_t window_at;
	size_t window_bytes;
	struct index *index;
	char window[WINDOW_BYTES];
};

/* Returns 0, INDEX_END when the file ends before, PFC_EIO. */
static int read_at(int fd, void *to, size_t bytes, uint64_t offset)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t got = pread(fd, (char *)to + done, bytes - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			return got < 0 ? PFC_EIO : INDEX_END;
		}
		done += (size_t)got;
	}
	return 0;
}

/* Copy bytes (at most WINDOW_BYTES) of the file. Returns as read_at. */
static int scan_read(struct scan *scan, void *to, size_t bytes, uint64_t offset)
{
	if (offset > scan->file_bytes || bytes > scan->file_bytes - offset) {
		return INDEX_END;
	}
	if (offset < scan->window_at || offset + bytes > scan->window_at + scan->window_bytes) {
		uint64_t rest = scan->file_bytes - offset;
		int rc;

		scan->window_bytes = rest < WINDOW_BYTES ? (size_t)rest : WINDOW_BYTES;
		scan->window_at = offset;
		rc = read_at(scan->fd, scan->window, scan->window_bytes, offset);
		if (rc != 0) {
			scan->window_bytes = 0;
			return rc;
		}
	}
	memcpy(to, scan->window + (offset - scan->window_at), bytes);
	return 0;
}

/* Read and check the next block's header and descriptors. */
static int read_block(struct scan *scan, struct format_block *block, struct format_buffer *descriptors)
{
	int rc = scan_read(scan, block, sizeof(*block), scan->at);

	if (rc != 0) {
		return rc;
	}
	if (memcmp(block->magic, FORMAT_BLOCK_MAGIC, sizeof(block->magic)) != 0 ||
	    block->crc != format_crc(block, offsetof(struct format_block, crc)) ||
	    block->sequence != scan->sequence || block->buffer_count == 0 ||
	    block->buffer_count > FORMAT_BUFFERS_MAX || block->body_bytes % FORMAT_ALIGN != 0 ||
	    block->body_bytes > scan->file_bytes - scan->at - sizeof(*block) ||
	    block->body_bytes < block->buffer_count * sizeof(*descriptors)) {
		return INDEX_END;
	}
	rc = scan_read(scan, descriptors, block->buffer_count * sizeof(*descriptors),
		       scan->at + sizeof(*block));
	if (rc != 0) {
		return rc;
	}
	return format_crc(descriptors, block->buffer_count * sizeof(*descriptors)) == block->descriptor_crc
		       ? 0
		       : INDEX_END;
}

static bool buffer_inside(const struct format_buffer *descriptor, uint64_t body_bytes)
{
	return descriptor->offset % FORMAT_ALIGN == 0 && descriptor->offset <= body_bytes &&
	       descriptor->bytes <= body_bytes - descriptor->offset;
}

bool index_buffer_ok(const struct index_table *table, uint64_t row_count, uint64_t body_bytes,
		     uint32_t buffer, const struct format_buffer *descriptor)
{
	uint32_t column = 0;
	uint32_t type;

	while (column + 1 < table->table.def.column_count && table->buffer_of[column + 1] <= buffer) {
		column++;
	}
	type = table->table.columns[column].type;
	if (!buffer_inside(descriptor, body_bytes)) {
		return false;
	}
	if (type == PFC_UTF8) {
		return buffer == table->buffer_of[column] ? descriptor->bytes == 4 * (row_count + 1)
							  : descriptor->bytes <= INT32_MAX;
	}
	return descriptor->bytes == row_count * format_type_bytes(type);
}

/* The text of a JSON block, checked; the caller frees it. Returns 0, INDEX_END, PFC_EIO, PFC_ENOMEM. */
static int read_json(struct scan *scan, const struct format_block *block,
		     const struct format_buffer *descriptor, char **ret)
{
	char *text;
	int rc;

	if (block->buffer_count != 1 || !buffer_inside(descriptor, block->body_bytes) ||
	    descriptor->bytes > FORMAT_JSON_MAX) {
		return INDEX_END;
	}
	text = malloc((size_t)descriptor->bytes + 1);
	if (text == NULL) {
		return PFC_ENOMEM;
	}
	rc = read_at(scan->fd, text, (size_t)descriptor->bytes,
		     scan->at + sizeof(*block) + descriptor->offset);
	if (rc == 0 && format_crc(text, descriptor->bytes) != descriptor->crc) {
		rc = INDEX_END;
	}
	if (rc != 0) {
		free(text);
		return rc;
	}
	*ret = text;
	return 0;
}

static int add_table(struct index *index, struct table *table)
{
	struct index_table *added = calloc(1, sizeof(*added));
	uint8_t buffer = 0;

	if (added == NULL) {
		return PFC_ENOMEM;
	}
	for (uint32_t i = 0; i < table->def.column_count; i++) {
		added->buffer_of[i] = buffer;
		buffer = (uint8_t)(buffer + (table->columns[i].type == PFC_UTF8 ? 2 : 1));
	}
	added->table = *table;
	added->first_ns = UINT64_MAX;
	index->tables[index->table_count++] = added;
	return 0;
}

static int take_schema(struct index *index, uint32_t number, const char *text, size_t bytes)
{
	struct table table;
	int rc;

	if (number != index->table_count || number >= FORMAT_TABLES_MAX) {
		return INDEX_END;
	}
	rc = table_parse(text, bytes, &table);
	if (rc != 0) {
		return rc == PFC_ECORRUPT ? INDEX_END : rc;
	}
	for (uint32_t i = 0; i < index->table_count && rc == 0; i++) {
		rc = strcmp(index->tables[i]->table.def.name, table.def.name) == 0 ? INDEX_END : 0;
	}
	if (rc == 0) {
		rc = add_table(index, &table);
	}
	if (rc != 0) {
		table_finish(&table);
	}
	return rc;
}

static int take_meta(struct index *index, const char *text, size_t bytes)
{
	json_t *meta = NULL;
	int rc = json_text_parse(text, bytes, &meta);

	if (rc != 0) {
		return rc == PFC_ECORRUPT ? INDEX_END : rc;
	}
	if (!json_is_object(meta)) {
		json_decref(meta);
		return INDEX_END;
	}
	json_decref(index->meta);
	index->meta = meta;
	return 0;
}

/* A seal holds when it names the checksum of all blocks before it, and their rows. */
static int take_seal(struct scan *scan, const char *text, size_t bytes)
{
	json_t *root = NULL;
	int rc = json_text_parse(text, bytes, &root);
	json_t *rows = json_object_get(root, "rows");
	const char *checksum = json_string_value(json_object_get(root, "checksum"));
	char expected[32];
	bool holds;

	if (rc != 0) {
		return rc == PFC_ECORRUPT ? INDEX_END : rc;
	}
	snprintf(expected, sizeof(expected), "crc32:%08x", scan->chain);
	holds = checksum != NULL && strcmp(checksum, expected) == 0 &&
		json_object_size(rows) == scan->index->table_count;
	for (uint32_t i = 0; i < scan->index->table_count && holds; i++) {
		const struct index_table *table = scan->index->tables[i];
		json_t *count = json_object_get(rows, table->table.def.name);

		holds = json_is_integer(count) && json_integer_value(count) == (json_int_t)table->row_count;
	}
	json_decref(root);
	scan->index->sealed = holds;
	return INDEX_END;
}

static int take_json(struct scan *scan, const struct format_block *block,
		     const struct format_buffer *descriptor)
{
	size_t bytes = (size_t)descriptor->bytes;
	char *text = NULL;
	int rc = read_json(scan, block, descriptor, &text);

	if (rc != 0) {
		return rc;
	}
	if (block->kind == FORMAT_SCHEMA) {
		rc = take_schema(scan->index, block->table, text, bytes);
	} else if (block->kind == FORMAT_META) {
		rc = take_meta(scan->index, text, bytes);
	} else {
		rc = take_seal(scan, text, bytes);
	}
	free(text);
	return rc;
}

static int add_chunk(struct index_table *table, const struct format_block *block, uint64_t body)
{
	if (table->chunk_count == table->chunk_room) {
		uint32_t room = table->chunk_room > 0 ? 2 * table->chunk_room : 8;
		struct index_chunk *chunks = realloc(table->chunks, room * sizeof(*chunks));

		if (chunks == NULL) {
			return PFC_ENOMEM;
		}
		table->chunks = chunks;
		table->chunk_room = room;
	}
	memset(&table->chunks[table->chunk_count], 0, sizeof(*table->chunks));
	table->chunks[table->chunk_count].body = body;
	table->chunks[table->chunk_count].body_bytes = block->body_bytes;
	table->chunks[table->chunk_count].first_row = table->row_count;
	table->chunks[table->chunk_count].row_count = (uint32_t)block->row_count;
	table->chunk_count++;
	table->row_count += block->row_count;
	if (table->table.def.time_column >= 0) {
		table->first_ns = block->first_ns < table->first_ns ? block->first_ns : table->first_ns;
		table->last_ns = block->last_ns > table->last_ns ? block->last_ns : table->last_ns;
	}
	return 0;
}

static int take_chunk(struct scan *scan, const struct format_block *block,
		      const struct format_buffer *descriptors)
{
	struct index_table *table;

	if (block->table >= scan->index->table_count || block->row_count == 0 ||
	    block->row_count > FORMAT_CHUNK_ROWS_MAX) {
		return INDEX_END;
	}
	table = scan->index->tables[block->table];
	if (block->buffer_count != table_buffers(&table->table)) {
		return INDEX_END;
	}
	for (uint32_t i = 0; i < block->buffer_count; i++) {
		if (!index_buffer_ok(table, block->row_count, block->body_bytes, i, &descriptors[i])) {
			return INDEX_END;
		}
	}
	return add_chunk(table, block, scan->at + sizeof(*block));
}

static int take_block(struct scan *scan)
{
	struct format_buffer descriptors[FORMAT_BUFFERS_MAX];
	struct format_block block;
	int rc = read_block(scan, &block, descriptors);

	if (rc != 0) {
		return rc;
	}
	switch (block.kind) {
	case FORMAT_CHUNK:
		rc = take_chunk(scan, &block, descriptors);
		break;
	case FORMAT_SCHEMA:
	case FORMAT_META:
	case FORMAT_SEAL:
		rc = take_json(scan, &block, descriptors);
		break;
	default:
		rc = INDEX_END;
	}
	if (rc == 0 || scan->index->sealed) {
		scan->at += sizeof(block) + block.body_bytes;
		scan->sequence++;
		scan->chain = format_crc_add(scan->chain, &block.crc, sizeof(block.crc));
	}
	return rc;
}

static int read_file_header(struct scan *scan)
{
	struct format_file header;
	int rc = scan_read(scan, &header, sizeof(header), 0);

	if (rc != 0) {
		return rc;
	}
	if (memcmp(header.magic, FORMAT_MAGIC, sizeof(header.magic)) != 0 ||
	    header.crc != format_crc(&header, offsetof(struct format_file, crc)) ||
	    memchr(header.type, '\0', sizeof(header.type)) == NULL) {
		return INDEX_END;
	}
	memcpy(scan->index->type, header.type, sizeof(header.type));
	scan->at = sizeof(header);
	scan->chain = format_crc(&header.crc, sizeof(header.crc));
	return 0;
}

int index_read(int fd, uint64_t file_bytes, struct index *ret, struct pfc_error *err)
{
	struct scan *scan = calloc(1, sizeof(*scan));
	int rc;

	if (scan == NULL) {
		return error_nomem(err);
	}
	memset(ret, 0, sizeof(*ret));
	scan->fd = fd;
	scan->file_bytes = file_bytes;
	scan->index = ret;
	rc = read_file_header(scan);
	if (rc == INDEX_END) {
		rc = error_set(err, PFC_ECORRUPT, "its first 64 bytes are not those of an artifact of tables",
			       "read an artifact");
		goto out;
	}
	while (rc == 0 && scan->sequence < FORMAT_BLOCKS_MAX + 2) {
		rc = take_block(scan);
	}
	ret->bytes = scan->at;
	if (rc < 0) {
		rc = rc == PFC_ENOMEM ? error_nomem(err)
				      : error_set(err, rc, "the disk failed to read it", "read an artifact");
		index_finish(ret);
		goto out;
	}
	rc = 0;
out:
	free(scan);
	return rc;
}

void index_finish(struct index *index)
{
	for (uint32_t i = 0; i < index->table_count; i++) {
		table_finish(&index->tables[i]->table);
		free(index->tables[i]->chunks);
		free(index->tables[i]);
	}
	json_decref(index->meta);
	memset(index, 0, sizeof(*index));
}
