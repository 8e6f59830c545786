/* SPDX-License-Identifier: MIT */
#include "stacks/dwarf_chains.h"

#include <dwarf.h>
#include <stdlib.h>

#include <profcore/status.h>

#include "stacks/addresses.h"
#include "stacks/dwarf_entry.h"
#include "stacks/dwarf_lines.h"
#include "stacks/dwarf_work.h"
#include "stacks/hash.h"

/* dwarf_range_fn: the unit gets every address there that none has yet. */
static bool claim_for_unit(void *ctx, uint64_t start, uint64_t end)
{
	struct dwarf_work *work = ctx;
	const struct dwarf_request *request = work->request;

	for (uint32_t i = addresses_first(request->addresses, request->count, start);
	     i < request->count && request->addresses[i] < end; i++) {
		if (work->places[i].unit == DWARF_NOWHERE) {
			work->places[i].unit = work->unit;
			work->places[i].next = work->firsts[work->unit];
			work->firsts[work->unit] = i;
		}
	}
	return !dwarf_work_is_late(work);
}

static void claim_addresses(struct dwarf_work *work)
{
	for (work->unit = 0; work->unit < work->file.unit_count && !dwarf_work_is_late(work); work->unit++) {
		struct dwarf_unit *unit = &work->file.units[work->unit];
		struct dwarf_entry root;

		if (unit->type != DW_UT_compile && unit->type != DW_UT_partial &&
		    unit->type != DW_UT_skeleton) {
			continue; /* types */
		}
		work->status = dwarf_unit_root(&work->file, unit, &root);
		unit->has_root = work->status == 0;
		if (work->status == 0) {
			dwarf_entry_ranges(&work->file, unit, &root, claim_for_unit, work);
		}
	}
}

/* dwarf_row_fn */
static bool take_row(void *ctx, uint64_t start, uint64_t end, uint64_t file, uint64_t line)
{
	struct dwarf_work *work = ctx;
	const struct dwarf_request *request = work->request;

	for (uint32_t i = addresses_first(request->addresses, request->count, start);
	     i < request->count && request->addresses[i] < end; i++) {
		struct dwarf_place *place = &work->places[i];

		if (place->unit == work->unit) {
			place->file = file;
			place->line = line;
			place->has_line = true;
		}
	}
	return !dwarf_work_is_late(work);
}

static uint32_t line_number(uint64_t line)
{
	return line <= UINT32_MAX ? (uint32_t)line : 0;
}

/* Build the chain of one address, innermost first, then turn it round. */
static int report(struct dwarf_work *work, uint32_t index, const char *directory, struct dwarf_lines *lines)
{
	struct dwarf_frame inner_first[DWARF_CHAIN_MAX + 1];
	struct dwarf_frame frames[DWARF_CHAIN_MAX];
	const struct dwarf_place *place = &work->places[index];
	uint32_t scope = place->scope;
	uint32_t count = 0;

	memset(&inner_first[0], 0, sizeof(inner_first[0]));
	if (place->has_line) {
		inner_first[0].file = dwarf_lines_path(&work->file, lines, place->file);
		inner_first[0].line = line_number(place->line);
	}
	while (scope != 0 && count < DWARF_CHAIN_MAX) {
		struct dwarf_scope *at = &work->scopes[scope];
		struct dwarf_frame *frame = &inner_first[count++];

		if (!at->has_names) {
			dwarf_entry_names(work->entries_file, at->at, &at->linkage_name, &at->name);
			at->has_names = true;
		}
		frame->linkage_name = at->linkage_name;
		frame->name = at->name;
		if (!at->is_inlined) {
			break;
		}
		inner_first[count].file = dwarf_lines_path(&work->file, lines, at->call_file);
		inner_first[count].line = line_number(at->call_line);
		scope = at->parent;
	}
	if (count == 0 && inner_first[0].file == NULL) {
		return 0;
	}
	if (count == 0) {
		inner_first[0].linkage_name = NULL;
		inner_first[0].name = NULL;
		count = 1;
	}
	for (uint32_t i = 0; i < count; i++) {
		frames[i] = inner_first[count - 1 - i];
		frames[i].directory = directory;
	}
	return work->request->on_chain(work->request->ctx, index, frames, count);
}

