/* SPDX-License-Identifier: MIT */
#include "stacks/symbolize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <profcore/status.h>

#include "stacks/debug_file.h"
#include "stacks/dwarf.h"

/* Past this a file gets no names: no linked program comes near it. */
#define FILE_BYTES_MAX (4ULL << 30)

/** A frame as found, before it is put in order of location. */
struct found {
	uint32_t function, file, line;
};

/** The work: locations in order of (module, address), and what was found of each. */
struct work {
	const struct symbolize_request *request;
	struct names names;
	struct symbolize_notes notes;
	uint32_t *order;          /* locations, by module and address */
	uint32_t *first, *counts; /* of each location's frames in found */
	struct found *found;
	uint32_t found_count, found_room;
	/* the module at hand */
	const struct symbols *symbols;
	const uint32_t *locations; /* slice of order */
};

static int add_found(struct work *work, uint32_t location, const struct found *found)
{
	int status = array_reserve(&work->found, &work->found_room, (uint64_t)work->found_count + 1,
				   sizeof(*found));

	if (status == 0) {
		if (work->counts[location] == 0) {
			work->first[location] = work->found_count;
		}
		work->counts[location]++;
		work->found[work->found_count++] = *found;
	}
	return status;
}

static int symbol_name(struct work *work, uint64_t address, uint32_t *ret)
{
	const struct symbol *symbol = work->symbols != NULL ? symbols_find(work->symbols, address) : NULL;

	if (symbol == NULL) {
		*ret = 0;
		return 0;
	}
	return names_find(&work->names, symbols_name(work->symbols, symbol), ret);
}

static int text_or_none(struct work *work, const char *text, uint32_t *ret)
{
	if (text == NULL) {
		*ret = 0;
		return 0;
	}
	return intern_string(work->request->intern, text, strlen(text), ret);
}

/* The linkage name says most; C and local functions have none: the symbol table knows those that are not inlined. */
static int frame_name(struct work *work, const struct dwarf_frame *frame, bool is_outermost, uint64_t address,
		      uint32_t *ret)
{
	int status = 0;

	*ret = 0;
	if (frame->linkage_name != NULL) {
		return names_find(&work->names, frame->linkage_name, ret);
	}
	if (is_outermost) {
		status = symbol_name(work, address, ret);
	}
	return status == 0 && *ret == 0 ? text_or_none(work, frame->name, ret) : status;
}

static int frame_file(struct work *work, const struct dwarf_frame *frame, uint32_t *ret)
{
	char path[4096];
	int bytes;

	/* A relative folder says nothing of where it starts: distributions map theirs away. */
	if (frame->file == NULL || frame->file[0] == '/' || frame->directory == NULL ||
	    frame->directory[0] != '/') {
		return text_or_none(work, frame->file, ret);
	}
	bytes = snprintf(path, sizeof(path), "%s/%s", frame->directory, frame->file);
	return text_or_none(work, bytes < (int)sizeof(path) ? path : frame->file, ret);
}

static int take_chain(void *ctx, uint32_t index, const struct dwarf_frame *frames, uint32_t count)
{
	struct work *work = ctx;
	uint32_t location = work->locations[index];
	uint64_t address = work->request->intern->location_address[location];
	int status = 0;

	for (uint32_t i = 0; i < count && status == 0; i++) {
		struct found found = { .line = frames[i].line };

		status = frame_name(work, &frames[i], i == 0, address, &found.function);
		if (status == 0) {
			status = frame_file(work, &frames[i], &found.file);
		}
		if (status == 0) {
			status = add_found(work, location, &found);
		}
	}
	return status;
}

/* Locations that nothing else named. */
static int take_symbols(struct work *work, uint32_t count, bool *ret_any)
{
	int status = 0;

	for (uint32_t i = 0; i < count && status == 0; i++) {
		uint32_t location = work->locations[i];
		struct found found = { 0 };

		if (work->counts[location] > 0) {
			continue;
		}
		status =
			symbol_name(work, work->request->intern->location_address[location], &found.function);
		*ret_any = *ret_any || found.function != 0;
		if (status == 0) {
			status = add_found(work, location, &found);
		}
	}
	return status;
}

