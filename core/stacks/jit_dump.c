/* SPDX-License-Identifier: MIT */
#include "stacks/jit_dump.h"
#include "stacks/addresses.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <profcore/status.h>

#include "base/clock.h"
#include "base/str.h"

#define DUMP_BYTES_MAX   (8ULL << 30)
#define MAGIC            0x4a695444U /* "JiTD", in the writer's byte order */
#define HEADER_BYTES     40
#define RECORD_BYTES     16
#define LOAD_BYTES       40 /* of a load's fields, before its name */
#define LINES_BYTES      16 /* of the fields before the lines */
#define LINE_BYTES       16 /* of one line's fields, before its file's name */
#define ELF_HEADER_BYTES 64
#define LINES_MAX        (16U << 20) /* bytes of the lines of one function */
#define CHECK_EVERY      4096

enum { RECORD_LOAD = 0, RECORD_LINES = 2 };

/** Where the answers for an address stand in the file; bytes 0: none. */
struct place {
	uint64_t name_at, lines_at;
	uint64_t code, line_count;
	uint32_t name_bytes, lines_bytes;
};

struct reading {
	const struct jit_dump_request *request;
	struct place *places;
	uint64_t lines_at, lines_code,
		line_count; /* of the last record of lines: it is told before its code */
	uint32_t lines_bytes;
	uint64_t records;
};

bool jit_dump_is(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	size_t digits;

	if (!str_starts(name, "jit-")) {
		return false;
	}
	digits = strspn(name + 4, "0123456789");
	return digits > 0 && str_equal(name + 4 + digits, ".dump");
}

static bool read_at(const struct reading *reading, uint64_t at, void *to, size_t bytes)
{
	return pread(reading->request->fd, to, bytes, (off_t)at) == (ssize_t)bytes;
}

/* at: behind the record's own header; bytes: of the rest. Fields: pid, tid, vma, code address, code bytes, index; name; code. */
static void take_load(struct reading *reading, uint64_t at, uint32_t bytes)
{
	const struct jit_dump_request *request = reading->request;
	uint64_t fields[LOAD_BYTES / 8];
	uint64_t code_bytes;
	struct place place = { .name_at = at + LOAD_BYTES };

	if (bytes <= LOAD_BYTES || !read_at(reading, at, fields, sizeof(fields))) {
		return;
	}
	place.code = fields[2];
	code_bytes = fields[3];
	if (code_bytes > UINT64_MAX - fields[2]) {
		return;
	}
	place.name_bytes = bytes - LOAD_BYTES; /* the name ends with its NUL, the code follows */
	if (reading->lines_code == fields[2]) {
		place.lines_at = reading->lines_at;
		place.lines_bytes = reading->lines_bytes;
		place.line_count = reading->line_count;
	}
	for (uint32_t i = addresses_first(request->addresses, request->count, fields[2]);
	     i < request->count && request->addresses[i] < fields[2] + code_bytes; i++) {
		reading->places[i] = place;
	}
	reading->lines_bytes = 0;
}

/* Fields: code address, how many lines. */
static void take_lines(struct reading *reading, uint64_t at, uint32_t bytes)
{
	uint64_t fields[LINES_BYTES / 8];

	if (bytes > LINES_BYTES && read_at(reading, at, fields, sizeof(fields))) {
		reading->lines_code = fields[0];
		reading->line_count = fields[1];
		reading->lines_at = at + LINES_BYTES;
		reading->lines_bytes = bytes - LINES_BYTES;
	}
}

static int read_records(struct reading *reading)
{
	uint32_t header[HEADER_BYTES / 4];
	uint64_t at;

	if (!read_at(reading, 0, header, sizeof(header)) || header[0] != MAGIC || header[2] < HEADER_BYTES) {
		return PFC_ECORRUPT;
	}
	for (at = header[2]; at < DUMP_BYTES_MAX; reading->records++) {
		uint32_t record[RECORD_BYTES / 4]; /* kind, bytes with this header, time */

		if (!read_at(reading, at, record, sizeof(record)) || record[1] < RECORD_BYTES) {
			return 0;
		}
		if (record[0] == RECORD_LOAD) {
			take_load(reading, at + RECORD_BYTES, record[1] - RECORD_BYTES);
		} else if (record[0] == RECORD_LINES) {
			take_lines(reading, at + RECORD_BYTES, record[1] - RECORD_BYTES);
		}
		if (reading->records % CHECK_EVERY == 0 && clock_now() > reading->request->deadline_ns) {
			return PFC_ETIMEDOUT;
		}
		at += record[1];
	}
	return PFC_ENOSPC;
}