/* The texts of the unit's first entry, which was read in passing before. */
static const char *directory_of(struct dwarf_work *work, struct dwarf_unit *unit)
{
	struct dwarf_entry root;

	return dwarf_unit_root(&work->file, unit, &root) == 0
		       ? dwarf_value_text(&work->file, unit, &root.directory)
		       : NULL;
}

/* The entries of a unit, its own or those of its split file. Without that file the functions are the symbol table's. */
static int walk_entries(struct dwarf_work *work, struct dwarf_unit *unit)
{
	struct dwarf_split *split;
	int status;

	work->entries_file = &work->file;
	if (!unit->is_skeleton) {
		return dwarf_scopes_walk(work, unit);
	}
	split = work->split = malloc(sizeof(*split));
	if (split == NULL) {
		return PFC_ENOMEM;
	}
	status = dwarf_split_open(work->request, &work->file, unit, split);
	if (status == 0) {
		status = dwarf_unit_load(&split->file, split->unit);
	}
	if (status != 0) {
		return status == PFC_ENOMEM ? status : 0;
	}
	work->entries_file = &split->file;
	status = dwarf_scopes_walk(work, split->unit);
	return status == PFC_ENOTSUP || status == PFC_ECORRUPT ? 0 : status;
}

/* 0; PFC_ENOTSUP, PFC_ECORRUPT: this unit is for libdw; else an end to it all. */
static int resolve_unit(struct dwarf_work *work, uint32_t first, bool *is_done)
{
	struct dwarf_unit *unit = &work->file.units[work->unit];
	struct dwarf_lines lines = { .files = NULL };
	const char *directory = NULL;
	int status = dwarf_unit_load(&work->file, unit);

	work->scope_count = 1;
	if (status == 0) {
		directory = directory_of(work, unit);
		status = walk_entries(work, unit);
	}
	if (status == 0 && unit->has_lines) {
		status = dwarf_lines_run(&work->file, unit, directory, take_row, work, &lines);
		status = work->status != 0 ? work->status : status;
	}
	for (uint32_t i = first; i != DWARF_NOWHERE && status == 0; i = work->places[i].next) {
		status = report(work, i, directory, &lines);
		is_done[i] = true;
	}
	dwarf_lines_finish(&lines);
	if (work->split != NULL) {
		dwarf_split_close(work->split);
		free(work->split);
		work->split = NULL;
	}
	return status;
}

static int prepare(struct dwarf_work *work)
{
	const struct dwarf_request *request = work->request;

	work->places = calloc(request->count > 0 ? request->count : 1, sizeof(*work->places));
	work->firsts = malloc((work->file.unit_count + 1ULL) * sizeof(*work->firsts));
	if (work->places == NULL || work->firsts == NULL ||
	    array_reserve(&work->scopes, &work->scope_room, 1, sizeof(*work->scopes)) != 0) {
		return PFC_ENOMEM;
	}
	memset(&work->scopes[0], 0, sizeof(work->scopes[0]));
	for (uint32_t i = 0; i < request->count; i++) {
		work->places[i].unit = DWARF_NOWHERE;
	}
	for (uint32_t i = 0; i < work->file.unit_count; i++) {
		work->firsts[i] = DWARF_NOWHERE;
	}
	return 0;
}

static int resolve(struct dwarf_work *work, bool *is_done)
{
	int left = 0;
	int status = prepare(work);

	if (status != 0) {
		return status;
	}
	claim_addresses(work);
	if (work->status != 0) {
		return work->status;
	}
	for (work->unit = 0; work->unit < work->file.unit_count; work->unit++) {
		uint32_t first = work->firsts[work->unit];

		status = first != DWARF_NOWHERE ? resolve_unit(work, first, is_done) : 0;
		if (status == PFC_ENOTSUP || status == PFC_ECORRUPT) {
			left = status;
		} else if (status != 0) {
			return status;
		}
	}
	for (uint32_t i = 0; i < work->request->count && left == 0; i++) {
		is_done[i] = true; /* in no unit: nothing to say */
	}
	return left;
}

int dwarf_chains_resolve(const struct dwarf_request *request, bool *is_done)
{
	struct dwarf_work *work = calloc(1, sizeof(*work));
	int status;

	if (work == NULL) {
		return PFC_ENOMEM;
	}
	work->request = request;
	status = dwarf_file_open(&request->image, &work->file);
	if (status == 0) {
		status = resolve(work, is_done);
	}
	dwarf_file_finish(&work->file);
	free(work->places);
	free(work->firsts);
	free(work->scopes);
	free(work);
	return status;
}
