/* SPDX-License-Identifier: MIT */
#include "stacks/intern.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

/* Bounds against a target that makes names or stacks without end; what passes them is counted as lost by the session. */
#define STRING_BYTES_MAX  8192
#define STRINGS_BYTES_MAX (1ULL << 30)
#define LOCATIONS_MAX     (1U << 24)
#define STACKS_MAX        (1U << 25)
#define WRITE_BATCH       256

/* Length of the UTF-8 sequence at `at`, 0 when it is none. Overlong forms and surrogates are none. */
static size_t utf8_length(const unsigned char *at, size_t left)
{
	size_t bytes = at[0] < 0x80   ? 1
		       : at[0] < 0xc2 ? 0
		       : at[0] < 0xe0 ? 2
		       : at[0] < 0xf0 ? 3
		       : at[0] < 0xf5 ? 4
				      : 0;

	if (bytes == 0 || bytes > left) {
		return 0;
	}
	for (size_t i = 1; i < bytes; i++) {
		if ((at[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f)) {
		return 0;
	}
	return bytes;
}

/* Copies with '?' for what is not UTF-8, whole characters up to to_bytes; returns the bytes copied. */
static size_t utf8_clean(char *to, size_t to_bytes, const char *from, size_t from_bytes)
{
	size_t at = 0;
	size_t out = 0;

	while (at < from_bytes) {
		size_t bytes = utf8_length((const unsigned char *)from + at, from_bytes - at);

		if (out + (bytes > 0 ? bytes : 1) > to_bytes) {
			break;
		}
		if (bytes == 0 || from[at] == '\0') {
			to[out++] = '?';
			at++;
			continue;
		}
		memcpy(to + out, from + at, bytes);
		out += bytes;
		at += bytes;
	}
	return out;
}

static uint64_t string_bytes(const struct intern *intern, uint32_t string)
{
	uint64_t end = string + 1 < intern->string_count ? intern->string_at[string + 1] : intern->byte_count;

	return end - intern->string_at[string] - 1;
}

static int bytes_reserve(struct intern *intern, uint64_t more)
{
	uint64_t room = intern->byte_room > 0 ? intern->byte_room : 4096;
	char *bytes;

	while (room < intern->byte_count + more) {
		room *= 2;
	}
	if (room == intern->byte_room) {
		return 0;
	}
	if (room > STRINGS_BYTES_MAX) {
		return PFC_ENOMEM;
	}
	bytes = realloc(intern->bytes, room);
	if (bytes == NULL) {
		return PFC_ENOMEM;
	}
	intern->bytes = bytes;
	intern->byte_room = room;
	return 0;
}

static int string_add(struct intern *intern, const char *text, size_t bytes)
{
	int status = array_reserve(&intern->string_at, &intern->string_room,
				   (uint64_t)intern->string_count + 1, sizeof(*intern->string_at));

	if (status == 0) {
		status = bytes_reserve(intern, bytes + 1);
	}
	if (status != 0) {
		return status;
	}
	intern->string_at[intern->string_count++] = intern->byte_count;
	memcpy(intern->bytes + intern->byte_count, text, bytes);
	intern->bytes[intern->byte_count + bytes] = '\0';
	intern->byte_count += bytes + 1;
	return 0;
}

int intern_string(struct intern *intern, const char *text, size_t bytes, uint32_t *ret)
{
	char clean[STRING_BYTES_MAX];
	int status = hash_reserve(&intern->string_index);
	uint32_t value, at, row;

	if (status != 0) {
		return status;
	}
	bytes = utf8_clean(clean, sizeof(clean), text, bytes);
	value = hash_bytes(clean, bytes);
	for (at = hash_first(&intern->string_index, value);; at = hash_next(&intern->string_index, at)) {
		row = hash_row(&intern->string_index, at);
		if (row == HASH_NONE) {
			break;
		}
		if (hash_is(&intern->string_index, at, value) && string_bytes(intern, row) == bytes &&
		    memcmp(intern->bytes + intern->string_at[row], clean, bytes) == 0) {
			*ret = row;
			return 0;
		}
	}
	row = intern->string_count;
	status = string_add(intern, clean, bytes);
	if (status == 0) {
		hash_take(&intern->string_index, at, value, row);
		*ret = row;
	}
	return status;
}

const char *intern_text(const struct intern *intern, uint32_t string)
{
	return intern->bytes + intern->string_at[string];
}

int intern_module(struct intern *intern, enum module_kind kind, const char *path, const char *build_id,
		  const char *container_path, uint32_t *ret)
{
	uint64_t need = (uint64_t)intern->module_count + 1;
	uint32_t row = intern->module_count;
	uint32_t ids[3];

	if (intern_string(intern, path, strlen(path), &ids[0]) != 0 ||
	    intern_string(intern, build_id, strlen(build_id), &ids[1]) != 0 ||
	    intern_string(intern, container_path, strlen(container_path), &ids[2]) != 0 ||
	    array_reserve(&intern->module_path, &intern->module_rooms[0], need, sizeof(uint32_t)) != 0 ||
	    array_reserve(&intern->module_build_id, &intern->module_rooms[1], need, sizeof(uint32_t)) != 0 ||
	    array_reserve(&intern->module_container_path, &intern->module_rooms[2], need, sizeof(uint32_t)) !=
		    0 ||
	    array_reserve(&intern->module_kind, &intern->module_rooms[3], need, sizeof(uint8_t)) != 0) {
		return PFC_ENOMEM;
	}
	intern->module_path[row] = ids[0];
	intern->module_build_id[row] = ids[1];
	intern->module_container_path[row] = ids[2];
	intern->module_kind[row] = (uint8_t)kind;
	intern->module_count++;
	*ret = row;
	return 0;
}

static int location_reserve(struct intern *intern)
{
	uint64_t need = (uint64_t)intern->location_count + 1;

	if (need > LOCATIONS_MAX || hash_reserve(&intern->location_index) != 0 ||
	    array_reserve(&intern->location_module, &intern->location_rooms[0], need, sizeof(uint32_t)) !=
		    0 ||
	    array_reserve(&intern->location_address, &intern->location_rooms[1], need, sizeof(uint64_t)) !=
		    0 ||
	    array_reserve(&intern->location_is_root, &intern->location_rooms[2], need, sizeof(uint8_t)) !=
		    0) {
		return PFC_ENOMEM;
	}
	return 0;
}

int intern_location(struct intern *intern, uint32_t module, uint64_t address, uint32_t *ret)
{
	uint32_t value = hash_mix(address + ((uint64_t)module << 48) + module);
	uint32_t at, row;
	int status = location_reserve(intern);

	if (status != 0) {
		return status;
	}
	for (at = hash_first(&intern->location_index, value);; at = hash_next(&intern->location_index, at)) {
		row = hash_row(&intern->location_index, at);
		if (row == HASH_NONE) {
			break;
		}
		if (intern->location_address[row] == address && intern->location_module[row] == module) {
			*ret = row;
			return 0;
		}
	}
	row = intern->location_count++;
	intern->location_module[row] = module;
	intern->location_address[row] = address;
	intern->location_is_root[row] = 0;
	hash_take(&intern->location_index, at, value, row);
	*ret = row;
	return 0;
}

static int stack_reserve(struct intern *intern)
{
	uint64_t need = (uint64_t)intern->stack_count + 1;

	if (need > STACKS_MAX || hash_reserve(&intern->stack_index) != 0 ||
	    array_reserve(&intern->stack_parent, &intern->stack_rooms[0], need, sizeof(uint32_t)) != 0 ||
	    array_reserve(&intern->stack_location, &intern->stack_rooms[1], need, sizeof(uint32_t)) != 0 ||
	    array_reserve(&intern->stack_samples, &intern->stack_rooms[2], need, sizeof(uint32_t)) != 0 ||
	    array_reserve(&intern->stack_root, &intern->stack_rooms[3], need, sizeof(uint32_t)) != 0 ||
	    array_reserve(&intern->stack_end, &intern->stack_rooms[4], need, 1) != 0) {
		return PFC_ENOMEM;
	}
	return 0;
}

static void stack_add(struct intern *intern, uint32_t parent, uint32_t location)
{
	uint32_t row = intern->stack_count++;

	intern->stack_parent[row] = parent;
	intern->stack_location[row] = location;
	intern->stack_samples[row] = 0;
	intern->stack_end[row] = 0;
	intern->stack_root[row] = parent == 0 ? location : intern->stack_root[parent];
}

int intern_stack(struct intern *intern, uint32_t parent, uint32_t location, uint32_t *ret)
{
	uint32_t value = hash_mix((uint64_t)parent << 32 | location);
	uint32_t at, row;
	int status = stack_reserve(intern);

	if (status != 0) {
		return status;
	}
	for (at = hash_first(&intern->stack_index, value);; at = hash_next(&intern->stack_index, at)) {
		row = hash_row(&intern->stack_index, at);
		if (row == HASH_NONE) {
			break;
		}
		if (intern->stack_parent[row] == parent && intern->stack_location[row] == location) {
			*ret = row;
			return 0;
		}
	}
	row = intern->stack_count;
	stack_add(intern, parent, location);
	hash_take(&intern->stack_index, at, value, row);
	*ret = row;
	return 0;
}

int intern_init(struct intern *intern)
{
	uint32_t row;

	memset(intern, 0, sizeof(*intern));
	if (intern_module(intern, MODULE_UNKNOWN, "", "", "", &row) != 0 || location_reserve(intern) != 0 ||
	    stack_reserve(intern) != 0) {
		intern_finish(intern);
		return PFC_ENOMEM;
	}
	intern->location_module[0] = 0;
	intern->location_address[0] = 0;
	intern->location_is_root[0] = 0;
	intern->location_count = 1;
	/* Not indexed: the empty stack is nobody's child, and nothing looks for the unknown location. */
	stack_add(intern, 0, 0);
	return 0;
}

void intern_finish(struct intern *intern)
{
	hash_finish(&intern->string_index);
	hash_finish(&intern->location_index);
	hash_finish(&intern->stack_index);
	free(intern->bytes);
	free(intern->string_at);
	free(intern->module_path);
	free(intern->module_build_id);
	free(intern->module_container_path);
	free(intern->module_kind);
	free(intern->location_module);
	free(intern->location_address);
	free(intern->location_is_root);
	free(intern->stack_parent);
	free(intern->stack_location);
	free(intern->stack_samples);
	free(intern->stack_root);
	free(intern->stack_end);
	memset(intern, 0, sizeof(*intern));
}

static int write_strings(struct intern *intern, const struct pfc_writer *writer, uint32_t table)
{
	struct pfc_string texts[WRITE_BATCH];
	const void *columns[] = { texts };

	while (intern->strings_written < intern->string_count) {
		uint32_t first = intern->strings_written;
		uint32_t count = intern->string_count - first;
		int status;

		count = count < WRITE_BATCH ? count : WRITE_BATCH;
		for (uint32_t i = 0; i < count; i++) {
			texts[i].data = intern_text(intern, first + i);
			texts[i].bytes = string_bytes(intern, first + i);
		}
		status = writer->append(writer->ctx, table, count, columns);
		if (status != 0) {
			return status;
		}
		intern->strings_written += count;
	}
	return 0;
}

static int write_rows(const struct pfc_writer *writer, uint32_t table, uint32_t *written, uint32_t count,
		      const void *const *columns)
{
	int status = 0;

	if (*written < count) {
		status = writer->append(writer->ctx, table, count - *written, columns);
		*written = status == 0 ? count : *written;
	}
	return status;
}

int intern_write(struct intern *intern, const struct pfc_writer *writer, const struct intern_tables *tables)
{
	const void *modules[] = { intern->module_path + intern->modules_written,
				  intern->module_build_id + intern->modules_written,
				  intern->module_container_path + intern->modules_written,
				  intern->module_kind + intern->modules_written };
	const void *locations[] = { intern->location_module + intern->locations_written,
				    intern->location_address + intern->locations_written };
	const void *stacks[] = { intern->stack_parent + intern->stacks_written,
				 intern->stack_location + intern->stacks_written };
	int status = write_strings(intern, writer, tables->strings);

	if (status == 0) {
		status = write_rows(writer, tables->modules, &intern->modules_written, intern->module_count,
				    modules);
	}
	if (status == 0) {
		status = write_rows(writer, tables->locations, &intern->locations_written,
				    intern->location_count, locations);
	}
	if (status == 0) {
		status = write_rows(writer, tables->stacks, &intern->stacks_written, intern->stack_count,
				    stacks);
	}
	return status;
}
