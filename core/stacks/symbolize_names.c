/* SPDX-License-Identifier: MIT */
/* What a location is called: from DWARF's chain of functions, or from a symbol table. */
#include "stacks/symbolize_work.h"

#include <stdio.h>
#include <string.h>

int symbolize_add(struct work *work, uint32_t location, const struct found *found)
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

int symbolize_take_chain(void *ctx, uint32_t index, const struct dwarf_frame *frames, uint32_t count)
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
			status = symbolize_add(work, location, &found);
		}
	}
	return status;
}

/* A stripped file still says where its functions begin: each has an entry in .eh_frame, which unwinding needs. */
static void find_start(const struct work *work, uint64_t address, uint64_t *ret)
{
	struct unwind_table *table = work->module != NULL ? module_table(work->module) : NULL;
	uint64_t end;

	if (table == NULL || !unwind_table_function(table, address, ret, &end)) {
		*ret = 0;
	}
}

/* Locations that nothing else named. */
int symbolize_take_symbols(struct work *work, uint32_t count, bool *ret_any)
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
		if (found.function == 0) {
			find_start(work, work->request->intern->location_address[location], &found.start);
		}
		if (status == 0) {
			status = symbolize_add(work, location, &found);
		}
	}
	return status;
}
