/* SPDX-License-Identifier: MIT */
/*
 * Reading a profile: the functions at each location. One location has several when the compiler inlined; it has one made
 * of module and address when the frames table does not name it, or is not there because its writer was killed.
 */
#include "profile.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <profcore/status.h>

#include "cols.h"

#define MAX_INLINE 64 /* functions at one location; more are dropped, outermost kept */

/* A row of the frames table. */
struct row {
	uint32_t location;
	uint32_t depth;
	struct profile_frame frame;
};

static int by_location_innermost_first(const void *a, const void *b)
{
	const struct row *left = a, *right = b;

	if (left->location != right->location) {
		return left->location < right->location ? -1 : 1;
	}
	return left->depth > right->depth ? -1 : left->depth < right->depth;
}

static int function_of(struct profile *profile, uint32_t location, uint32_t name, bool named, uint32_t *ret)
{
	const struct profile_module *module = &profile->modules[profile->location_module[location]];
	struct profile_function function = {
		.name = name,
		.module = module->same,
		.kind = module->kind,
		.named = named,
	};

	return profile_function_add(profile, &function, ret);
}

/* "module+0xaddress", of where the function begins if that is known; function 0 when not even the module is known. */
static int unnamed_function(struct profile *profile, uint32_t location, uint64_t start, uint32_t *ret)
{
	const struct profile_module *module = &profile->modules[profile->location_module[location]];
	char text[NAMES_MAX_CHARS * 8 + 64];
	uint32_t name;
	int status;

	if (location == 0 || module->kind == PROFILE_UNKNOWN) {
		*ret = 0;
		return PFC_OK;
	}
	snprintf(text, sizeof(text), "%s+0x%" PRIx64, names_text(&profile->names, module->name),
		 start ? start : profile->location_address[location]);
	status = names_clean(&profile->names, text, &name);
	return status == PFC_OK ? function_of(profile, location, name, false, ret) : status;
}

static int read_row(struct profile *profile, const struct cols *cols, uint64_t at, struct row *to)
{
	uint32_t name;
	int status;

	to->location = profile_id(profile, cols_id(cols, 0, at), profile->location_count);
	to->depth = cols_id(cols, 1, at);
	to->frame.inlined = to->depth > 0;
	to->frame.line = cols_id(cols, 4, at);
	status = profile_string(profile, cols_id(cols, 2, at), &name);
	if (status == PFC_OK) {
		status = profile_string(profile, cols_id(cols, 3, at), &to->frame.file);
	}
	if (status != PFC_OK || to->location == 0) {
		return status;
	}
	return name ? function_of(profile, to->location, name, true, &to->frame.function)
		    : unnamed_function(profile, to->location, (uint64_t)cols_int(cols, 5, at, 0),
				       &to->frame.function);
}

static int read_rows(struct profile *profile, struct cols *cols, struct row *rows, uint32_t room,
		     uint32_t *ret_count)
{
	uint32_t count = 0;
	uint64_t at;
	int status = PFC_OK;

	while (cols_next(cols)) {
		for (at = 0; at < cols->rows && count < room; at++) {
			status = read_row(profile, cols, at, &rows[count]);
			if (status != PFC_OK) {
				return status;
			}
			count += rows[count].location != 0;
		}
	}
	profile->cut |= cols->cut;
	*ret_count = count;
	return PFC_OK;
}

/* Lay the sorted rows out by location; locations without any get one frame of their address. */
static int lay_out(struct profile *profile, const struct row *rows, uint32_t count)
{
	uint32_t location, at = 0, to = 0, taken, size;
	int status;

	for (location = 0; location < profile->location_count; location++) {
		profile->frame_first[location] = to;
		for (size = 0; at + size < count && rows[at + size].location == location; size++) {
		}
		taken = size > MAX_INLINE ? MAX_INLINE : size;
		profile->dropped_rows += size - taken;
		at += size - taken;
		for (; taken > 0; taken--) {
			profile->frames[to++] = rows[at++].frame;
		}
		if (size == 0) {
			status = unnamed_function(profile, location, 0, &profile->frames[to++].function);
			if (status != PFC_OK) {
				return status;
			}
		}
	}
	profile->frame_first[location] = to;
	return PFC_OK;
}

int profile_read_frames(struct profile *profile, const struct pfc_reader *reader)
{
	static const char *const columns[] = {
		"location", "inline_depth", "function", "file", "line", "start"
	};
	uint32_t room, count = 0;
	struct row *rows = NULL;
	struct cols cols;
	int status = PFC_ENOMEM;

	profile->has_frames =
		cols_begin(&cols, reader, "frames", columns, 6) == PFC_OK && cols.table.row_count > 0;
	room = profile_rows(profile, cols.table.row_count);
	rows = calloc(room, sizeof(*rows));
	profile->frames = calloc((size_t)room + profile->location_count, sizeof(*profile->frames));
	profile->frame_first = calloc((size_t)profile->location_count + 1, sizeof(*profile->frame_first));
	if (rows && profile->frames && profile->frame_first) {
		status = read_rows(profile, &cols, rows, room, &count);
	}
	if (status == PFC_OK) {
		qsort(rows, count, sizeof(*rows), by_location_innermost_first);
		status = lay_out(profile, rows, count);
	}
	free(rows);
	return status;
}
