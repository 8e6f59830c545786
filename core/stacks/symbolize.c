/* SPDX-License-Identifier: MIT */
#include "stacks/symbolize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "stacks/dwarf.h"
#include "stacks/perf_map.h"
#include "stacks/source.h"

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
	const struct source *source; /* NULL: it has none */
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

/* dwarf.h: open_common. */
static int open_common(void *ctx, const char *build_id)
{
	const struct work *work = ctx;
	struct debug_file file;

	return debug_file_of_build_id(work->source->module, build_id, work->request->target, &file) == 0
		       ? file.image.fd
		       : PFC_ENOENT;
}

/* The addresses of the locations at hand; the caller frees them. */
static uint64_t *list_addresses(const struct work *work, uint32_t count)
{
	uint64_t *addresses = malloc(count * sizeof(*addresses));

	for (uint32_t i = 0; i < count && addresses != NULL; i++) {
		addresses[i] = work->request->intern->location_address[work->locations[i]];
	}
	return addresses;
}

static int resolve_lines(struct work *work, uint32_t count)
{
	struct dwarf_request request = { .image = work->source->lines,
					 .open_common = open_common,
					 .count = count,
					 .deadline_ns = work->request->deadline_ns,
					 .on_chain = take_chain,
					 .ctx = work };
	uint64_t *addresses = list_addresses(work, count);
	int status;

	if (addresses == NULL) {
		return PFC_ENOMEM;
	}
	request.addresses = addresses;
	status = dwarf_resolve(&request);
	free(addresses);
	return status;
}

/* Said where it happens, by file: a report with fewer names than the file could give must say so. */
static void warn(struct work *work, const char *what)
{
	const struct pfc_host *host = work->request->host;
	char text[512];

	if (host != NULL) {
		snprintf(text, sizeof(text), "%.300s: %s", work->source->module->path, what);
		host->log(host->ctx, PFC_LOG_WARNING, text);
	}
}

static int note_lines(struct work *work, int status)
{
	switch (status) {
	case PFC_ENOMEM:
		return status;
	case PFC_ENOSPC:
		work->notes.files_too_large++;
		warn(work, "its debug information is larger than 2 GB or packed beyond belief: symbols only");
		return 0;
	case PFC_ETIMEDOUT:
		work->notes.files_late++;
		warn(work, "reading its debug information took too long: symbols only for some of it");
		return 0;
	case PFC_ENOTSUP:
		work->notes.files_unreadable++;
		warn(work, "its debug information is compressed in a way that cannot be read here, or refers "
			   "to a file that "
			   "is not there: symbols only");
		return 0;
	case PFC_ECORRUPT:
		work->notes.files_unreadable++;
		warn(work, "its debug information is broken: symbols only");
		return 0;
	case 0:
		work->notes.files_with_lines++;
		return 0;
	default:
		return 0;
	}
}

static void note_source(struct work *work, const struct source *source)
{
	work->notes.files_debug += source->has_debug;
	work->notes.files_mini += source->has_mini;
	if (source->is_mismatched) {
		work->notes.files_mismatched++;
		warn(work, "its separate debug file belongs to another build: not used");
	}
	if (source->mini_status == PFC_ENOTSUP) {
		warn(work,
		     "profcore was built without liblzma: the symbols in its .gnu_debugdata are not read");
	}
}

static int symbolize_source(struct work *work, const struct source *source, uint32_t count)
{
	bool any = false;
	int status, lines;

	work->source = source;
	work->symbols = &source->symbols;
	note_source(work, source);
	lines = source->unpack_status != 0 ? source->unpack_status : resolve_lines(work, count);
	status = note_lines(work, lines);
	if (status == 0) {
		status = take_symbols(work, count, &any);
	}
	if (lines != 0) {
		work->notes.files_with_symbols += any;
		work->notes.files_without += !any;
	}
	work->source = NULL;
	work->symbols = NULL;
	return status;
}

/* perf_map.h: on_name. */
static int take_map_name(void *ctx, uint32_t index, const char *name)
{
	struct work *work = ctx;
	struct found found = { 0 };
	int status = names_find(&work->names, name, &found.function);

	return status == 0 ? add_found(work, work->locations[index], &found) : status;
}

/* Code that the process made itself: what its perf map says. */
static int symbolize_bare(struct work *work, struct module *module, uint32_t count)
{
	struct perf_map_request request = { .count = count,
					    .deadline_ns = work->request->deadline_ns,
					    .on_name = take_map_name,
					    .ctx = work };
	uint64_t *addresses = list_addresses(work, count);
	bool any = false;
	int status = addresses != NULL ? 0 : PFC_ENOMEM;

	module_find_map(module, work->request->target);
	if (status == 0 && module->map_fd >= 0) {
		request.fd = module->map_fd;
		request.addresses = addresses;
		status = perf_map_resolve(&request);
		work->notes.perf_maps++;
		work->notes.files_late += status == PFC_ETIMEDOUT;
		work->notes.files_too_large += status == PFC_ENOSPC;
		status = status == PFC_ETIMEDOUT || status == PFC_ENOSPC ? 0 : status;
	}
	free(addresses);
	return status == 0 ? take_symbols(work, count, &any) : status;
}

static int symbolize_file(struct work *work, struct module *module, uint32_t count)
{
	struct source source;
	bool any = false;
	int status;

	if (module->state == MODULE_CLOSED || module->image.bytes > FILE_BYTES_MAX) {
		work->notes.files_unopened += module->state == MODULE_CLOSED;
		work->notes.files_too_large += module->state != MODULE_CLOSED;
		return take_symbols(work, count, &any);
	}
	if (module->state == MODULE_BARE) {
		return symbolize_bare(work, module, count);
	}
	if (module->state != MODULE_OPEN) {
		return take_symbols(work, count, &any);
	}
	status = source_open(module, work->request->target, &source);
	if (status == 0) {
		status = symbolize_source(work, &source, count);
		source_close(&source);
	}
	return status;
}

static struct module *module_of_row(const struct work *work, uint32_t row)
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
		struct module *module = row != 0 ? module_of_row(work, row) : NULL;
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
