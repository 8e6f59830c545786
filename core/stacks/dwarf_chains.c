/* SPDX-License-Identifier: MIT */
#include "stacks/dwarf_chains.h"

#include <dwarf.h>
#include <stdlib.h>

#include <profcore/status.h>

#include "base/clock.h"
#include "stacks/dwarf_entry.h"
#include "stacks/dwarf_lines.h"
#include "stacks/dwarf_split.h"
#include "stacks/hash.h"

#define DEPTH_MAX   256 /* nesting of scopes; the deepest seen in real programs is about 60 */
#define SCOPES_MAX  (1U << 22)
#define CHECK_EVERY 4096 /* entries between looks at the clock */
#define NOWHERE     UINT32_MAX

/** A function that holds addresses of the unit: concrete or inlined. */
struct scope {
	uint64_t at; /* its entry */
	uint64_t call_file, call_line;
	const char *linkage_name, *name;
	uint32_t parent; /* 0: none */
	bool is_inlined, has_names;
};

/** Where one address lies. */
struct place {
	uint32_t unit;  /* NOWHERE: in none */
	uint32_t next;  /* address of the same unit; NOWHERE: the last */
	uint32_t scope; /* deepest found; 0: none */
	uint32_t depth;
	uint64_t file, line;
	bool has_line;
};

struct work {
	const struct dwarf_request *request;
	struct dwarf_file file;
	struct dwarf_file *
		entries_file; /* where the entries of the unit at hand are: file, or one that was split off */
	struct dwarf_split *split; /* that one, open; NULL: none */
	struct place *places;      /* one an address */
	uint32_t *firsts;          /* of each unit's addresses */
	struct scope *scopes;      /* of the unit at hand; 0 is none */
	uint32_t scope_count, scope_room;
	uint32_t unit; /* at hand */
	uint64_t entries;
	int status;
	/* what is claimed by the ranges at hand */
	uint32_t scope, depth;
	bool any;
};

static bool is_late(struct work *work)
{
	if (work->status == 0 && ++work->entries % CHECK_EVERY == 0 &&
	    clock_now() > work->request->deadline_ns) {
		work->status = PFC_ETIMEDOUT;
	}
	return work->status != 0;
}