/** Lines of a function, as the record has them. */
struct lines {
	const char *data;
	uint32_t bytes, at;
	uint64_t address; /* of the line that was taken last */
	uint32_t line;
	const char *file;
};

/* Address, line, discriminator, name of the file with its NUL, which is "\377" where it is the one before. */
static bool next_line(struct lines *lines)
{
	const char *text = lines->data + lines->at + LINE_BYTES;
	const char *end;

	if (lines->bytes - lines->at <= LINE_BYTES) {
		return false;
	}
	end = memchr(text, '\0', lines->bytes - lines->at - LINE_BYTES);
	if (end == NULL) {
		return false;
	}
	memcpy(&lines->address, lines->data + lines->at, sizeof(lines->address));
	memcpy(&lines->line, lines->data + lines->at + 8, sizeof(lines->line));
	if (!str_equal(text, "\377")) {
		lines->file = text;
	}
	lines->at = (uint32_t)(end + 1 - lines->data);
	return true;
}

/* Names of files are text. V8 up to 11 at least writes whatever lies in its memory there: then none of it counts. */
static bool is_text(const char *name)
{
	for (; *name != '\0'; name++) {
		if ((unsigned char)*name < ' ' || *name == 0x7f) {
			return false;
		}
	}
	return true;
}

/* Whether all of a record makes sense. *ret_first: the lowest address. */
static bool is_sound(struct lines lines, uint64_t count, uint64_t *ret_first)
{
	*ret_first = UINT64_MAX;
	while (count > 0 && next_line(&lines)) {
		if (lines.file == NULL || !is_text(lines.file)) {
			return false;
		}
		*ret_first = lines.address < *ret_first ? lines.address : *ret_first;
		count--;
	}
	return count == 0 && lines.bytes - lines.at < 8;
}

/* The line of an address: the last one that begins at or before it. V8 counts the header of an imagined ELF file in. */
static uint32_t find_line(const struct reading *reading, const struct place *place, uint64_t address,
			  char *file)
{
	char *data =
		place->lines_bytes > 0 && place->lines_bytes <= LINES_MAX ? malloc(place->lines_bytes) : NULL;
	struct lines lines = { .data = data, .bytes = place->lines_bytes };
	uint64_t first, found_at = 0;
	uint32_t found = 0;

	file[0] = '\0';
	if (data != NULL && read_at(reading, place->lines_at, data, place->lines_bytes) &&
	    is_sound(lines, place->line_count, &first)) {
		address += first >= place->code + ELF_HEADER_BYTES ? ELF_HEADER_BYTES : 0;
		while (lines.at < lines.bytes && next_line(&lines)) {
			if (lines.address <= address && lines.address >= found_at) {
				found_at = lines.address;
				found = lines.line;
				file[0] = '\0';
				strncat(file, lines.file, JIT_DUMP_NAME_BYTES - 1);
			}
		}
	}
	free(data);
	return found;
}

static int tell(const struct reading *reading, uint32_t index)
{
	const struct place *place = &reading->places[index];
	char name[JIT_DUMP_NAME_BYTES], file[JIT_DUMP_NAME_BYTES];
	size_t bytes = place->name_bytes < sizeof(name) ? place->name_bytes : sizeof(name) - 1;
	ssize_t got = bytes > 0 ? pread(reading->request->fd, name, bytes, (off_t)place->name_at) : 0;
	uint32_t line;

	if (got <= 0) {
		return 0;
	}
	name[got < (ssize_t)sizeof(name) ? got : got - 1] = '\0';
	if (name[0] == '\0') {
		return 0;
	}
	line = find_line(reading, place, reading->request->addresses[index], file);
	return reading->request->on_code(reading->request->ctx, index, name, file, line);
}

int jit_dump_resolve(const struct jit_dump_request *request)
{
	struct reading reading = { .request = request };
	int told = 0;
	int status;

	reading.places = calloc(request->count > 0 ? request->count : 1, sizeof(*reading.places));
	if (reading.places == NULL) {
		return PFC_ENOMEM;
	}
	status = read_records(&reading);
	for (uint32_t i = 0; i < request->count && told == 0; i++) {
		told = tell(&reading, i);
	}
	free(reading.places);
	return told != 0 ? told : status;
}
