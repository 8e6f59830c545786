/* SPDX-License-Identifier: MIT */
/* The functions of a unit that hold addresses, concrete and inlined, as their entries nest. */
#include <dwarf.h>

#include "stacks/dwarf_entry.h"
#include "stacks/addresses.h"
#include "stacks/dwarf_work.h"
#include "stacks/hash.h"

#define DEPTH_MAX  256 /* nesting of scopes; the deepest seen in real programs is about 60 */
#define SCOPES_MAX (1U << 22)

/* dwarf_range_fn: of the unit's addresses there, those that lie in nothing deeper. */
static bool claim_for_scope(void *ctx, uint64_t start, uint64_t end)
{
	struct dwarf_work *work = ctx;
	const struct dwarf_request *request = work->request;

	for (uint32_t i = addresses_first(request->addresses, request->count, start);
	     i < request->count && request->addresses[i] < end; i++) {
		struct dwarf_place *place = &work->places[i];

		if (place->unit == work->unit) {
			work->any = true;
			if (work->depth >= place->depth) {
				place->scope = work->scope;
				place->depth = work->depth;
			}
		}
	}
	return !dwarf_work_is_late(work);
}

/* The scope that a function makes, 0 when no address lies in it. */
static uint32_t claim_scope(struct dwarf_work *work, const struct dwarf_unit *unit,
			    const struct dwarf_entry *entry, struct dwarf_scope scope, uint32_t depth)
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
int dwarf_scopes_walk(struct dwarf_work *work, const struct dwarf_unit *unit)
{
	uint32_t parents[DEPTH_MAX] = { 0 };
	const uint8_t *data = unit->data;
	struct dwarf_cursor cursor = { .at = data + unit->header_bytes,
				       .end = data + (unit->end - unit->at) };
	uint32_t depth = 0;

	while (cursor.at < cursor.end && !dwarf_work_is_late(work)) {
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
				(struct dwarf_scope){ .at = at, .parent = scope, .is_inlined = is_inlined },
				depth);
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
