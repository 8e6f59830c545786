/* SPDX-License-Identifier: MIT */
#include "stacks/perf_map.h"
#include "stacks/addresses.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <profcore/status.h>

#define MAP_BYTES_MAX (1ULL << 30)
#define CHUNK_BYTES   (1U << 20)
#define LINE_BYTES    4096U    /* what is longer is read to here and no further */
#define CHECK_EVERY   1000000U /* steps between looks at the clock: a line may cover all addresses */

/** Where the name of an address stands in the list; bytes 0: none found. */
struct place {
	uint64_t at;
	uint32_t bytes;
};

struct reading {
	const struct perf_map_request *request;
	struct place *places;
	uint64_t steps;
	bool is_late;
};

static bool is_late(uint64_t deadline_ns)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec > deadline_ns;
}

/* A hex number, with or without 0x, and the blank behind it. False: it is none. */
static bool take_hex(const char **at, const char *end, uint64_t *ret)
{
	const char *text = *at;
	uint64_t value = 0;
	int digits = 0;

	if (end - text > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		text += 2;
	}
	for (; text < end && isxdigit((unsigned char)*text); text++, digits++) {
		unsigned char digit = (unsigned char)*text;

		value = value << 4 | (isdigit(digit) ? digit - '0' : (digit | 0x20) - 'a' + 10);
	}
	if (digits == 0 || digits > 16 || text == end || *text != ' ') {
		return false;
	}
	*at = text + 1;
	*ret = value;
	return true;
}

/* line: in memory; line_at: its place in the list. */
static void take_line(struct reading *reading, const char *line, const char *end, uint64_t line_at)
{
	const struct perf_map_request *request = reading->request;
	const char *at = line;
	uint64_t start, bytes;

	if (!take_hex(&at, end, &start) || !take_hex(&at, end, &bytes) || at == end ||
	    start + bytes < start) {
		return;
	}
	for (uint32_t i = addresses_first(request->addresses, request->count, start);
	     i < request->count && request->addresses[i] < start + bytes; i++) {
		reading->places[i].at = line_at + (uint64_t)(at - line);
		reading->places[i].bytes = (uint32_t)(end - at);
		reading->steps++;
	}
	if (++reading->steps > CHECK_EVERY) {
		reading->steps = 0;
		reading->is_late = is_late(request->deadline_ns);
	}
}

/* Whole lines of a chunk; what is begun stays for the next one. Returns the bytes used. */
static size_t take_lines(struct reading *reading, const char *chunk, size_t bytes, uint64_t chunk_at,
			 bool is_last)
{
	size_t at = 0;

	while (at < bytes && !reading->is_late) {
		size_t left = bytes - at;
		const char *end = memchr(chunk + at, '\n', left);

		if (end == NULL && !is_last && left < LINE_BYTES) {
			break;
		}
		end = end != NULL ? end : chunk + bytes;
		/* A line without end is taken in pieces, as lines of their own: wrong names for a list that is wrong itself. */
		take_line(reading, chunk + at, end, chunk_at + at);
		at = (size_t)(end - chunk) + (end < chunk + bytes ? 1 : 0);
	}
	return at;
}

static int read_lines(struct reading *reading, char *chunk)
{
	uint64_t chunk_at = 0;
	size_t kept = 0;

	for (;;) {
		ssize_t got = pread(reading->request->fd, chunk + kept, CHUNK_BYTES - kept,
				    (off_t)(chunk_at + kept));
		size_t bytes = kept + (got > 0 ? (size_t)got : 0);
		size_t used = take_lines(reading, chunk, bytes, chunk_at, got <= 0);

		if (got <= 0) {
			return 0;
		}
		if (chunk_at > MAP_BYTES_MAX) {
			return PFC_ENOSPC;
		}
		if (reading->is_late) {
			return PFC_ETIMEDOUT;
		}
		kept = bytes - used;
		memmove(chunk, chunk + used, kept);
		chunk_at += used;
	}
}

static int tell_names(const struct reading *reading)
{
	char name[PERF_MAP_NAME_BYTES];
	int status = 0;

	for (uint32_t i = 0; i < reading->request->count && status == 0; i++) {
		const struct place *place = &reading->places[i];
		size_t bytes = place->bytes < sizeof(name) ? place->bytes : sizeof(name) - 1;
		ssize_t got = bytes > 0 ? pread(reading->request->fd, name, bytes, (off_t)place->at) : 0;

		while (got > 0 && (name[got - 1] == '\r' || name[got - 1] == ' ')) {
			got--;
		}
		if (got > 0) {
			name[got] = '\0';
			status = reading->request->on_name(reading->request->ctx, i, name);
		}
	}
	return status;
}

int perf_map_resolve(const struct perf_map_request *request)
{
	struct reading reading = { .request = request };
	char *chunk = malloc(CHUNK_BYTES);
	int status = PFC_ENOMEM;
	int told;

	reading.places = calloc(request->count > 0 ? request->count : 1, sizeof(*reading.places));
	if (chunk != NULL && reading.places != NULL) {
		status = read_lines(&reading, chunk);
		told = tell_names(&reading);
		status = told != 0 ? told : status;
	}
	free(chunk);
	free(reading.places);
	return status;
}