static int resolve_lines(struct work *work, const struct elf_image *image, uint32_t count)
{
	struct dwarf_request request = { .fd = image->fd,
					 .file_bytes = image->bytes,
					 .count = count,
					 .deadline_ns = work->request->deadline_ns,
					 .on_chain = take_chain,
					 .ctx = work };
	uint64_t *addresses;
	int status;

	if (image->fd < 0) {
		return PFC_ENOENT;
	}
	addresses = malloc(count * sizeof(*addresses));
	if (addresses == NULL) {
		return PFC_ENOMEM;
	}
	for (uint32_t i = 0; i < count; i++) {
		addresses[i] = work->request->intern->location_address[work->locations[i]];
	}
	request.addresses = addresses;
	status = dwarf_resolve(&request);
	free(addresses);
	return status;
}

static int note_lines(struct work *work, int status)
{
	switch (status) {
	case PFC_ENOMEM:
		return status;
	case PFC_ENOSPC:
		work->notes.files_too_large++;
		return 0;
	case PFC_ETIMEDOUT:
		work->notes.files_late++;
		return 0;
	case PFC_ECORRUPT:
	case PFC_ENOTSUP:
		work->notes.files_unreadable++;
		return 0;
	case 0:
		work->notes.files_with_lines++;
		return 0;
	default:
		return 0;
	}
}

/* By one ELF file: the module itself, or the debug file that stands for it. */
static int symbolize_image(struct work *work, const struct elf_image *image,
			   const struct elf_headers *headers, uint32_t count)
{
	struct symbols symbols = { 0 };
	bool any = false;
	int status, lines;

	/* A broken table is one without symbols: the addresses stay. */
	if (symbols_read(image, headers, &symbols) == PFC_ENOMEM) {
		return PFC_ENOMEM;
	}
	work->symbols = &symbols;
	lines = resolve_lines(work, image, count);
	status = note_lines(work, lines);
	if (status == 0) {
		status = take_symbols(work, count, &any);
	}
	if (lines != 0) {
		work->notes.files_with_symbols += any;
		work->notes.files_without += !any;
	}
	work->symbols = NULL;
	symbols_finish(&symbols);
	return status;
}

static int symbolize_file(struct work *work, const struct module *module, uint32_t count)
{
	struct elf_headers debug_headers;
	struct elf_image debug_image;
	bool any = false;
	int status;

	if (module->state == MODULE_CLOSED || module->image.bytes > FILE_BYTES_MAX) {
		work->notes.files_unopened += module->state == MODULE_CLOSED;
		work->notes.files_too_large += module->state != MODULE_CLOSED;
		return take_symbols(work, count, &any);
	}
	if (module->state != MODULE_OPEN) {
		return take_symbols(work, count, &any);
	}
	if (module->kind == MODULE_FILE &&
	    debug_file_open(module->headers.build_id, &debug_image, &debug_headers) == 0) {
		work->notes.files_debug++;
		status = symbolize_image(work, &debug_image, &debug_headers, count);
		close(debug_image.fd);
		return status;
	}
	return symbolize_image(work, &module->image, &module->headers, count);
}

static const struct module *module_of_row(const struct work *work, uint32_t row)
{
	for (uint32_t i = 0; i < work->request->modules->count; i++) {
		if (work->request->modules->rows[i].row == row) {
			return &work->request->modules->rows[i];
		}
	}
	return NULL;
}

static bool is_kernel(const struct work *work, uint32_t module_row)
{
	uint8_t kind = work->request->intern->module_kind[module_row];

	return kind == MODULE_KERNEL || kind == MODULE_KERNEL_MODULE;
}