/* The first address >= value. */
static uint32_t lower_bound(const struct dwarf_request *request, uint64_t value)
{
	uint32_t low = 0;
	uint32_t high = request->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (request->addresses[middle] < value) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* dwarf_range_fn: the unit gets every address there that none has yet. */
static bool claim_for_unit(void *ctx, uint64_t start, uint64_t end)
{
	struct work *work = ctx;
	const struct dwarf_request *request = work->request;

	for (uint32_t i = lower_bound(request, start); i < request->count && request->addresses[i] < end;
	     i++) {
		if (work->places[i].unit == NOWHERE) {
			work->places[i].unit = work->unit;
			work->places[i].next = work->firsts[work->unit];
			work->firsts[work->unit] = i;
		}
	}
	return !is_late(work);
}

static void claim_addresses(struct work *work)
{
	for (work->unit = 0; work->unit < work->file.unit_count && !is_late(work); work->unit++) {
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

/* dwarf_range_fn: of the unit's addresses there, those that lie in nothing deeper. */
static bool claim_for_scope(void *ctx, uint64_t start, uint64_t end)
{
	struct work *work = ctx;
	const struct dwarf_request *request = work->request;

	for (uint32_t i = lower_bound(request, start); i < request->count && request->addresses[i] < end;
	     i++) {
		struct place *place = &work->places[i];

		if (place->unit == work->unit) {
			work->any = true;
			if (work->depth >= place->depth) {
				place->scope = work->scope;
				place->depth = work->depth;
			}
		}
	}
	return !is_late(work);
}

/* The scope that a function makes, 0 when no address lies in it. */
static uint32_t claim_scope(struct work *work, const struct dwarf_unit *unit, const struct dwarf_entry *entry,
			    struct scope scope, uint32_t depth)
{
	work->scope = work->scope_count;
	work->depth = depth;
	work->any = false;
	dwarf_entry_ranges(work->entries_file, unit, entry, claim_for_scope, work);
	if (!work->any) {
		return 0;
	}
	if (work->scope_count >= SCOPES_MAX ||
	    array_reserve(&work->scopes, &work->scope_room, (uint64_t)work->scope_count + 1,
			  sizeof(*work->scopes)) != 0) {
		work->status = PFC_ENOMEM;
		return 0;
	}
	scope.call_file = entry->call_file;
	scope.call_line = entry->call_line;
	work->scopes[work->scope_count] = scope;
	return work->scope_count++;
}

/*
 * All entries of a unit, in the order that they stand in. Functions are where the nesting says: within namespaces, types, other
 * functions. One that is inlined where no address lies cannot hold one.
 */
static int walk_unit(struct work *work, const struct dwarf_unit *unit)
{
	uint32_t parents[DEPTH_MAX] = { 0 };
	const uint8_t *data = unit->data;
	struct dwarf_cursor cursor = { .at = data + unit->header_bytes,
				       .end = data + (unit->end - unit->at) };
	uint32_t depth = 0;

	while (cursor.at < cursor.end && !is_late(work)) {
		uint64_t at = unit->at + (uint64_t)(cursor.at - data);
		uint64_t code = cursor_uleb(&cursor);
		const struct dwarf_abbrev *abbrev;
		uint32_t scope = parents[depth];
		bool is_inlined;

		if (code == 0) {
			depth -= depth > 0;
			continue;
		}
		if (code >= unit->abbrevs->count || unit->abbrevs->rows[code].tag == 0) {
			return PFC_ECORRUPT;
		}
		abbrev = &unit->abbrevs->rows[code];
		is_inlined = abbrev->tag == DW_TAG_inlined_subroutine;
		if (abbrev->tag == DW_TAG_subprogram || (is_inlined && scope != 0)) {
			struct dwarf_entry entry;

			dwarf_entry_read(unit, abbrev, &cursor, &entry);
			scope = claim_scope(
				work, unit, &entry,
				(struct scope){ .at = at, .parent = scope, .is_inlined = is_inlined }, depth);
		} else {
			dwarf_entry_skip(unit, abbrev, &cursor);
		}
		if (cursor.is_bad) {
			return PFC_ECORRUPT;
		}
		if (abbrev->has_children) {
			if (++depth == DEPTH_MAX) {
				return PFC_ENOTSUP;
			}
			parents[depth] = scope;
		}
	}
	return work->status;
}

/* dwarf_row_fn */
static bool take_row(void *ctx, uint64_t start, uint64_t end, uint64_t file, uint64_t line)
{
	struct work *work = ctx;
	const struct dwarf_request *request = work->request;

	for (uint32_t i = lower_bound(request, start); i < request->count && request->addresses[i] < end;
	     i++) {
		struct place *place = &work->places[i];

		if (place->unit == work->unit) {
			place->file = file;
			place->line = line;
			place->has_line = true;
		}
	}
	return !is_late(work);
}

static uint32_t line_number(uint64_t line)
{
	return line <= UINT32_MAX ? (uint32_t)line : 0;
}

/* Build the chain of one address, innermost first, then turn it round. */
static int report(struct work *work, uint32_t index, const char *directory, struct dwarf_lines *lines)
{
	struct dwarf_frame inner_first[DWARF_CHAIN_MAX + 1];
	struct dwarf_frame frames[DWARF_CHAIN_MAX];
	const struct place *place = &work->places[index];
	uint32_t scope = place->scope;
	uint32_t count = 0;

	memset(&inner_first[0], 0, sizeof(inner_first[0]));
	if (place->has_line) {
		inner_first[0].file = dwarf_lines_path(&work->file, lines, place->file);
		inner_first[0].line = line_number(place->line);
	}
	while (scope != 0 && count < DWARF_CHAIN_MAX) {
		struct scope *at = &work->scopes[scope];
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
static const char *directory_of(struct work *work, struct dwarf_unit *unit)
{
	struct dwarf_entry root;

	return dwarf_unit_root(&work->file, unit, &root) == 0
		       ? dwarf_value_text(&work->file, unit, &root.directory)
		       : NULL;
}

/* The entries of a unit, its own or those of its split file. Without that file the functions are the symbol table's. */
static int walk_entries(struct work *work, struct dwarf_unit *unit)
{
	struct dwarf_split *split;
	int status;

	work->entries_file = &work->file;
	if (!unit->is_skeleton) {
		return walk_unit(work, unit);
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
	status = walk_unit(work, split->unit);
	return status == PFC_ENOTSUP || status == PFC_ECORRUPT ? 0 : status;
}

/* 0; PFC_ENOTSUP, PFC_ECORRUPT: this unit is for libdw; else an end to it all. */
static int resolve_unit(struct work *work, uint32_t first, bool *is_done)
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
	for (uint32_t i = first; i != NOWHERE && status == 0; i = work->places[i].next) {
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

static int prepare(struct work *work)
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
		work->places[i].unit = NOWHERE;
	}
	for (uint32_t i = 0; i < work->file.unit_count; i++) {
		work->firsts[i] = NOWHERE;
	}
	return 0;
}

static int resolve(struct work *work, bool *is_done)
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

		status = first != NOWHERE ? resolve_unit(work, first, is_done) : 0;
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
	struct work *work = calloc(1, sizeof(*work));
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
