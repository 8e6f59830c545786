/* SPDX-License-Identifier: MIT */
#include "files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "place.h"
#include "symbols.h"

#define CODE_BYTES 4096U
#define NEAR_BYTES 65536 /* an allocator's functions that lie within so much are one piece of code */

/* From the lowest to the highest function that is near this one: calls from there are the allocator's own. */
static void find_near(const struct allocator_file *file, const struct allocator_function *function,
		      uint32_t offset, struct probe_function *ret)
{
	uint64_t low = function->address, high = function->address + (function->size ? function->size : 1);
	uint64_t probe = function->address + offset;

	for (uint32_t i = 0; i < file->count; i++) {
		const struct allocator_function *other = &file->functions[i];
		uint64_t end = other->address + other->size;

		if (other->address + NEAR_BYTES > function->address && other->address < low) {
			low = other->address;
		}
		if (other->address < function->address + NEAR_BYTES && end > high &&
		    other->size < NEAR_BYTES) {
			high = end;
		}
	}
	ret->near_low = (int64_t)(low - probe);
	ret->near_high = (int64_t)(high - probe);
}

static void note_place(struct followed_file *file, const char *name, const struct place *place)
{
	size_t used = strlen(file->places);

	if (used < sizeof(file->places) - 60) {
		snprintf(file->places + used, sizeof(file->places) - used, "%s%s", used ? ", " : "", name);
		used = strlen(file->places);
		if (place->offset) {
			snprintf(file->places + used, sizeof(file->places) - used, "+%u", place->offset);
		}
	}
	file->stepped += !place->is_emulated;
}

/* Attached in this order: those that are called most come last, so that they wait for no others. */
static int by_frequency(const void *a, const void *b)
{
	const struct allocator_function *x = a, *y = b;
	int of_x = x->kind == PROBE_FREE ? 2 : x->kind == PROBE_MALLOC;
	int of_y = y->kind == PROBE_FREE ? 2 : y->kind == PROBE_MALLOC;

	return of_x != of_y ? of_x - of_y : strcmp(x->name, y->name);
}

static void add_points(struct follow *follow, struct followed_file *file, const struct allocator_file *read)
{
	for (uint32_t i = 0; i < read->count && file->count < PROBE_POINTS; i++) {
		const struct allocator_function *function = &read->functions[i];
		struct probe_function known = { .kind = function->kind };
		uint8_t code[CODE_BYTES];
		/* Of a thunk of a few bytes what follows is read too: its jump ends the walk. */
		size_t wanted = function->size > 16 && function->size < sizeof(code) ? function->size : 64;
		ssize_t got = pread(file->fd, code, wanted, (off_t)function->file_offset);
		struct place place;
		uint32_t number;

		if (got <= 0) {
			continue;
		}
		place = place_probe(code, (size_t)got, function->kind);
		known.is_stepped = !place.is_emulated;
		find_near(read, function, place.offset, &known);
		number = probes_function(follow->probes, &known);
		if (number == UINT32_MAX) {
			return;
		}
		file->points[file->count++] = (struct probe_point){ function->file_offset + place.offset,
								    number, function->kind != PROBE_FREE };
		file->count_frees += function->kind == PROBE_FREE;
		note_place(file, function->name, &place);
	}
}

/* The loader has a malloc for itself, which nobody else calls. */
static bool is_loader(const char *path)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	return strncmp(name, "ld-linux", 8) == 0 || strncmp(name, "ld-2.", 5) == 0;
}

static void read_file(struct follow *follow, const struct pfc_target_event *map, struct followed_file *file)
{
	const struct pfc_target_service *target = follow->target;
	struct allocator_file *read = calloc(1, sizeof(*read));
	int fd = target->open_mapped(target->ctx, map);

	if (read && fd >= 0 && symbols_read(fd, read) == 0) {
		if (!read->has_symbols && read->count == 0 && read->build_id[0] &&
		    PFC_HAS(target, open_related)) {
			int debug = target->open_related(target->ctx, map, PFC_TARGET_DEBUG_BUILD_ID,
							 read->build_id);

			if (debug >= 0) {
				symbols_read_debug(debug, fd, read);
				close(debug);
			}
		}
		file->is_go = read->is_go;
		file->has_symbols = read->has_symbols;
		symbols_settle(read);
		snprintf(file->allocator, sizeof(file->allocator), "%s", read->allocator);
		file->fd = fd;
		qsort(read->functions, read->count, sizeof(read->functions[0]), by_frequency);
		add_points(follow, file, read);
	}
	if (file->count == 0) {
		file->fd = -1;
		if (fd >= 0) {
			close(fd);
		}
	}
	free(read);
}

uint32_t files_known(const struct follow *follow, const struct pfc_target_event *map)
{
	for (uint32_t i = 0; i < follow->file_count; i++) {
		const struct followed_file *file = &follow->files[i];

		if (file->inode == map->inode && file->dev_major == map->dev_major &&
		    file->dev_minor == map->dev_minor) {
			return i;
		}
	}
	return UINT32_MAX;
}

uint32_t files_find(struct follow *follow, const struct pfc_target_event *map)
{
	const char *name = strrchr(map->text, '/');
	uint32_t known = files_known(follow, map);
	struct followed_file *file;

	if (known != UINT32_MAX || follow->file_count == FILES_MAX) {
		return known;
	}
	file = &follow->files[follow->file_count];
	file->dev_major = map->dev_major;
	file->dev_minor = map->dev_minor;
	file->inode = map->inode;
	file->fd = -1;
	snprintf(file->name, sizeof(file->name), "%.63s", name ? name + 1 : map->text);
	if (!is_loader(map->text)) {
		read_file(follow, map, file);
	}
	return follow->file_count++;
}