static int symbolize_modules(struct work *work)
{
	const struct intern *intern = work->request->intern;
	uint32_t end;
	int status = 0;

	for (uint32_t start = 0; start + 1 < intern->location_count && status == 0; start = end) {
		uint32_t row = intern->location_module[work->order[start]];
		const struct module *module = row != 0 ? module_of_row(work, row) : NULL;
		bool any = false;

		for (end = start + 1; end + 1 < intern->location_count; end++) {
			if (intern->location_module[work->order[end]] != row) {
				break;
			}
		}
		work->locations = &work->order[start];
		work->symbols = is_kernel(work, row) ? &work->request->kernel->symbols : NULL;
		status = module != NULL ? symbolize_file(work, module, end - start)
					: take_symbols(work, end - start, &any);
		work->symbols = NULL;
	}
	return status;
}

struct order_key {
	uint32_t module, location;
	uint64_t address;
};

static int compare_keys(const void *a, const void *b)
{
	const struct order_key *left = a;
	const struct order_key *right = b;

	if (left->module != right->module) {
		return left->module < right->module ? -1 : 1;
	}
	return left->address < right->address ? -1 : left->address > right->address;
}

/* All locations but 0, by module and address. */
static int sort_locations(struct work *work)
{
	const struct intern *intern = work->request->intern;
	uint32_t count = intern->location_count - 1;
	struct order_key *keys = malloc((count > 0 ? count : 1) * sizeof(*keys));

	work->order = malloc((count > 0 ? count : 1) * sizeof(*work->order));
	work->first = calloc(intern->location_count, sizeof(*work->first));
	work->counts = calloc(intern->location_count, sizeof(*work->counts));
	if (keys == NULL || work->order == NULL || work->first == NULL || work->counts == NULL) {
		free(keys);
		return PFC_ENOMEM;
	}
	for (uint32_t i = 0; i < count; i++) {
		keys[i].module = intern->location_module[i + 1];
		keys[i].location = i + 1;
		keys[i].address = intern->location_address[i + 1];
	}
	qsort(keys, count, sizeof(*keys), compare_keys);
	for (uint32_t i = 0; i < count; i++) {
		work->order[i] = keys[i].location;
	}
	free(keys);
	return 0;
}

static int collect_frames(const struct work *work, struct frames *ret)
{
	uint32_t **columns[] = { &ret->location, &ret->inline_depth, &ret->function, &ret->file, &ret->line };

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		*columns[i] = malloc(((size_t)work->found_count + 1) * sizeof(uint32_t));
		if (*columns[i] == NULL) {
			return PFC_ENOMEM;
		}
	}
	for (uint32_t location = 1; location < work->request->intern->location_count; location++) {
		for (uint32_t i = 0; i < work->counts[location]; i++) {
			const struct found *found = &work->found[work->first[location] + i];

			ret->location[ret->count] = location;
			ret->inline_depth[ret->count] = i;
			ret->function[ret->count] = found->function;
			ret->file[ret->count] = found->file;
			ret->line[ret->count++] = found->line;
		}
	}
	return 0;
}

static bool has_kernel(const struct work *work)
{
	for (uint32_t i = 0; i < work->request->intern->module_count; i++) {
		if (is_kernel(work, i)) {
			return true;
		}
	}
	return false;
}

int symbolize(const struct symbolize_request *request, struct frames *ret_frames,
	      struct symbolize_notes *ret_notes)
{
	struct work work = { .request = request, .names.intern = request->intern };
	int status = sort_locations(&work);

	memset(ret_frames, 0, sizeof(*ret_frames));
	if (status == 0 && has_kernel(&work)) {
		work.notes.kernel_status = request->kernel->symbols_status;
	}
	if (status == 0) {
		status = symbolize_modules(&work);
	}
	if (status == 0) {
		status = collect_frames(&work, ret_frames);
	}
	if (status == 0) {
		*ret_notes = work.notes;
	} else {
		frames_finish(ret_frames);
	}
	names_finish(&work.names);
	free(work.order);
	free(work.first);
	free(work.counts);
	free(work.found);
	return status;
}

void frames_finish(struct frames *frames)
{
	free(frames->location);
	free(frames->inline_depth);
	free(frames->function);
	free(frames->file);
	free(frames->line);
	memset(frames, 0, sizeof(*frames));
}
