/* SPDX-License-Identifier: MIT */
/* Which functions, inlined ones too, the addresses of a unit lie in: one walk of its entries. */
#include "stacks/dwarf_libdw.h"

#include <dwarf.h>

#include <profcore/status.h>

#include "stacks/addresses.h"
#include "stacks/hash.h"

#define DEPTH_MAX  256 /* nesting of scopes; the deepest seen in real programs is about 60 */
#define SCOPES_MAX (1U << 22)

/* A new scope when addresses of this unit lie in the entry's ranges; 0 when none do. */
static uint32_t claim_scope(struct batch *batch, Dwarf_Die *die, uint32_t parent, uint32_t depth,
			    bool is_block)
{
	const struct dwarf_request *request = batch->request;
	uint32_t scope = is_block ? parent : batch->scope_count;
	Dwarf_Addr base, start, end;
	ptrdiff_t offset = 0;
	bool any = false;

	while (!dwarf_is_late(batch) && (offset = dwarf_ranges(die, offset, &base, &start, &end)) > 0) {
		for (uint32_t i = addresses_first(request->addresses, request->count, start);
		     i < request->count && request->addresses[i] < end; i++) {
			struct place *place = &batch->places[i];

			if (place->unit != batch->unit) {
				continue;
			}
			any = true;
			if (!is_block && depth >= place->depth) {
				place->scope = scope;
				place->depth = depth;
			}
		}
	}
	if (!any || is_block) {
		return any ? scope : 0;
	}
	if (batch->scope_count >= SCOPES_MAX ||
	    array_reserve(&batch->scopes, &batch->scope_room, (uint64_t)batch->scope_count + 1,
			  sizeof(*batch->scopes)) != 0) {
		batch->status = PFC_ENOMEM;
		return 0;
	}
	batch->scopes[batch->scope_count].die = *die;
	batch->scopes[batch->scope_count].parent = parent;
	batch->scopes[batch->scope_count].is_inlined = dwarf_tag(die) == DW_TAG_inlined_subroutine;
	return batch->scope_count++;
}

/* Descend where addresses lie; with `everywhere` also into functions that hold none (local classes and lambdas are there). */
static void walk(struct batch *batch, Dwarf_Die *parent_die, uint32_t parent, uint32_t depth, bool everywhere)
{
	Dwarf_Die die;
	uint32_t scope;

	if (depth >= DEPTH_MAX || dwarf_child(parent_die, &die) != 0) {
		return;
	}
	do {
		switch (dwarf_tag(&die)) {
		case DW_TAG_namespace:
		case DW_TAG_module:
		case DW_TAG_structure_type:
		case DW_TAG_class_type:
		case DW_TAG_union_type:
		case DW_TAG_interface_type:
		case DW_TAG_enumeration_type: /* Rust hangs methods below them */
			walk(batch, &die, parent, depth + 1, everywhere);
			break;
		case DW_TAG_subprogram:
		case DW_TAG_inlined_subroutine:
			scope = claim_scope(batch, &die, parent, depth, false);
			if (scope != 0 || everywhere) {
				walk(batch, &die, scope, depth + 1, everywhere);
			}
			break;
		case DW_TAG_lexical_block:
		case DW_TAG_try_block:
		case DW_TAG_catch_block:
			if (claim_scope(batch, &die, parent, depth, true) || everywhere) {
				walk(batch, &die, parent, depth + 1, everywhere);
			}
			break;
		default:
			break;
		}
	} while (!dwarf_is_late(batch) && dwarf_siblingof(&die, &die) == 0);
}
void dwarf_walk_unit(struct batch *batch, bool everywhere)
{
	walk(batch, &batch->units[batch->unit].die, 0, 1, everywhere);
}
